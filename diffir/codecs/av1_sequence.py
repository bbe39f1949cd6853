"""The sequence header of an AV1 stream, and the units that streams are made of.

Section numbers are those of the AV1 Bitstream & Decoding Process Specification.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diffir.codecs.bit_reader import BitReader
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

SELECT = 2  # SELECT_SCREEN_CONTENT_TOOLS and SELECT_INTEGER_MV: each frame says for itself
_SRGB = (1, 13, 0)  # primaries, transfer, matrix


def units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each unit, 5.3."""
    position = 0
    while position < len(data):
        reader = BitReader(data[position : position + 10])
        if reader.flag():
            raise CodecError("not an AV1 stream: the forbidden bit of a unit is set")
        kind, extended, sized = reader.bits(4), reader.flag(), reader.flag()
        reader.skip(9 if extended else 1)
        size = reader.leb128() if sized else len(data) - position - reader.position // 8
        start = position + reader.position // 8
        if start + size > len(data):
            raise CodecError("a unit of the AV1 stream is cut short")
        yield kind, data[start : start + size]
        position = start + size


@dataclass
class ColorConfig:
    """color_config(), 5.5.2."""

    bit_depth: int = 8
    monochrome: bool = False
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False
    across: int = 1
    down: int = 1
    separate_uv_deltas: bool = False

    @property
    def subsampling(self) -> str:
        """The chroma format."""
        if self.monochrome:
            return "4:0:0"
        return {(1, 1): "4:2:0", (1, 0): "4:2:2"}.get((self.across, self.down), "4:4:4")


@dataclass
class Sequence:
    """sequence_header_obu(), 5.5.1; only what later syntax or the caller needs."""

    profile: int = 0
    still_picture: bool = False
    reduced: bool = False
    removal_time_bits: int = 0
    presentation_time_bits: int = 0
    decoder_model: bool = False
    points: tuple[tuple[int, bool], ...] = ()
    """Of each operating point: idc, and whether a decoder model is present."""
    width_bits: int = 0
    height_bits: int = 0
    width: int = 0
    height: int = 0
    frame_id_bits: int = 0
    large_superblocks: bool = False
    screen_content: int = SELECT
    integer_mv: int = SELECT
    order_hint_bits: int = 0
    superres: bool = False
    equal_picture_interval: bool = False
    color: ColorConfig = field(default_factory=ColorConfig)


def read_sequence(reader: BitReader) -> Sequence:
    """Read one sequence header.

    Raises:
        CodecError: it is cut short.
    """
    sequence = Sequence(profile=reader.bits(3), still_picture=reader.flag(), reduced=reader.flag())
    if sequence.reduced:
        reader.skip(5)  # seq_level_idx
    else:
        _read_timing_and_points(reader, sequence)
    sequence.width_bits, sequence.height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    sequence.width = reader.bits(sequence.width_bits) + 1
    sequence.height = reader.bits(sequence.height_bits) + 1
    if not sequence.reduced and reader.flag():  # frame_id_numbers_present_flag
        delta_bits = reader.bits(4) + 2
        sequence.frame_id_bits = reader.bits(3) + delta_bits + 1
    sequence.large_superblocks = reader.flag()
    reader.skip(2)  # enable_filter_intra, enable_intra_edge_filter
    if not sequence.reduced:
        _read_tools(reader, sequence)
    sequence.superres = reader.flag()
    reader.skip(2)  # enable_cdef, enable_restoration
    sequence.color = _read_color(reader, sequence.profile)
    return sequence


def _read_timing_and_points(reader: BitReader, sequence: Sequence) -> None:
    """From timing_info_present_flag to the end of the operating points."""
    delay_bits = 0
    if reader.flag():  # timing_info_present_flag
        reader.skip(64)
        sequence.equal_picture_interval = reader.flag()
        if sequence.equal_picture_interval:
            reader.ue()  # num_ticks_per_picture_minus_1: uvlc() is written as ue(v)
        sequence.decoder_model = reader.flag()
        if sequence.decoder_model:
            delay_bits = reader.bits(5) + 1
            reader.skip(32)
            sequence.removal_time_bits = reader.bits(5) + 1
            sequence.presentation_time_bits = reader.bits(5) + 1
    display_delay = reader.flag()
    points = []
    for _ in range(reader.bits(5) + 1):
        idc = reader.bits(12)
        if reader.bits(5) > 7:  # seq_level_idx
            reader.skip(1)  # seq_tier
        model = sequence.decoder_model and reader.flag()
        if model:
            reader.skip(2 * delay_bits + 1)
        if display_delay and reader.flag():
            reader.skip(4)
        points.append((idc, model))
    sequence.points = tuple(points)


def _read_tools(reader: BitReader, sequence: Sequence) -> None:
    """From enable_interintra_compound to the order hint's width."""
    reader.skip(4)  # interintra, masked compound, warped motion, dual filter
    order_hint = reader.flag()
    if order_hint:
        reader.skip(2)  # jnt_comp, ref_frame_mvs
    sequence.screen_content = SELECT if reader.flag() else reader.bits(1)
    if sequence.screen_content:
        sequence.integer_mv = SELECT if reader.flag() else reader.bits(1)
    if order_hint:
        sequence.order_hint_bits = reader.bits(3) + 1


def _read_color(reader: BitReader, profile: int) -> ColorConfig:
    color = ColorConfig()
    high = reader.flag()
    color.bit_depth = 12 if profile == 2 and high and reader.flag() else (10 if high else 8)
    color.monochrome = profile != 1 and reader.flag()
    if reader.flag():  # color_description_present_flag
        color.primaries, color.transfer, color.matrix = (reader.bits(8) for _ in range(3))
    if color.monochrome:
        color.full_range = reader.flag()
        return color
    if (color.primaries, color.transfer, color.matrix) == _SRGB:
        color.full_range, color.across, color.down = True, 0, 0
    else:
        color.full_range = reader.flag()
        color.across, color.down = _read_chroma(reader, profile, color.bit_depth)
        if color.across and color.down:
            reader.skip(2)  # chroma_sample_position
    color.separate_uv_deltas = reader.flag()
    return color


def _read_chroma(reader: BitReader, profile: int, bit_depth: int) -> tuple[int, int]:
    """subsampling_x and subsampling_y."""
    if profile < 2:
        return (1, 1) if profile == 0 else (0, 0)
    if bit_depth < 12:
        return 1, 0
    across = reader.bits(1)
    return across, reader.bits(1) if across else 0
