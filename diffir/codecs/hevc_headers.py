"""Reads how an H.265/HEVC picture was compressed from its headers: ITU-T H.265, section 7.3.

    sequence parameter set     chroma format, bit depth, size, profile         7.3.2.2
    picture parameter set      the QP to start from, lossless coding units     7.3.2.3
    slice segment header       slice_qp_delta                                  7.3.6.1

Only what is needed to get to `slice_qp_delta` of an intra slice is read; all else is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.codecs.bit_reader import BitReader
from diffir.codecs.nal_units import unescape
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

SEQUENCE_SET, PICTURE_SET, SEI = 33, 34, 39
FIRST_INTRA, LAST_INTRA = 16, 23
IDR = (19, 20)
LAST_SLICE = 31
INTRA_SLICE = 2
MAX_REFERENCE_SETS = 64


@dataclass(frozen=True)
class HevcHeader:
    """What the headers of the first picture say.

    width, height: in pixels, the conformance window applied. slice_qp: of the first slice, before
    coding units change it. chroma_format: 0 for 4:0:0, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    bypass: coding units may skip transform and quantization. frames: pictures in the stream.
    """

    width: int
    height: int
    slice_qp: int
    chroma_format: int
    bit_depth: int
    profile: int
    bypass: bool
    frames: int


@dataclass(frozen=True)
class _SequenceSet:
    profile: int
    chroma_format: int
    separate_planes: bool
    bit_depth: int
    width: int
    height: int
    order_bits: int
    offset_filter: bool
    reference_sets: tuple[int, ...]
    long_term: bool
    long_term_count: int
    temporal_motion: bool


@dataclass(frozen=True)
class _PictureSet:
    output_flag: bool
    extra_bits: int
    initial_qp: int
    bypass: bool


def nal_type(unit: bytes) -> int:
    """`nal_unit_type`, 7.3.1.2."""
    return (unit[0] >> 1) & 0x3F


def read_hevc(units: Sequence[bytes]) -> HevcHeader:
    """Read the headers of the first picture.

    Args:
        units: NAL units of a whole stream, parameter sets included.

    Raises:
        CodecError: a header is missing, damaged, or the first slice is not intra.
    """
    sequence = _sequence_set(_first(units, SEQUENCE_SET, "sequence parameter set"))
    picture = _picture_set(_first(units, PICTURE_SET, "picture parameter set"))
    coded = slices(units)
    if not coded:
        raise CodecError("the HEVC stream holds no picture: a slice was expected")
    return HevcHeader(
        width=sequence.width,
        height=sequence.height,
        slice_qp=_slice_qp(coded[0], sequence, picture),
        chroma_format=sequence.chroma_format,
        bit_depth=sequence.bit_depth,
        profile=sequence.profile,
        bypass=picture.bypass,
        frames=count_pictures(coded),
    )


def slices(units: Sequence[bytes]) -> list[bytes]:
    """The units that hold coded pictures."""
    return [unit for unit in units if nal_type(unit) <= LAST_SLICE]


def count_pictures(coded: Sequence[bytes]) -> int:
    """Pictures that the slices belong to, by `first_slice_segment_in_pic_flag`."""
    return sum(1 for unit in coded if len(unit) > 2 and unit[2] & 0x80)


def _first(units: Sequence[bytes], wanted: int, name: str) -> BitReader:
    for unit in units:
        if nal_type(unit) == wanted:
            return BitReader(unescape(unit[2:]))
    raise CodecError(f"the HEVC stream holds no {name}: it cannot be read")


def _sequence_set(reader: BitReader) -> _SequenceSet:
    reader.skip(4)
    sub_layers = reader.bits(3)
    reader.skip(1)
    profile = _profile(reader, sub_layers)
    reader.ue()
    chroma = reader.ue()
    if chroma > 3:
        raise CodecError(f"HEVC chroma_format_idc must be 0 to 3, got {chroma}")
    separate = chroma == 3 and reader.flag()
    width, height = reader.ue(), reader.ue()
    window = [reader.ue() for _ in range(4)] if reader.flag() else [0, 0, 0, 0]
    across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    bit_depth = 8 + reader.ue()
    reader.ue()
    order_bits = 4 + reader.ue()
    first_layer = 0 if reader.flag() else sub_layers
    for _ in range(3 * (sub_layers + 1 - first_layer)):
        reader.ue()
    _skip_block_tools(reader)
    offset_filter = reader.flag()
    if reader.flag():  # PCM samples
        reader.skip(8)
        reader.ue()
        reader.ue()
        reader.skip(1)
    reference_sets = _reference_sets(reader)
    long_term = reader.flag()
    long_term_count = reader.ue() if long_term else 0
    reader.skip(long_term_count * (order_bits + 1))
    width -= across * (window[0] + window[1])
    height -= down * (window[2] + window[3])
    if width < 1 or height < 1:
        raise CodecError(f"the HEVC headers say {width}x{height}: they are damaged")
    return _SequenceSet(
        profile=profile,
        chroma_format=chroma,
        separate_planes=separate,
        bit_depth=bit_depth,
        width=width,
        height=height,
        order_bits=order_bits,
        offset_filter=offset_filter,
        reference_sets=reference_sets,
        long_term=long_term,
        long_term_count=long_term_count,
        temporal_motion=reader.flag(),
    )


def _profile(reader: BitReader, sub_layers: int) -> int:
    """Pass over `profile_tier_level`, 7.3.3; returns `general_profile_idc`."""
    reader.skip(3)
    profile = reader.bits(5)
    reader.skip(88)
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.skip(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        reader.skip(88 * has_profile + 8 * has_level)
    return profile


def _skip_block_tools(reader: BitReader) -> None:
    for _ in range(6):  # block and transform sizes and depths
        reader.ue()
    if reader.flag() and reader.flag():
        _skip_scaling_lists(reader)
    reader.skip(1)  # asymmetric partitions


def _skip_scaling_lists(reader: BitReader) -> None:
    """Pass over `scaling_list_data`, 7.3.4."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not reader.flag():
                reader.ue()
                continue
            for _ in range(min(64, 16 << 2 * size) + (size > 1)):
                reader.se()


