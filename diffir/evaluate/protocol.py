"""How a figure is taken, under a name that stands beside it in every report.

The protocol decides several dB: the same JPEGs of LIVE1 measure 25.69 dB on RGB and 28.36 on luma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from diffir.contracts.picture import Picture

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels
    from diffir.contracts.picture import AnyPixels


@dataclass(frozen=True)
class Protocol:
    """A way to take figures: what a picture is before it is degraded, and what is compared."""

    name: str
    summary: str

    def reference(self, picture: Picture) -> Picture:
        """The picture that is degraded and compared with: its colors, 8 bits, nothing else."""
        return Picture(as_8bit(picture.pixels), gray=picture.gray)

    def random(self, seed: int, *, task: str, picture: int) -> np.random.Generator:
        """The generator of one task on one picture; no other task or picture changes it."""
        return np.random.default_rng([seed, crc32(task.encode()), picture])


NATIVE_RGB = Protocol(
    name="native-rgb",
    summary="native size, no resize, no crop; RGB as stored, rounded to 8 bits; "
    "each figure the mean over the pictures",
)


def as_8bit(pixels: AnyPixels) -> Pixels:
    """Round `(H,W,3)` of 16 bits to 8; those of 8 bits come back as they are."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    return np.rint(pixels.astype(np.float64) / 257).astype(np.uint8)
