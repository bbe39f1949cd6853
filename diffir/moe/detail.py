"""Levels of the decoder that only the rich estimate has: what it adds to the faithful one.

They look at the faithful levels' maps, detached, coarsest first, and have expert prompts of their
own.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from diffir.diffusion.layers import stack, upsample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from diffir.moe.feature_prompts import FeaturePrompts


class DetailLevels(nn.Module):
    """Maps of the faithful levels to detail.

    Args:
        widths: channels of the maps, coarsest first.
        blocks: residual blocks per level.
        prompts: makes the expert prompts of a map of so many channels.
    """

    def __init__(
        self, *, widths: Sequence[int], blocks: int, prompts: Callable[[int], FeaturePrompts]
    ) -> None:
        super().__init__()
        self.prompts = nn.ModuleList(prompts(width) for width in widths)
        self.levels = nn.ModuleList(stack(width, blocks) for width in widths)
        self.ups = nn.ModuleList(upsample(a, b) for a, b in itertools.pairwise(widths))
        self.head = nn.Conv2d(widths[-1], 12, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)

    def forward(self, maps: Sequence[Tensor], degradation: Tensor | None) -> Tensor:
        """`(B,Cl,h,w)` per level and `(B,D)` to `(B,12,h,w)`, 2x2 pixels folded into channels."""
        x: Tensor | None = None
        for index, (prompts, level) in enumerate(zip(self.prompts, self.levels, strict=True)):
            seen = prompts(maps[index].detach(), degradation)
            x = level(seen if x is None else seen + self.ups[index - 1](x))
        return cast("Tensor", self.head(x))
