"""Reads how an H.266/VVC picture was compressed from its headers: Rec. ITU-T H.266, 7.3.2.

    sequence parameter set     chroma format, bit depth, size, profile     7.3.2.4
    picture parameter set      the QP to start from                        7.3.2.5
    picture header             alone, or inside the slice header           7.3.2.8
    slice header               sh_qp_delta                                 7.3.7

Only what is needed to get to `sh_qp_delta` of an intra slice is read; all else is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.codecs.bit_reader import BitReader
from diffir.codecs.nal_units import unescape
from diffir.errors import CodecError
from diffir_vvc.picture_headers import read_picture_set, read_slice_qp
from diffir_vvc.sequence_set import read_sequence_set

if TYPE_CHECKING:
    from collections.abc import Sequence

# `nal_unit_type`, table 5.
LAST_SLICE = 11
VIDEO_SET, SEQUENCE_SET, PICTURE_SET, PICTURE_HEADER = 14, 15, 16, 19
DELIMITER, SEI = 20, 23
HEADER_BYTES = 2
"""Of a NAL unit, 7.3.1.2."""

HEADER_IN_SLICE = 0x80
"""`sh_picture_header_in_slice_header_flag`, the first bit of a slice."""

MOST_SLICE_HEADER = 512
"""In bytes; the rest of a slice needs no unescaping."""


@dataclass(frozen=True)
class VvcHeader:
    """What the headers of the first picture say.

    width, height: in pixels, the conformance window applied. slice_qp: of the first slice, before
    coding units change it; `None` where tiles, subpictures or reference lists stand before it.
    chroma_format: 0 for 4:0:0, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4. frames: in the stream.
    """

    width: int
    height: int
    slice_qp: int | None
    chroma_format: int
    bit_depth: int
    profile: int
    frames: int


def nal_type(unit: bytes) -> int:
    """`nal_unit_type`, 7.3.1.2; the unit has its header's two bytes."""
    return unit[1] >> 3


def slices(units: Sequence[bytes]) -> list[bytes]:
    """The units that hold coded pictures."""
    return [unit for unit in units if len(unit) > HEADER_BYTES and nal_type(unit) <= LAST_SLICE]


def count_pictures(units: Sequence[bytes]) -> int:
    """Pictures in the stream: each has one picture header, in a unit or in its only slice."""
    alone = len(_all(units, PICTURE_HEADER))
    return alone + sum(1 for unit in slices(units) if unit[HEADER_BYTES] & HEADER_IN_SLICE)


def read_vvc(units: Sequence[bytes]) -> VvcHeader:
    """Read the headers of the first picture.

    Args:
        units: NAL units of a whole stream, parameter sets included.

    Raises:
        CodecError: a header is missing, damaged, or the first picture is not intra.
    """
    sequence = read_sequence_set(_first(units, SEQUENCE_SET, "sequence parameter set"))
    picture = read_picture_set(_first(units, PICTURE_SET, "picture parameter set"))
    coded = slices(units)
    if not coded:
        raise CodecError("the VVC stream holds no picture: a slice was expected")
    slice_qp = None
    if picture is not None and not sequence.subpictures:
        first = coded[0]
        alone = not first[HEADER_BYTES] & HEADER_IN_SLICE
        slice_qp = read_slice_qp(
            BitReader(unescape(first[HEADER_BYTES:MOST_SLICE_HEADER])),
            nal_type(first),
            sequence,
            picture,
            header=_first(units, PICTURE_HEADER, "picture header") if alone else None,
        )
    return VvcHeader(
        width=sequence.width,
        height=sequence.height,
        slice_qp=slice_qp,
        chroma_format=sequence.chroma_format,
        bit_depth=sequence.bit_depth,
        profile=sequence.profile,
        frames=count_pictures(units),
    )


def _all(units: Sequence[bytes], wanted: int) -> list[bytes]:
    return [unit for unit in units if len(unit) > HEADER_BYTES and nal_type(unit) == wanted]


def _first(units: Sequence[bytes], wanted: int, name: str) -> BitReader:
    for unit in _all(units, wanted):
        return BitReader(unescape(unit[HEADER_BYTES:]))
    raise CodecError(f"the VVC stream holds no {name}: it cannot be read")
