"""The header of an AV1 stream's first frame, down to its quantizer.

Section numbers are those of the AV1 Bitstream & Decoding Process Specification.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffir.codecs.av1_sequence import SELECT, Sequence, read_sequence, units
from diffir.codecs.bit_reader import BitReader
from diffir.errors import CodecError

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6  # obu_type, 6.2.2
_KEY_FRAME, _INTRA_ONLY = 0, 2  # frame_type, 6.8.2
_ALL_FRAMES = 0xFF


@dataclass(frozen=True)
class Av1Header:
    """What the headers say. `base_q_idx` is 0..255, 0 the finest; sizes are in pixels.

    quantizer_deltas: of y_dc, u_dc, u_ac, v_dc, v_ac against `base_q_idx`.
    primaries, transfer, matrix: code points of ITU-T H.273, 2 for unspecified.
    """

    profile: int
    still_picture: bool
    width: int
    height: int
    bit_depth: int
    subsampling: str
    primaries: int
    transfer: int
    matrix: int
    full_range: bool
    base_q_idx: int
    quantizer_deltas: tuple[int, ...]
    quantizer_matrices: bool

    @property
    def lossless(self) -> bool:
        """Whether the frame's samples are coded exactly, if no segment says otherwise."""
        return self.base_q_idx == 0 and not any(self.quantizer_deltas)


def read_av1(obus: bytes) -> Av1Header:
    """Read the headers of the first frame, which must be coded within itself.

    Args:
        obus: open bitstream units in the low-overhead format (5.2), as AVIF, MP4 and FFmpeg's
            packets carry them.

    Raises:
        CodecError: no sequence or frame header, an inter frame first, damaged, or cut short.
    """
    sequence: Sequence | None = None
    for kind, payload in units(obus):
        if kind == _SEQUENCE_HEADER:
            sequence = read_sequence(BitReader(payload))
        elif kind in (_FRAME_HEADER, _FRAME):
            if sequence is None:
                raise CodecError("the AV1 stream has a frame before its sequence header")
            return _frame_header(sequence, BitReader(payload))
    raise CodecError("the AV1 stream has no frame")


def _frame_header(sequence: Sequence, reader: BitReader) -> Av1Header:
    """uncompressed_header(), 5.9.2, from its beginning to using_qmatrix."""
    override, screen_content, fixed_cdf = _skip_to_frame_size(sequence, reader)
    width, height, coded_width = _frame_size(sequence, reader, override=override)
    if reader.flag():  # render_and_frame_size_different
        reader.skip(32)
    if screen_content and coded_width == width:
        reader.skip(1)  # allow_intrabc
    if not sequence.reduced and not fixed_cdf:
        reader.skip(1)  # disable_frame_end_update_cdf
    _skip_tile_info(reader, coded_width, height, large=sequence.large_superblocks)
    base, deltas, matrices = _quantization(sequence, reader)
    color = sequence.color
    return Av1Header(
        profile=sequence.profile,
        still_picture=sequence.still_picture,
        width=width,
        height=height,
        bit_depth=color.bit_depth,
        subsampling=color.subsampling,
        primaries=color.primaries,
        transfer=color.transfer,
        matrix=color.matrix,
        full_range=color.full_range,
        base_q_idx=base,
        quantizer_deltas=deltas,
        quantizer_matrices=matrices,
    )


def _skip_to_frame_size(sequence: Sequence, reader: BitReader) -> tuple[bool, bool, bool]:
    """frame_size_override_flag, allow_screen_content_tools, disable_cdf_update."""
    shown_key, resilient, override = True, True, False
    if not sequence.reduced:
        shown_key, resilient = _skip_frame_type(sequence, reader)
    fixed_cdf = reader.flag()
    screen = sequence.screen_content
    screen_content = reader.flag() if screen == SELECT else bool(screen)
    if screen_content and sequence.integer_mv == SELECT:
        reader.skip(1)  # force_integer_mv
    reader.skip(sequence.frame_id_bits)
    if not sequence.reduced:
        override = reader.flag()
    reader.skip(sequence.order_hint_bits)
    if sequence.decoder_model and reader.flag():  # buffer_removal_time_present_flag
        _skip_removal_times(sequence, reader)
    if not shown_key:
        refreshed = reader.bits(8)
        if refreshed != _ALL_FRAMES and resilient and sequence.order_hint_bits:
            for _ in range(8):
                if reader.flag():  # ref_order_hint
                    reader.skip(sequence.order_hint_bits)
    return override, screen_content, fixed_cdf


