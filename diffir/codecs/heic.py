"""The HEVC picture inside a HEIC file: its NAL units, and how it is to be turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diffir.codecs.iso_boxes import read_brands, read_heif_image
from diffir.codecs.nal_records import hevc_units
from diffir.codecs.picture_stamp import Stamp
from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels

HEIC_BRANDS = frozenset({"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"})


@dataclass(frozen=True)
class HeicImage:
    """The primary picture of a HEIC file.

    units: NAL units of the picture, or of its first tile, parameter sets first. turns: what to do
    with the decoded pixels, in order: ("irot", quarter turns to the left) or ("imir", 0 to swap
    left and right, 1 to swap top and bottom). size: of the whole picture before turning, if told.
    """

    units: tuple[bytes, ...]
    turns: tuple[tuple[str, int], ...]
    tiles: int
    size: Stamp | None

    def grid_error(self) -> CodecError:
        """What to raise where the picture is a grid of tiles."""
        return CodecError(
            f"a picture coded in one piece was expected, this HEIC file has {self.tiles} tiles",
            hint="Convert it to PNG or JPEG first; the package pillow-heif reads such files.",
        )


def is_heic(data: bytes) -> bool:
    """Whether this is a HEIF file whose primary picture is coded in HEVC."""
    if not HEIC_BRANDS.intersection(read_brands(data)):
        return False
    try:
        return read_heif_image(data).kind == "hvc1"
    except CodecError:
        # Damaged: the brand alone decides, so that whoever decodes it says what is wrong.
        return data[8:11] == b"hei"


def read_heic(data: bytes) -> HeicImage:
    """Find the primary picture.

    Raises:
        CodecError: the file is damaged, cut short, or its picture is of another codec.
    """
    image = read_heif_image(data)
    record = image.properties.get("hvcC")
    if image.kind != "hvc1" or record is None:
        raise CodecError(f"a HEVC picture was expected in the HEIF file, got {image.kind!r}")
    turns = [
        (kind, payload[0] & 3)
        for kind, payload in image.properties.items()
        if kind in ("irot", "imir") and payload
    ]
    size = Stamp(image.width, image.height) if image.width and image.height else None
    units = tuple(hevc_units(record, [image.bitstream]))
    return HeicImage(units, tuple(turns), image.tiles, size)


def turned(pixels: Pixels, turns: tuple[tuple[str, int], ...]) -> Pixels:
    """Turn and mirror `(H,W,3)` as the file says, ISO/IEC 23008-12, 6.5.10 and 6.5.12."""
    for kind, value in turns:
        pixels = np.rot90(pixels, value) if kind == "irot" else np.flip(pixels, 1 - (value & 1))
    return np.ascontiguousarray(pixels)
