"""Basic prompts and their noisy top-k gate: the mixture of experts of one pyramid level.

Prompts are square matrices, used as bias-free linear experts on tokens, e_i(x) = x P_i; a gate per
token mixes K of the N (MoE-DiffIR, equations 1 and 3). They mix channels and not places, so they
serve a picture of any size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOISE_FLOOR = 1e-2


class PromptPool(nn.Module):
    """N expert prompts over tokens of width D, and the gate that chooses K of them.

    Args:
        width: token width D.
        experts: number of prompts N.
        top_k: how many take part at each token, K <= N.
    """

    def __init__(self, width: int, *, experts: int, top_k: int) -> None:
        super().__init__()
        if not 1 <= top_k <= experts:
            raise ValueError(f"top_k must be in 1..{experts} (the number of experts), got {top_k}")
        self.top_k = top_k
        self.prompts = nn.Parameter(torch.empty(experts, width, width).uniform_(-0.5, 0.5))
        self.gate = nn.Linear(width, 2 * experts, bias=False)
        nn.init.zeros_(self.gate.weight)

    def forward(self, tokens: Tensor, gate_input: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the experts.

        Args:
            tokens: `(...,D)`, what the experts act on.
            gate_input: `(...,D)`, what the gate looks at.

        Returns:
            The mixture `(...,D)`, and the gates `(...,N)`: zero where an expert was not chosen,
            not renormalized, as in the method.
        """
        clean, noise = self.gate(gate_input).float().chunk(2, dim=-1)
        if self.training:
            # Noise explores while learning; a finished model must not change its mind.
            clean = clean + torch.randn_like(clean) * (F.softplus(noise) + NOISE_FLOOR)
        shares = clean.softmax(dim=-1)
        kept, index = shares.topk(self.top_k, dim=-1)
        gates = torch.zeros_like(shares).scatter(-1, index, kept).to(tokens.dtype)
        # Dense: N is small, and one matrix product over all experts needs no synchronization.
        experts = torch.einsum("...d,ndk->...nk", tokens, self.prompts)
        return torch.einsum("...n,...nk->...k", gates, experts), gates
