"""Basic prompts mixed per picture: the mixture of experts on a feature map of the decoder.

    x + x P,   P = sum of g_i(degradation) P_i

The same prompts as in the pyramid, matrices over channels, as the method's compensator has them on
the encoder's maps. At a half and a quarter of the picture's size a gate per token would cost more
than the convolutions, and what the gate must know there, codec and severity, is the same everywhere
in a picture: so the matrices are mixed first, and applied once.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from diffir.moe.gate import NewExperts, NoisyTopK


class FeaturePrompts(nn.Module):
    """N expert prompts over maps of C channels, and the gate that chooses K of them.

    Args:
        channels: channels C of the map.
        degradation_width: width D of the degradation embedding that the gate looks at.
        experts: number of prompts N.
        top_k: how many take part, K <= N.
    """

    def __init__(self, channels: int, *, degradation_width: int, experts: int, top_k: int) -> None:
        super().__init__()
        self.prompts = nn.Parameter(0.01 * torch.randn(experts, channels, channels))
        self.gate = NoisyTopK(degradation_width, experts=experts, top_k=top_k)

    def forward(self, x: Tensor, degradation: Tensor | None) -> Tensor:
        """`x (B,C,h,w)`, `degradation (B,D)` to the shape of `x`; unchanged without the latter."""
        if degradation is None:
            return x
        return x + apply_matrices(x, mix_matrices(self.gate(degradation), self.prompts))

    def with_new_experts(self, count: int) -> nn.Module:
        """See `diffir.contracts.prompt_pack.Transferable`."""
        return TransferredFeaturePrompts(self, count)


class TransferredFeaturePrompts(nn.Module):
    """The same with `count` experts more, which always take part; the old ones are not changed."""

    def __init__(self, base: FeaturePrompts, count: int) -> None:
        super().__init__()
        self.base = base
        self.gate = copy.deepcopy(base.gate).requires_grad_()
        self.new = NewExperts(base.prompts.shape[-1], base.gate.logits.in_features, count)

    def forward(self, x: Tensor, degradation: Tensor | None) -> Tensor:
        """As `FeaturePrompts.forward`."""
        if degradation is None:
            return x
        matrices = mix_matrices(self.gate(degradation), self.base.prompts)
        added = mix_matrices(self.new.strengths(degradation), self.new.prompts)
        return x + apply_matrices(x, matrices + added)


def mix_matrices(gates: Tensor, prompts: Tensor) -> Tensor:
    """One matrix per picture: gates `(B,N)`, prompts `(N,C,C)` to `(B,C,C)`."""
    return torch.einsum("bn,nck->bck", gates, prompts)


def apply_matrices(x: Tensor, matrices: Tensor) -> Tensor:
    """Mix the channels of `x (B,C,h,w)` by `matrices (B,C,C)`."""
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
    mixed = (rows @ matrices.to(rows.dtype)).reshape(batch, height, width, channels)
    return mixed.permute(0, 3, 1, 2)
