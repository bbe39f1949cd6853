"""How a figure is taken, under a name that stands beside it in every report.

    file -> source -> task.degrade -> view -> what a restorer is given, and "as compressed"
               '--------------------> view -> the reference that all are compared with

The protocol decides several dB: the same JPEGs of LIVE1 measure 25.69 dB on RGB, 27.77 dB on gray,
and 29.70 dB (the mean of three qualities) when they are made small afterwards.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from diffir.contracts.picture import Picture
from diffir.errors import UnknownComponentError
from diffir.evaluate.protocol_pixels import as_8bit, matlab_luma, small_square

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffir.contracts.codec import Pixels


@dataclass(frozen=True)
class Protocol:
    """A way to take figures.

    summary: for the report. gray: pictures are of one channel, and so are restored ones.
    make_source: pixels before they are degraded, all `(H,W,3) uint8`; `None` keeps them.
    make_view: pixels after it, of the reference as of the degraded; `None` keeps them.
    """

    name: str
    summary: str
    gray: bool = False
    make_source: Callable[[Pixels], Pixels] | None = None
    make_view: Callable[[Pixels], Pixels] | None = None

    def reference(self, picture: Picture) -> Picture:
        """The picture that is degraded: its colors, 8 bits, nothing else."""
        pixels = as_8bit(picture.pixels)
        if self.make_source is not None:
            pixels = self.make_source(pixels)
        return Picture(pixels, gray=picture.gray or self.gray)

    def view(self, picture: Picture) -> Picture:
        """The picture that a restorer is given and that is compared; its codec stays known."""
        if self.make_view is None:
            return picture
        return picture.with_pixels(self.make_view(as_8bit(picture.pixels)))

    def random(self, seed: int, *, task: str, picture: int) -> np.random.Generator:
        """The generator of one task on one picture; no other task or picture changes it."""
        return np.random.default_rng([seed, crc32(task.encode()), picture])


NATIVE_RGB = Protocol(
    name="native-rgb",
    summary="native size, no resize, no crop; RGB as stored, rounded to 8 bits; "
    "each figure the mean over the pictures",
)
PAPER_256 = Protocol(
    name="paper-256",
    summary="as the official test of MoE-DiffIR: degraded at native size; then reference and "
    "degraded picture alike resized by Lanczos down to multiples of 32, bilinearly to a short side "
    "of 256 without antialias, and cropped to the middle 256x256, rounded to 8 bits; the restorer "
    "sees that; RGB; bpp of the file at native size",
    make_view=small_square,
)
MATLAB_Y_GRAY = Protocol(
    name="matlab-y-gray",
    summary="native size; color pictures become MATLAB's luma (BT.601, 16 to 235, rounded), gray "
    "ones stay; that one channel is degraded, restored and compared",
    gray=True,
    make_source=matlab_luma,
)
PROTOCOLS = {one.name: one for one in (NATIVE_RGB, PAPER_256, MATLAB_Y_GRAY)}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UnknownComponentError: there is none; the hint names the nearest one, or all.
    """
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name, PROTOCOLS, n=1)
        raise UnknownComponentError(
            f"there is no protocol called '{name}'",
            hint=f"Did you mean {near[0]}?" if near else f"Known: {', '.join(PROTOCOLS)}.",
        )
    return PROTOCOLS[name]
