"""What one run yields: two residuals, and the fidelity dial between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diffir.restore.consistency import Consistency, make_consistent
from diffir.restore.tensors import add_residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diffir.contracts.picture import AnyPixels, Picture
    from diffir.restore.pack_choice import Treatment

DEFAULT_FIDELITY = 0.05
"""Chosen by measurement: see the model card."""

ROWS_AT_ONCE = 512
COLORLESS = 2 / 255
"""How far apart the channels of a picture without color may be: codecs round on the way to RGB."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """The faithful and the rich estimate of a picture, as differences to it.

    Differences are small, so half precision keeps even 16 bits a channel, and a large picture's
    two estimates fit into memory.

    faithful, rich: `(H,W,3) float16`, in units of the full range. experts: mean share of each
    expert prompt, none where no expert was asked. tile: side of the tiles in the end, in pixels.
    treatment: what the model was told of the codec, the share of the differences that is let
    through, and the pack that served. consistent: whether pictures are kept consistent with their
    files. views: of how many positions of the picture the faithful estimate is the mean.
    """

    picture: Picture
    faithful: NDArray[np.float16]
    rich: NDArray[np.float16]
    experts: tuple[float, ...]
    tile: int
    treatment: Treatment
    consistent: bool = False
    views: int = 1

    def at(self, fidelity: float = DEFAULT_FIDELITY) -> Picture:
        """The picture at a setting of the dial: 0 is rich, 1 is faithful; no second run.

        Raises:
            ValueError: `fidelity` is not in [0,1].
        """
        return self.developed(fidelity)[0]

    def developed(self, fidelity: float) -> tuple[Picture, Consistency | None]:
        """The picture as from `at`, and what came of its consistency where that was asked for.

        Raises:
            ValueError: `fidelity` is not in [0,1].
        """
        if not 0 <= fidelity <= 1:
            raise ValueError(f"fidelity must be in [0,1], got {fidelity}")
        pixels = self.picture.pixels
        gray = self.picture.gray or _is_colorless(pixels)  # nothing may put specks of color there
        restored = np.empty_like(pixels)
        for top in range(0, self.picture.height, ROWS_AT_ONCE):
            rows = slice(top, top + ROWS_AT_ONCE)
            rich = self.rich[rows].astype(np.float32)
            residual = rich + fidelity * (self.faithful[rows].astype(np.float32) - rich)
            residual *= self.treatment.strength
            restored[rows] = add_residual(pixels[rows], residual, gray=gray)
        picture = self.picture.with_pixels(restored)
        if not self.consistent:
            return picture, None
        if self.treatment.strength == 0:  # a good picture comes back as it is
            return picture, Consistency(None, "nothing was changed")
        return make_consistent(picture)


def _is_colorless(pixels: AnyPixels) -> bool:
    """Whether `(H,W,3)` pixels show no color anywhere; few rows tell that of a colored picture."""
    most = COLORLESS * np.iinfo(pixels.dtype).max
    for top in range(0, pixels.shape[0], ROWS_AT_ONCE):
        red, green, blue = np.moveaxis(pixels[top : top + ROWS_AT_ONCE], 2, 0)
        highest = np.maximum(np.maximum(red, green), blue)
        lowest = np.minimum(np.minimum(red, green), blue)
        if (highest - lowest).max() > most:
            return False
    return True
