"""Noise as an input: what a deterministic network needs to draw grain that does not repeat.

Flat blocks of 8x8 all look the same to it, so whatever it draws into one it draws into each, and
plain backgrounds got a lattice. The noise is a fixed field, not drawn anew: a picture comes out the
same each time. Its side is the grid on which tiles begin, so tiles agree where they overlap.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

SIDE = 32
"""Rows and columns of the field, at half the picture's size: `diffir.restore.tiling.GRID`."""
DEVIATION = 0.03
"""Of fresh weights: in flat blocks grain of about .6 levels in 255, where photographs have 1.1.
From zero they hardly move, for a little noise costs the same whatever its sign."""


class Grain(nn.Module):
    """Adds what a 1x1 convolution makes of the noise to a map at half the picture's size.

    After Karras et al., StyleGAN, 2019, whose noise has one plane, and whose weights begin at zero.

    Args:
        channels: of the map.
        planes: of the noise. Four are as many numbers as the picture has pixels.
    """

    def __init__(self, channels: int, planes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(DEVIATION * torch.randn(channels, planes))
        # On the CPU, whatever the rest is built on: no file brings it.
        source = torch.Generator("cpu").manual_seed(0)
        field = torch.randn(planes, SIDE, SIDE, generator=source, device="cpu")
        self.register_buffer("field", field, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B,C,h,w)` to the same. In training the field is moved by a random step each time."""
        field = cast("Tensor", self.field)
        if self.training:
            down, right = (int(torch.randint(SIDE, ())) for _ in range(2))
            field = field.roll((down, right), (1, 2))
        height, width = x.shape[-2:]
        times = (1, -(-height // SIDE), -(-width // SIDE))
        drawn = torch.einsum("cp,phw->chw", self.weight, field)
        return x + drawn.repeat(times)[:, :height, :width]
