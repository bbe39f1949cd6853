"""What a HEIF file wants done with decoded pixels: cut, turn, mirror; ISO/IEC 23008-12, 6.5.

They are carried out in the order in which the file lists them (6.5.1). EXIF's orientation says the
same once more and is not applied.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from diffir.codecs.iso_boxes import Cursor
from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels


def turned(pixels: Pixels, properties: dict[str, bytes]) -> Pixels:
    """Cut, turn and mirror `(H,W,3)` as the picture's properties say.

    Raises:
        CodecError: a property is cut short, or cuts outside of the picture.
    """
    for kind, payload in properties.items():
        if kind == "clap":
            pixels = _cut(pixels, payload)
        elif kind == "irot":  # quarter turns to the left
            pixels = np.rot90(pixels, _two_bits(kind, payload))
        elif kind == "imir":  # 0 swaps top and bottom, 1 left and right
            pixels = np.flip(pixels, _two_bits(kind, payload) & 1)
    return np.ascontiguousarray(pixels)


def _two_bits(kind: str, payload: bytes) -> int:
    if not payload:
        raise CodecError(f"the {kind!r} box is cut short")
    return payload[0] & 3


def cut_size(properties: dict[str, bytes]) -> tuple[int, int] | None:
    """Columns and rows of what the clean aperture leaves; `None` without one.

    Raises:
        CodecError: it is cut short.
    """
    if "clap" not in properties:
        return None
    width, height, *_ = _aperture(properties["clap"])
    return int(width), int(height)


def _aperture(payload: bytes) -> list[Fraction]:
    """Width, height, and how far right and down of the picture's center theirs is."""
    cursor = Cursor(payload)
    return [_fraction(cursor, signed=index > 1) for index in range(4)]


def _cut(pixels: Pixels, payload: bytes) -> Pixels:
    width, height, across, down = _aperture(payload)
    left, top = (
        int(offset + (side - size) / 2)
        for offset, side, size in (
            (across, pixels.shape[1], width),
            (down, pixels.shape[0], height),
        )
    )
    columns, rows = int(width), int(height)
    inside = left >= 0 and top >= 0 and columns >= 1 and rows >= 1
    if not (inside and left + columns <= pixels.shape[1] and top + rows <= pixels.shape[0]):
        raise CodecError(
            f"the file wants {columns}x{rows} pixels at ({left}, {top}) cut out of a picture of "
            f"{pixels.shape[1]}x{pixels.shape[0]}"
        )
    return pixels[top : top + rows, left : left + columns]


def _fraction(cursor: Cursor, *, signed: bool) -> Fraction:
    above, below = cursor.number(4), cursor.number(4)
    if signed and above >= 1 << 31:
        above -= 1 << 32
    if not below:
        raise CodecError("the 'clap' box divides by zero")
    return Fraction(above, below)
