"""Reads how an H.264/AVC picture was compressed from its headers: ITU-T H.264, section 7.3.

    sequence parameter set     chroma format, bit depth, size, profile         7.3.2.1.1
    picture parameter set      the QP to start from, the entropy coder         7.3.2.2
    slice header               slice_qp_delta                                  7.3.3

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

SLICE, IDR_SLICE, SEI, SEQUENCE_SET, PICTURE_SET = 1, 5, 6, 7, 8
# Profiles whose sequence parameter set names a chroma format: the High family.
HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


@dataclass(frozen=True)
class AvcHeader:
    """What the headers of the first picture say.

    width, height: in pixels, the cropping rectangle applied. slice_qp: of the first slice, before
    macroblocks change it. chroma_format: 0 for 4:0:0, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    lossless: the transform is bypassed at this slice's QP. frames: pictures in the stream.
    """

    width: int
    height: int
    slice_qp: int
    chroma_format: int
    bit_depth: int
    profile: int
    cabac: bool
    lossless: bool
    frames: int


@dataclass(frozen=True)
class _SequenceSet:
    profile: int
    chroma_format: int
    separate_planes: bool
    bit_depth: int
    lossless_at_zero: bool
    frame_number_bits: int
    order_type: int
    order_bits: int
    order_always_zero: bool
    frames_only: bool
    width: int
    height: int


@dataclass(frozen=True)
class _PictureSet:
    cabac: bool
    field_order_present: bool
    initial_qp: int
    redundant_count_present: bool


def nal_type(unit: bytes) -> int:
    """`nal_unit_type`, 7.3.1."""
    return unit[0] & 0x1F


def read_avc(units: Sequence[bytes]) -> AvcHeader:
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
        raise CodecError("the AVC stream holds no picture: a slice was expected")
    qp = _slice_qp(coded[0], sequence, picture)
    return AvcHeader(
        width=sequence.width,
        height=sequence.height,
        slice_qp=qp,
        chroma_format=sequence.chroma_format,
        bit_depth=sequence.bit_depth,
        profile=sequence.profile,
        cabac=picture.cabac,
        # QP counts from 0 - 6 * (bit depth - 8); the bypass works at the lowest.
        lossless=sequence.lossless_at_zero and qp + 6 * (sequence.bit_depth - 8) == 0,
        frames=count_pictures(coded),
    )


def slices(units: Sequence[bytes]) -> list[bytes]:
    """The units that hold coded pictures."""
    return [unit for unit in units if nal_type(unit) in (SLICE, IDR_SLICE)]


def count_pictures(coded: Sequence[bytes]) -> int:
    """Pictures that the slices belong to: each begins with the slice of macroblock 0."""
    return sum(1 for unit in coded if len(unit) > 1 and unit[1] & 0x80)


def _first(units: Sequence[bytes], wanted: int, name: str) -> BitReader:
    for unit in units:
        if nal_type(unit) == wanted:
            return BitReader(unescape(unit[1:]))
    raise CodecError(f"the AVC stream holds no {name}: it cannot be read")


def _sequence_set(reader: BitReader) -> _SequenceSet:
    profile = reader.bits(8)
    reader.skip(16)  # constraint flags, level
    reader.ue()
    chroma, separate, depth, bypass = 1, False, 8, False
    if profile in HIGH_PROFILES:
        chroma = reader.ue()
        if chroma > 3:
            raise CodecError(f"AVC chroma_format_idc must be 0 to 3, got {chroma}")
        separate = chroma == 3 and reader.flag()
        depth = 8 + reader.ue()
        reader.ue()
        bypass = reader.flag()
        if reader.flag():
            _skip_scaling_lists(reader, 12 if chroma == 3 else 8)
    frame_number_bits = 4 + reader.ue()
    order_type, order_bits, always_zero = _picture_order(reader)
    reader.ue()
    reader.skip(1)
    columns, rows = 1 + reader.ue(), 1 + reader.ue()
    frames_only = reader.flag()
    reader.skip(1 if frames_only else 2)
    rows *= 1 if frames_only else 2
    crop = [reader.ue() for _ in range(4)] if reader.flag() else [0, 0, 0, 0]
    across = 2 if chroma in (1, 2) else 1
    down = (2 if chroma == 1 else 1) * (1 if frames_only else 2)
    width = 16 * columns - across * (crop[0] + crop[1])
    height = 16 * rows - down * (crop[2] + crop[3])
    if width < 1 or height < 1:
        raise CodecError(f"the AVC headers say {width}x{height}: they are damaged")
    return _SequenceSet(
        profile=profile,
        chroma_format=chroma,
        separate_planes=separate,
        bit_depth=depth,
        lossless_at_zero=bypass,
        frame_number_bits=frame_number_bits,
        order_type=order_type,
        order_bits=order_bits,
        order_always_zero=always_zero,
        frames_only=frames_only,
        width=width,
        height=height,
    )


def _picture_order(reader: BitReader) -> tuple[int, int, bool]:
    """`pic_order_cnt_type`, bits of its low part, `delta_pic_order_always_zero_flag`."""
    kind = reader.ue()
    if kind == 0:
        return kind, 4 + reader.ue(), False
    if kind == 1:
        always_zero = reader.flag()
        reader.se()
        reader.se()
        for _ in range(reader.ue()):
            reader.se()
        return kind, 0, always_zero
    return kind, 0, False


def _skip_scaling_lists(reader: BitReader, count: int) -> None:
    for index in range(count):
        if not reader.flag():
            continue
        previous = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (previous + reader.se()) % 256
            previous = following or previous


def _picture_set(reader: BitReader) -> _PictureSet:
    reader.ue()
    reader.ue()
    cabac = reader.flag()
    field_order_present = reader.flag()
    _skip_slice_groups(reader, reader.ue())
    reader.ue()
    reader.ue()
    reader.skip(3)  # weighted prediction
    initial_qp = 26 + reader.se()
    reader.se()
    reader.se()
    reader.skip(2)  # deblocking control, constrained intra prediction
    return _PictureSet(cabac, field_order_present, initial_qp, reader.flag())


def _skip_slice_groups(reader: BitReader, groups_minus_1: int) -> None:
    if not groups_minus_1:
        return
    kind = reader.ue()
    if kind == 0:
        for _ in range(groups_minus_1 + 1):
            reader.ue()
    elif kind == 2:
        for _ in range(2 * groups_minus_1):
            reader.ue()
    elif kind in (3, 4, 5):
        reader.skip(1)
        reader.ue()
    elif kind == 6:
        reader.skip((1 + reader.ue()) * groups_minus_1.bit_length())


def _slice_qp(unit: bytes, sequence: _SequenceSet, picture: _PictureSet) -> int:
    # The header is short: the rest of the slice needs no unescaping.
    reader = BitReader(unescape(unit[1:128]))
    reader.ue()
    slice_type = reader.ue()
    if slice_type % 5 not in (2, 4):
        raise CodecError("the first AVC picture is not intra: a still picture was expected")
    reader.ue()
    reader.skip(2 if sequence.separate_planes else 0)
    reader.skip(sequence.frame_number_bits)
    field = not sequence.frames_only and reader.flag()
    reader.skip(1 if field else 0)
    idr = nal_type(unit) == IDR_SLICE
    if idr:
        reader.ue()
    _skip_order_count(reader, sequence, paired=picture.field_order_present and not field)
    if picture.redundant_count_present:
        reader.ue()
    if unit[0] & 0x60:  # nal_ref_idc: a reference picture carries marking
        _skip_marking(reader, idr=idr)
    return picture.initial_qp + reader.se()


def _skip_order_count(reader: BitReader, sequence: _SequenceSet, *, paired: bool) -> None:
    if sequence.order_type == 0:
        reader.skip(sequence.order_bits)
        if paired:
            reader.se()
    elif sequence.order_type == 1 and not sequence.order_always_zero:
        reader.se()
        if paired:
            reader.se()


def _skip_marking(reader: BitReader, *, idr: bool) -> None:
    if idr:
        reader.skip(2)
    elif reader.flag():
        while operation := reader.ue():
            for _ in range({1: 1, 2: 1, 3: 2, 4: 1, 6: 1}.get(operation, 0)):
                reader.ue()
