"""Degradations one after the other: pictures are saved, posted, and saved again.

A second compression finds the picture cropped or pasted, so its blocks do not lie on the first
one's. The shift is made before the last pass: the blocks of the result start in its corner, as
those of a real file do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from diffir.degradations.codec_degradation import Between, CodecDegradation
from diffir.errors import ComponentError
from diffir.host.manager import default_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.interfaces import Degradation
    from diffir.contracts.picture import AnyPixels, Picture

GRID = 8
"""Side of the blocks, in pixels, that a shift must leave: JPEG's transform."""


class Chain:
    """Several degradations, the first one first.

    Args:
        degradations: one or more.
        shift: before each pass but the last, move the picture off the 8x8 grid by up to 7 rows and
            columns (mirrored borders, so nothing is cut off), and back after it.

    Raises:
        ComponentError: there is none.
    """

    def __init__(self, degradations: Sequence[Degradation], *, shift: bool) -> None:
        self.degradations = tuple(degradations)
        self.shift = shift
        if not self.degradations:
            raise ComponentError(
                "a chain needs one degradation or more, got none",
                hint="Give the degradations in the order in which they happen.",
            )

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Pass the picture through all of them.

        Returns:
            A picture of the same size; `codec` tells of the last pass, all that bytes can tell.
        """
        *earlier, last = self.degradations
        for degradation in earlier:
            degrade = _degrade_shifted if self.shift else _degrade
            picture = degrade(degradation, picture, rng)
        return last.degrade(picture, rng)


def _degrade(degradation: Degradation, picture: Picture, rng: np.random.Generator) -> Picture:
    return degradation.degrade(picture, rng)


def _degrade_shifted(
    degradation: Degradation, picture: Picture, rng: np.random.Generator
) -> Picture:
    rows, columns = divmod(int(rng.integers(1, GRID * GRID)), GRID)  # never (0, 0): on the grid
    border = ((rows, 0), (columns, 0), (0, 0))
    padded = cast("AnyPixels", np.pad(picture.pixels, border, mode="reflect"))
    shifted = replace(picture, pixels=padded, alpha=None)
    degraded = degradation.degrade(shifted, rng)
    return picture.with_pixels(degraded.pixels[rows:, columns:], codec=degraded.codec)


def double_jpeg() -> Chain:
    """JPEG at quality 10 to 50, twice, the two grids apart."""
    jpeg = default_host().codec("jpeg")
    return Chain([CodecDegradation(jpeg, Between(10, 50)) for _ in range(2)], shift=True)


def web_repost() -> Chain:
    """WebP at quality 5 to 50, then JPEG at 20 to 60: saved from a page and posted again."""
    host = default_host()
    page = CodecDegradation(host.codec("webp"), Between(5, 50))
    repost = CodecDegradation(host.codec("jpeg"), Between(20, 60))
    return Chain([page, repost], shift=True)
