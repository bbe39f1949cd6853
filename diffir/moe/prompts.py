"""Basic prompts mixed per token: the mixture of experts of one pyramid level.

Prompts are square matrices, used as bias-free linear experts on tokens, e_i(x) = x P_i; a gate per
token mixes K of the N (MoE-DiffIR, equations 1 and 3). They mix channels and not places, so they
serve a picture of any size.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from diffir.moe.gate import NewExperts, NoisyTopK


class PromptPool(nn.Module):
    """N expert prompts over tokens of width D, and the gate that chooses K of them.

    Args:
        width: token width D.
        experts: number of prompts N.
        top_k: how many take part at each token, K <= N.
        extensible: whether a codec that comes later may have experts here.
    """

    def __init__(self, width: int, *, experts: int, top_k: int, extensible: bool = True) -> None:
        super().__init__()
        self.extensible = extensible
        self.prompts = nn.Parameter(torch.empty(experts, width, width).uniform_(-0.5, 0.5))
        self.gate = NoisyTopK(width, experts=experts, top_k=top_k)

    def forward(self, tokens: Tensor, gate_input: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the experts.

        Args:
            tokens: `(...,D)`, what the experts act on.
            gate_input: `(...,D)`, what the gate looks at.

        Returns:
            The mixture `(...,D)`, and the gates `(...,N)`.
        """
        gates = self.gate(gate_input)
        return mix_tokens(tokens, gates, self.prompts), gates

    def with_new_experts(self, count: int) -> nn.Module:
        """See `diffir.contracts.prompt_pack.Transferable`."""
        return TransferredPool(self, count) if self.extensible else self


class TransferredPool(nn.Module):
    """A pool with `count` experts more, which always take part; the old ones are not changed."""

    def __init__(self, base: PromptPool, count: int) -> None:
        super().__init__()
        self.base = base
        self.gate = copy.deepcopy(base.gate).requires_grad_()
        self.new = NewExperts(base.prompts.shape[-1], base.gate.logits.in_features, count)

    def forward(self, tokens: Tensor, gate_input: Tensor) -> tuple[Tensor, Tensor]:
        """As `PromptPool.forward`; the gates are those of the old experts."""
        gates = self.gate(gate_input)
        mixed = mix_tokens(tokens, gates, self.base.prompts)
        return mixed + mix_tokens(tokens, self.new.strengths(gate_input), self.new.prompts), gates


def mix_tokens(tokens: Tensor, gates: Tensor, prompts: Tensor) -> Tensor:
    """Sum over experts of g_i (x P_i): tokens `(...,D)`, gates `(...,N)`, prompts `(N,D,D)`."""
    # Dense: N is small, and one matrix product over all experts needs no synchronization.
    experts = torch.einsum("...d,ndk->...nk", tokens, prompts)
    return torch.einsum("...n,...nk->...k", gates, experts)