def _reference_sets(reader: BitReader) -> tuple[int, ...]:
    count = reader.ue()
    if count > MAX_REFERENCE_SETS:
        raise CodecError(f"an HEVC stream has at most 64 reference picture sets, got {count}")
    sizes: list[int] = []
    for _ in range(count):
        sizes.append(_reference_set(reader, sizes))
    return tuple(sizes)


def _reference_set(reader: BitReader, sizes: Sequence[int], *, in_slice: bool = False) -> int:
    """Pass over `st_ref_pic_set`, 7.3.7, the one after `sizes`; returns how many pictures it has.

    A set may be told as a change to an earlier one: the one before it, or, in a slice header, any.
    """
    if sizes and reader.flag():
        back = 1 + (reader.ue() if in_slice else 0)
        if back > len(sizes):
            raise CodecError("an HEVC reference picture set builds on one that does not exist")
        reader.skip(1)
        reader.ue()
        return sum(reader.flag() or reader.flag() for _ in range(sizes[-back] + 1))
    count = reader.ue() + reader.ue()
    for _ in range(count):
        reader.ue()
        reader.skip(1)
    return count


def _picture_set(reader: BitReader) -> _PictureSet:
    reader.ue()
    reader.ue()
    reader.skip(1)
    output_flag = reader.flag()
    extra_bits = reader.bits(3)
    reader.skip(2)  # sign hiding, CABAC initialization
    reader.ue()
    reader.ue()
    initial_qp = 26 + reader.se()
    reader.skip(2)  # constrained intra prediction, transform skip
    if reader.flag():
        reader.ue()
    reader.se()
    reader.se()
    reader.skip(3)  # chroma offsets in slices, weighted prediction
    return _PictureSet(output_flag, extra_bits, initial_qp, bypass=reader.flag())


def _slice_qp(unit: bytes, sequence: _SequenceSet, picture: _PictureSet) -> int:
    # The header is short: the rest of the slice needs no unescaping.
    reader = BitReader(unescape(unit[2:258]))
    if not reader.flag():
        raise CodecError("the HEVC stream begins in the middle of a picture")
    kind = nal_type(unit)
    if FIRST_INTRA <= kind <= LAST_INTRA:
        reader.skip(1)
    reader.ue()
    reader.skip(picture.extra_bits)
    if reader.ue() != INTRA_SLICE:
        raise CodecError("the first HEVC picture is not intra: a still picture was expected")
    reader.skip((1 if picture.output_flag else 0) + (2 if sequence.separate_planes else 0))
    if kind not in IDR:
        _skip_references(reader, sequence)
    if sequence.offset_filter:
        has_chroma = sequence.chroma_format and not sequence.separate_planes
        reader.skip(2 if has_chroma else 1)
    return picture.initial_qp + reader.se()


def _skip_references(reader: BitReader, sequence: _SequenceSet) -> None:
    reader.skip(sequence.order_bits)
    if not reader.flag():
        _reference_set(reader, sequence.reference_sets, in_slice=True)
    elif len(sequence.reference_sets) > 1:
        reader.skip((len(sequence.reference_sets) - 1).bit_length())
    if sequence.long_term:
        _skip_long_term(reader, sequence)
    if sequence.temporal_motion:
        reader.skip(1)


def _skip_long_term(reader: BitReader, sequence: _SequenceSet) -> None:
    from_sequence = reader.ue() if sequence.long_term_count else 0
    index_bits = max(0, sequence.long_term_count - 1).bit_length()
    for index in range(from_sequence + reader.ue()):
        if index < from_sequence:
            reader.skip(index_bits)
        else:
            reader.skip(sequence.order_bits + 1)
        if reader.flag():
            reader.ue()