def _skip_frame_type(sequence: Sequence, reader: BitReader) -> tuple[bool, bool]:
    """Whether the frame is a key frame that is shown, and error_resilient_mode."""
    if reader.flag():  # show_existing_frame
        raise CodecError("the AV1 stream begins by showing an earlier frame: a key frame is needed")
    kind, shown = reader.bits(2), reader.flag()
    if kind not in (_KEY_FRAME, _INTRA_ONLY):
        raise CodecError("the first frame of the AV1 stream depends on others")
    if shown and sequence.decoder_model and not sequence.equal_picture_interval:
        reader.skip(sequence.presentation_time_bits)
    if not shown:
        reader.skip(1)  # showable_frame
    shown_key = shown and kind == _KEY_FRAME
    return shown_key, shown_key or reader.flag()


def _skip_removal_times(sequence: Sequence, reader: BitReader) -> None:
    # An idc of 0 means all layers; a still picture or a plain video has just the base layer, which
    # every operating point holds.
    for idc, model in sequence.points:
        if model and (idc == 0 or (idc & 1 and idc >> 8 & 1)):
            reader.skip(sequence.removal_time_bits)


def _frame_size(sequence: Sequence, reader: BitReader, *, override: bool) -> tuple[int, int, int]:
    """Width and height, and the width before super-resolution; 5.9.5 and 5.9.8."""
    width, height = sequence.width, sequence.height
    if override:
        width = reader.bits(sequence.width_bits) + 1
        height = reader.bits(sequence.height_bits) + 1
    coded = width
    if sequence.superres and reader.flag():
        denominator = reader.bits(3) + 9
        coded = (width * 8 + denominator // 2) // denominator
    return width, height, coded


def _skip_tile_info(reader: BitReader, width: int, height: int, *, large: bool) -> None:
    """tile_info(), 5.9.15; counts are in superblocks of 64 or 128 pixels."""
    side = 128 if large else 64
    columns, rows = -(-width // side), -(-height // side)
    widest, area = 4096 // side, 4096 * 2304 // side**2
    least_columns = _log2(widest, columns)
    least = max(least_columns, _log2(area, rows * columns))
    if reader.flag():  # uniform_tile_spacing_flag
        log_columns = _grow(reader, least_columns, _log2(1, min(columns, 64)))
        log_rows = _grow(reader, max(least - log_columns, 0), _log2(1, min(rows, 64)))
    else:
        widths = _sizes(reader, columns, widest)
        area = rows * columns >> (least + 1 if least else 0)
        heights = _sizes(reader, rows, max(area // max(widths), 1))
        log_columns, log_rows = _log2(1, len(widths)), _log2(1, len(heights))
    if log_columns or log_rows:
        reader.skip(log_columns + log_rows + 2)  # context_update_tile_id, tile_size_bytes_minus_1


def _log2(unit: int, target: int) -> int:
    """tile_log2(): the least k with unit * 2^k at or above the target."""
    power = 0
    while unit << power < target:
        power += 1
    return power


def _grow(reader: BitReader, least: int, most: int) -> int:
    """Counts increment flags that are set, up to `most`."""
    value = least
    while value < most and reader.flag():
        value += 1
    return value


def _sizes(reader: BitReader, total: int, largest: int) -> list[int]:
    """Tile sizes of non-uniform spacing, until they fill the total."""
    sizes: list[int] = []
    while (left := total - sum(sizes)) > 0:
        sizes.append(_non_symmetric(reader, min(left, largest)) + 1)
    return sizes


def _non_symmetric(reader: BitReader, count: int) -> int:
    """ns(n), 4.10.7: one of `count` values."""
    width = count.bit_length()
    short = (1 << width) - count
    value = reader.bits(width - 1)
    return value if value < short else (value << 1) - short + reader.bits(1)


def _quantization(sequence: Sequence, reader: BitReader) -> tuple[int, tuple[int, ...], bool]:
    """base_q_idx, the five deltas, using_qmatrix; 5.9.12."""
    base = reader.bits(8)
    y_dc = _delta(reader)
    if sequence.color.monochrome:
        return base, (y_dc, 0, 0, 0, 0), reader.flag()
    different = sequence.color.separate_uv_deltas and reader.flag()
    u = (_delta(reader), _delta(reader))
    v = (_delta(reader), _delta(reader)) if different else u
    return base, (y_dc, *u, *v), reader.flag()


def _delta(reader: BitReader) -> int:
    """read_delta_q(), 5.9.13."""
    return reader.su(7) if reader.flag() else 0
