"""EXIF orientation: read from raw EXIF bytes, applied to pixels, and set to 1 in the bytes.

The bytes are patched where the one value stands. Writing EXIF anew would move the offsets that
camera makers' notes rely on.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from diffir.contracts.picture import AnyPixels

TAG = 0x0112
_IN_XMP = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>))[2-8]""")
"""As an attribute, or as an element."""
_FORMATS = {1: "B", 3: "H", 4: "L"}
"""Struct formats of the TIFF types in which writers store the value: BYTE, SHORT, LONG."""


class _Entry(NamedTuple):
    """Where the orientation stands: offsets of its entry, and of the directory around it."""

    order: str
    directory: int
    entry: int
    entries: int
    kind: str


def exif_orientation(exif: bytes) -> int:
    """The orientation 1..8 of a TIFF structure (EXIF 2.3, section 4.6.4); 1 where it has none."""
    found = _find(exif)
    if found is None:
        return 1
    (value,) = struct.unpack_from(found.order + found.kind, exif, found.entry + 8)
    return int(value) if 1 <= value <= 8 else 1


def upright_exif(exif: bytes) -> bytes:
    """The same bytes with the orientation set to 1, where there is one."""
    found = _find(exif)
    if found is None:
        return exif
    patched = bytearray(exif)
    struct.pack_into(found.order + found.kind, patched, found.entry + 8, 1)
    return bytes(patched)


def upright_xmp(xmp: bytes) -> bytes:
    """The same bytes with the orientation that XMP may repeat set to 1."""
    return _IN_XMP.sub(rb"\g<1>1", xmp)


def without_orientation(exif: bytes) -> bytes:
    """The same bytes with the orientation's entry taken out of its directory.

    What follows the entry in the directory moves up by its 12 bytes; everything behind the
    directory stays where it is, so that every offset still holds.
    """
    found = _find(exif)
    if found is None:
        return exif
    end = found.directory + 2 + 12 * found.entries + 4  # the entries, and the next one's offset
    rest = exif[found.entry + 12 : end]
    patched = bytearray(exif)
    patched[found.entry : end] = rest + bytes(12)
    struct.pack_into(found.order + "H", patched, found.directory, found.entries - 1)
    return bytes(patched)


def _find(exif: bytes) -> _Entry | None:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    try:
        (directory,) = struct.unpack_from(order + "L", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for index in range(count):
            entry = directory + 2 + 12 * index
            tag, kind, _ = struct.unpack_from(order + "HHL", exif, entry)
            if tag == TAG and kind in _FORMATS and entry + 12 <= len(exif):
                return _Entry(order, directory, entry, count, _FORMATS[kind])
    except struct.error:  # cut short, or offsets that lead out of it
        pass
    return None


def turn_back(samples: AnyPixels, orientation: int) -> AnyPixels:
    """Undo `turn_upright`: a view of upright samples as the file stores them."""
    return turn_upright(samples, {6: 8, 8: 6}.get(orientation, orientation))


def turn_upright(samples: AnyPixels, orientation: int) -> AnyPixels:
    """Turn and mirror `(H,W,C)` samples, stored under an EXIF orientation, to stand upright.

    Args:
        samples: as stored in the file.
        orientation: 1..8: where row 0 and column 0 of the stored samples belong.

    Returns:
        `(H,W,C)`, or `(W,H,C)` for orientations 5..8.
    """
    if orientation >= 5:  # stored with rows and columns exchanged
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples
