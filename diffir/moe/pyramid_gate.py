"""The published gate, in full: one for all codecs, or one per task; noise in training or always.

Equation 3 of MoE-DiffIR, per token: p = softmax(x Wc + n (softplus(x Wn) + .01)), n ~ N(0,1); the K
largest p stay, and are not renormalized. `diffir.moe.gate` is the light model's, blind to tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.moe.gate import NOISE_FLOOR

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARE_FLOOR = 1e-5
"""What the published code adds to each share before it chooses."""
NOISE_SEED = 42
"""Of the noise in use: the published test's."""


class PyramidGate(nn.Module):
    """Weights of N experts, K of them above zero.

    Args:
        width: width D of what the gate looks at.
        experts, top_k: number of experts N, and how many take part, K <= N.
        tasks: number of tasks that have a gate of their own, or None for one gate.
        noise_draws: in use, the gates are averaged over so many draws; 0 leaves the noise out.
        renormalize: let the chosen ones sum to 1.

    Attributes:
        weight: `(2N,D)`, or `(T,2N,D)`: rows 0 to N-1 are clean logits, the others noise.
    """

    def __init__(
        self,
        width: int,
        *,
        experts: int,
        top_k: int,
        tasks: int | None = None,
        noise_draws: int = 0,
        renormalize: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= top_k <= experts:
            raise ValueError(f"top_k must be in 1..{experts} (the number of experts), got {top_k}")
        self.width, self.experts, self.top_k = width, experts, top_k
        self.noise_draws, self.renormalize = noise_draws, renormalize
        shape = (2 * experts, width) if tasks is None else (tasks, 2 * experts, width)
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, seen: Tensor, tasks: Sequence[Sequence[int]]) -> Tensor:
        """`(B,h,w,D)` to gates `(B,h,w,N)`: zero where an expert was not chosen.

        Args:
            seen: what the gate looks at.
            tasks: per picture, the tasks that it may be of; their logits are averaged.
        """
        clean, spread = self._logits(seen, tasks).float().chunk(2, dim=-1)
        spread = F.softplus(spread) + NOISE_FLOOR
        if self.training:
            gates = self._choose(clean + torch.randn_like(clean) * spread)
        elif self.noise_draws:
            gates = self._average(clean, spread)
        else:
            gates = self._choose(clean)
        return gates.to(seen.dtype)

    def _logits(self, seen: Tensor, tasks: Sequence[Sequence[int]]) -> Tensor:
        if self.weight.ndim == 2:
            return F.linear(seen, self.weight)
        # A gate is linear, so the mean of logits is the logit of mean weights.
        weights = torch.stack(
            [
                self.weight[list(one)].mean(dim=0) if one else self.weight.mean(dim=0)
                for one in tasks
            ]
        )
        return torch.einsum("bhwd,bnd->bhwn", seen, weights)

    def _choose(self, logits: Tensor) -> Tensor:
        shares = logits.softmax(dim=-1) + SHARE_FLOOR
        kept, index = shares.topk(self.top_k, dim=-1)
        if self.renormalize:
            kept = kept / kept.sum(dim=-1, keepdim=True)
        return torch.zeros_like(shares).scatter(-1, index, kept)

    def _average(self, clean: Tensor, spread: Tensor) -> Tensor:
        """The mean gates over draws: the published code draws anew at each step of sampling.

        From a generator of its own, picture by picture alike: the same picture gets the same gates.
        """
        generator = torch.Generator().manual_seed(NOISE_SEED)
        total = torch.zeros_like(clean)
        for _ in range(self.noise_draws):
            noise = torch.randn(clean.shape[1:], generator=generator).to(clean)
            total += self._choose(clean + noise * spread)
        return total / self.noise_draws
