"""What stands in a mixture of experts' place when one asks what the mixture is worth.

    moe        a gate mixes K of N matrices:        x -> sum of g_i (x P_i)
    multiple   every vector, softly weighted:       x -> x + sum of s_i v_i      (as in PromptIR)
    single     one matrix for every picture:        x -> x P
    none       the tokens go on as they are:        x -> x

These are the rows of the method's table of prompts. There the single matrix is shared by all
levels; here each level has its own, as widths differ from map to map in the decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from diffir.moe.feature_prompts import FeaturePrompts
from diffir.moe.prompts import PromptPool

if TYPE_CHECKING:
    from collections.abc import Callable

MIXTURES = ("moe", "multiple", "single", "none")


class SinglePrompt(nn.Module):
    """One matrix, at zero at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.prompt = nn.Parameter(torch.zeros(width, width))

    def forward(self, tokens: Tensor, gate_input: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens `(...,D)` to the same shape; the only prompt has the whole share."""
        return tokens @ self.prompt.to(tokens.dtype), _whole_share(tokens)


class MultiplePrompts(nn.Module):
    """Vectors at zero at first, all of which are added, weighted by a softmax.

    Args:
        width: token width D.
        seen_width: width of what decides the weights.
        count: number of vectors.
    """

    def __init__(self, width: int, seen_width: int, count: int) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.zeros(count, width))
        self.weights = nn.Linear(seen_width, count)

    def forward(self, tokens: Tensor, gate_input: Tensor) -> tuple[Tensor, Tensor]:
        """As `PromptPool.forward`."""
        shares = self.weights(gate_input).softmax(dim=-1)
        return tokens + shares @ self.prompts.to(shares.dtype), shares


class NoPrompt(nn.Module):
    """Tokens as they are."""

    def forward(self, tokens: Tensor, gate_input: Tensor) -> tuple[Tensor, Tensor]:
        """As `PromptPool.forward`."""
        return tokens, _whole_share(tokens)


class MapPrompts(nn.Module):
    """Simpler prompts on a map of the decoder, which they change and do not replace.

    Args:
        prompts: act on the map's positions as on tokens.
        added: whether what they return is added to the map, or is the map.
    """

    def __init__(self, prompts: nn.Module, *, added: bool) -> None:
        super().__init__()
        self.on_tokens = prompts
        self.added = added

    def forward(self, x: Tensor, degradation: Tensor | None) -> Tensor:
        """As `FeaturePrompts.forward`."""
        if degradation is None:
            return x
        mixed, _ = self.on_tokens(x.permute(0, 2, 3, 1), degradation[:, None, None])
        changed: Tensor = mixed.permute(0, 3, 1, 2)
        return x + changed if self.added else changed


def token_prompts(
    mixture: str, width: int, *, experts: int, top_k: int, extensible: bool
) -> nn.Module:
    """The prompts of one level of the pyramid, over tokens of width D.

    Raises:
        ValueError: no such mixture.
    """
    makers: dict[str, Callable[[], nn.Module]] = {
        "moe": lambda: PromptPool(width, experts=experts, top_k=top_k, extensible=extensible),
        "multiple": lambda: MultiplePrompts(width, width, experts),
        "single": lambda: SinglePrompt(width),
        "none": NoPrompt,
    }
    return makers[_known(mixture)]()


def map_prompts(
    channels: int, *, mixture: str, degradation_width: int, experts: int, top_k: int
) -> nn.Module:
    """The prompts of one map of the decoder, of C channels.

    Raises:
        ValueError: no such mixture.
    """
    makers: dict[str, Callable[[], nn.Module]] = {
        "moe": lambda: FeaturePrompts(
            channels, degradation_width=degradation_width, experts=experts, top_k=top_k
        ),
        "multiple": lambda: MapPrompts(
            MultiplePrompts(channels, degradation_width, experts), added=False
        ),
        "single": lambda: MapPrompts(SinglePrompt(channels), added=True),
        "none": lambda: MapPrompts(NoPrompt(), added=False),
    }
    return makers[_known(mixture)]()


def _known(mixture: str) -> str:
    if mixture not in MIXTURES:
        raise ValueError(f"mixture must be one of {', '.join(MIXTURES)}, got '{mixture}'")
    return mixture


def _whole_share(tokens: Tensor) -> Tensor:
    return tokens.new_ones((*tokens.shape[:-1], 1))
