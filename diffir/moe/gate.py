"""Which experts take part, and with what weight: the noisy top-k gate (MoE-DiffIR, equation 3).

Experts that are added later, for a codec that the model was not trained on, take part always.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOISE_FLOOR = 1e-2


class NoisyTopK(nn.Module):
    """Weights of N experts, K of them above zero.

    Args:
        width: width D of what the gate looks at.
        experts: number of experts N.
        top_k: how many take part, K <= N.
    """

    def __init__(self, width: int, *, experts: int, top_k: int) -> None:
        super().__init__()
        if not 1 <= top_k <= experts:
            raise ValueError(f"top_k must be in 1..{experts} (the number of experts), got {top_k}")
        self.top_k = top_k
        self.logits = nn.Linear(width, 2 * experts, bias=False)
        nn.init.zeros_(self.logits.weight)

    def forward(self, seen: Tensor) -> Tensor:
        """`(...,D)` to gates `(...,N)`: zero where an expert was not chosen, not renormalized."""
        clean, noise = self.logits(seen).float().chunk(2, dim=-1)
        if self.training:
            # Noise explores while learning; a finished model must not change its mind.
            clean = clean + torch.randn_like(clean) * (F.softplus(noise) + NOISE_FLOOR)
        shares = clean.softmax(dim=-1)
        kept, index = shares.topk(self.top_k, dim=-1)
        return torch.zeros_like(shares).scatter(-1, index, kept).to(seen.dtype)


class NewExperts(nn.Module):
    """Experts for a codec that came later: prompts at zero, so that at first nothing changes.

    Args:
        width: width of the tokens or channels of the map that the prompts act on.
        seen_width: width D of what decides their strength.
        count: number of experts M.
    """

    def __init__(self, width: int, seen_width: int, count: int) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.zeros(count, width, width))
        self.strength = nn.Linear(seen_width, count)
        # Not at zero: equal experts would get equal gradients, and stay equal.
        nn.init.normal_(self.strength.weight, std=0.1)
        nn.init.zeros_(self.strength.bias)

    def strengths(self, seen: Tensor) -> Tensor:
        """`(...,D)` to `(...,M)` in (0,2), about 1 at first."""
        strengths: Tensor = 2 * self.strength(seen).sigmoid()
        return strengths
