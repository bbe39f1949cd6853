"""Reads how an MPEG-2 picture was compressed from its headers: ISO/IEC 13818-2, section 6.2.

sequence header, sequence extension      size, chroma format, profile     6.2.2.1, 6.2.2.3
picture coding extension                 q_scale_type, precision of DC    6.2.3.1
slice                                    quantiser_scale_code             6.2.4
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.codecs.bit_reader import BitReader
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = b"\x00\x00\x01"
PICTURE, SEQUENCE, EXTENSION = 0x00, 0xB3, 0xB5
FIRST_SLICE, LAST_SLICE = 0x01, 0xAF
SEQUENCE_EXTENSION, PICTURE_CODING_EXTENSION = 1, 8
INTRA_PICTURE = 1
# From this height on a slice carries three more bits of its vertical position.
TALL = 2800


@dataclass(frozen=True)
class Mpeg2Header:
    """What the headers of the first picture say.

    scale_code: `quantiser_scale_code` of the first slice, 1 to 31, before macroblocks change it.
    nonlinear: `q_scale_type`, whether the codes stand for the table of steps that grow, instead of
    for twice their value. chroma_format: 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4. profile_level:
    `profile_and_level_indication`. frames: pictures in the stream.
    """

    width: int
    height: int
    scale_code: int
    nonlinear: bool
    chroma_format: int
    dc_bits: int
    profile_level: int
    frames: int


def is_mpeg2(data: bytes) -> bool:
    """Whether the bytes begin with a sequence header that a sequence extension follows."""
    if not data.startswith(PREFIX + bytes([SEQUENCE])):
        return False
    following = data.find(PREFIX, 4, 4 + 256)
    return following > 0 and data[following + 3 : following + 4] == bytes([EXTENSION])


def read_mpeg2(data: bytes) -> Mpeg2Header:
    """Read the headers of the first picture.

    Args:
        data: an elementary stream, from its sequence header on.

    Raises:
        CodecError: a header is missing, empty or cut short, or the first picture is not intra.
    """
    sections = list(_sections(data))
    width, height = _size(_first(sections, SEQUENCE, "sequence header"))
    sequence = _extension(sections, SEQUENCE_EXTENSION, "sequence extension")
    profile_level = sequence.bits(8)
    sequence.skip(1)
    chroma_format = sequence.bits(2)
    width += sequence.bits(2) << 12
    height += sequence.bits(2) << 12
    if not (width and height):
        raise CodecError(f"the MPEG-2 sequence header says {width}x{height}: it is damaged")
    picture = _first(sections, PICTURE, "picture")
    picture.skip(10)
    if picture.bits(3) != INTRA_PICTURE:
        raise CodecError("the first MPEG-2 picture is not intra: a still picture was expected")
    coding = _extension(sections, PICTURE_CODING_EXTENSION, "picture coding extension")
    coding.skip(16)
    dc_bits = 8 + coding.bits(2)
    coding.skip(5)
    nonlinear = bool(coding.bits(1))
    return Mpeg2Header(
        width=width,
        height=height,
        scale_code=_scale_code(sections, height),
        nonlinear=nonlinear,
        chroma_format=chroma_format,
        dc_bits=dc_bits,
        profile_level=profile_level,
        frames=count_pictures(data),
    )


def count_pictures(data: bytes) -> int:
    """Pictures in an elementary stream, by their start codes."""
    return data.count(PREFIX + bytes([PICTURE]))


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The start codes and what follows each, up to the next."""
    for piece in data.split(PREFIX)[1:]:
        if piece:
            yield piece[0], piece[1:]


def _first(sections: list[tuple[int, bytes]], wanted: int, name: str) -> BitReader:
    for code, content in sections:
        if code == wanted:
            return BitReader(content)
    raise CodecError(f"the MPEG-2 stream holds no {name}: it cannot be read")


def _extension(sections: list[tuple[int, bytes]], wanted: int, name: str) -> BitReader:
    for code, content in sections:
        if code == EXTENSION and content[:1] and content[0] >> 4 == wanted:
            reader = BitReader(content)
            reader.skip(4)
            return reader
    raise CodecError(f"the MPEG-2 stream holds no {name}: MPEG-1, or damaged")


def _size(reader: BitReader) -> tuple[int, int]:
    return reader.bits(12), reader.bits(12)


def _scale_code(sections: list[tuple[int, bytes]], height: int) -> int:
    for code, content in sections:
        if FIRST_SLICE <= code <= LAST_SLICE:
            reader = BitReader(content)
            reader.skip(3 if height > TALL else 0)
            return reader.bits(5)
    raise CodecError("the MPEG-2 stream holds no slice: it is cut short")
