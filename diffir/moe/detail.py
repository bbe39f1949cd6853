"""Levels of the decoder that only the rich estimate has: what it adds to the faithful one.

They look at the faithful levels' maps, detached, coarsest first, and have expert prompts of their
own. What they add passes a low-pass filter that is flat at low frequencies and zero at half the
sampling rate: LPIPS rewards a checkerboard of 2x2 pixels, and flat water was covered by one.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.diffusion.grain import Grain
from diffir.diffusion.layers import upsample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


HALF_BAND = (-1 / 16, 4 / 16, 10 / 16, 4 / 16, -1 / 16)
"""Taps of the filter: 1 at frequency 0, .75 at a quarter of the sampling rate, 0 at half of it."""


class DetailLevels(nn.Module):
    """Maps of the faithful levels to detail.

    Args:
        widths: channels of the maps, coarsest first.
        blocks: residual blocks per level.
        prompts: makes the expert prompts of a map of so many channels.
        level: makes a level of so many channels and blocks.
        noise_planes: of `Grain` at the finest level; 0 leaves it out.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        blocks: int,
        prompts: Callable[[int], nn.Module],
        level: Callable[[int, int], nn.Module],
        noise_planes: int = 0,
    ) -> None:
        super().__init__()
        self.prompts = nn.ModuleList(prompts(width) for width in widths)
        self.levels = nn.ModuleList(level(width, blocks) for width in widths)
        self.ups = nn.ModuleList(upsample(a, b) for a, b in itertools.pairwise(widths))
        self.grain = Grain(widths[-1], noise_planes) if noise_planes else nn.Identity()
        self.head = nn.Conv2d(widths[-1], 12, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)
        taps = torch.tensor(HALF_BAND, device="cpu")  # whatever the rest is built on
        self.register_buffer("taps", taps.repeat(3, 1, 1, 1), persistent=False)

    def forward(self, maps: Sequence[Tensor], degradation: Tensor | None) -> Tensor:
        """`(B,Cl,h,w)` per level, the finest at half the picture's size, and `(B,D)` to detail.

        Returns:
            `(B,3,2h,2w)`, to be added to the faithful estimate.
        """
        x: Tensor | None = None
        last = len(self.levels) - 1
        for index, (prompts, level) in enumerate(zip(self.prompts, self.levels, strict=True)):
            seen = prompts(maps[index].detach(), degradation)
            seen = seen if x is None else seen + self.ups[index - 1](x)
            x = level(self.grain(seen) if index == last else seen, degradation)
        detail = F.pad(F.pixel_shuffle(self.head(x), 2), (2, 2, 2, 2), mode="replicate")
        taps = cast("Tensor", self.taps)
        across = F.conv2d(detail, taps, groups=3)
        return F.conv2d(across, taps.transpose(2, 3), groups=3)
