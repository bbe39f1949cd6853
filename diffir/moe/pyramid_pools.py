"""How tokens of a pyramid level become its prompt map: the experts, and the method's ablations.

    moe        sum of g_i (x P_i) over the K chosen of N matrices (MoE-DiffIR, equation 1)
    single     x P; one matrix serves all levels
    multiple   x plus a weighted sum of 21 vectors, after PromptIR
    none       x

The ablations are what the published code does under these names, none excepted, for which it has no
path. They look at no gate and at no task.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from diffir.moe.gate import NewExperts
from diffir.moe.prompts import mix_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.moe.pyramid_gate import PyramidGate

Variant = Literal["moe", "single", "multiple", "none"]
VECTORS = 21


class ExpertPool(nn.Module):
    """N expert prompts over tokens of width D.

    Args:
        width: token width D.
        gate: chooses the experts.
    """

    def __init__(self, width: int, gate: PyramidGate) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(gate.experts, width, width).uniform_(-0.5, 0.5))
        self.gate = gate

    def forward(
        self, tokens: Tensor, judged: Tensor, tasks: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """Tokens `(B,h,w,D)` to prompts of that shape, and gates `(B,h,w,N)`.

        Args:
            tokens: what the experts act on.
            judged: `(B,h,w,D)`, what the gate looks at.
            tasks: see `PyramidGate.forward`.
        """
        gates = self.gate(judged, tasks)
        return mix_tokens(tokens, gates, self.prompts), gates

    def with_new_experts(self, count: int) -> nn.Module:
        """See `diffir.contracts.prompt_pack.Transferable`."""
        return TransferredExpertPool(self, count)


class TransferredExpertPool(nn.Module):
    """A pool with `count` experts more, which always take part; the old ones are not changed.

    The gate is learned anew from where it stood: of per-task gates, from their mean.
    """

    def __init__(self, base: ExpertPool, count: int) -> None:
        super().__init__()
        self.base = base
        self.gate = copy.deepcopy(base.gate)
        weight = base.gate.weight.detach()
        self.gate.weight = nn.Parameter(weight.clone() if weight.ndim == 2 else weight.mean(dim=0))
        self.new = NewExperts(base.prompts.shape[-1], base.gate.width, count)

    def forward(
        self, tokens: Tensor, judged: Tensor, tasks: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """As `ExpertPool.forward`; the gates are those of the old experts."""
        gates = self.gate(judged, tasks)
        mixed = mix_tokens(tokens, gates, self.base.prompts)
        return mixed + mix_tokens(tokens, self.new.strengths(judged), self.new.prompts), gates


class NoPrompts(nn.Module):
    """The tokens themselves: "No Prompt"."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(
        self, tokens: Tensor, judged: Tensor, tasks: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """As `ExpertPool.forward`; the one gate is open."""
        return tokens, tokens.new_ones((*tokens.shape[:-1], 1))


class SinglePrompt(NoPrompts):
    """One matrix, zero at first: "Single Prompt"."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.prompt = nn.Parameter(torch.zeros(width, width))

    def forward(
        self, tokens: Tensor, judged: Tensor, tasks: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """As `ExpertPool.forward`."""
        return tokens @ self.prompt, tokens.new_ones((*tokens.shape[:-1], 1))


class WeightedPrompts(NoPrompts):
    """Vectors added by weight, zero at first: "Multiple Prompt"."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.prompts = nn.Parameter(torch.zeros(VECTORS, width))
        self.weights = nn.Linear(width, VECTORS)

    def forward(
        self, tokens: Tensor, judged: Tensor, tasks: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """As `ExpertPool.forward`; the gates are the 21 weights."""
        gates = cast("Tensor", self.weights(tokens)).softmax(dim=-1)
        return tokens + gates @ self.prompts, gates


ABLATIONS: dict[str, type[NoPrompts]] = {
    "single": SinglePrompt,
    "multiple": WeightedPrompts,
    "none": NoPrompts,
}
