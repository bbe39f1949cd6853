"""Picture parameter set, picture header and slice header of H.266/VVC, up to the slice QP.

Rec. ITU-T H.266: 7.3.2.5, 7.3.2.8 and 7.3.7. Pictures that are cut into tiles are left out: most
parts of the headers depend on how they are cut, and a still picture seldom is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.errors import CodecError
from diffir_vvc.sequence_set import skip_tree

if TYPE_CHECKING:
    from diffir.codecs.bit_reader import BitReader
    from diffir_vvc.sequence_set import SequenceSet

IDR = (7, 8)
RANDOM_ACCESS = (*IDR, 9, 10)
"""`nal_unit_type` of instantaneous, clean and gradual random access, table 5."""


@dataclass(frozen=True)
class PictureSet:
    """Of a picture in one tile.

    unit_qp, chroma_lists: coding units may change QP, and choose among chroma offsets.
    """

    output_flag: bool
    initial_qp: int
    unit_qp: bool
    chroma_lists: bool
    extension: bool


@dataclass(frozen=True)
class _PictureHeader:
    lmcs: bool
    scaling_lists: bool


def read_picture_set(reader: BitReader) -> PictureSet | None:
    """Read from behind the NAL unit header; `None` where the picture is cut into tiles.

    Raises:
        CodecError: cut short or damaged.
    """
    reader.skip(6 + 4 + 1)  # two identifiers, mixed unit types
    reader.ue()
    reader.ue()
    for number in (reader.ue, reader.se):  # conformance window, scaling window
        if reader.flag():
            for _ in range(4):
                number()
    output_flag = reader.flag()
    in_one_tile, subpictures = reader.flag(), reader.flag()
    if not in_one_tile or subpictures:
        return None
    reader.skip(1)  # CABAC initialization
    reader.ue()
    reader.ue()
    reader.skip(3)  # second list, weighted prediction
    if reader.flag():  # wraparound
        reader.ue()
    initial_qp = 26 + reader.se()
    unit_qp = reader.flag()
    chroma_offsets = reader.flag()
    chroma_lists = chroma_offsets and _chroma_lists(reader)
    if reader.flag():  # deblocking
        reader.skip(1)
        if not reader.flag():
            for _ in range(6 if chroma_offsets else 2):
                reader.se()
    return PictureSet(output_flag, initial_qp, unit_qp, chroma_lists, extension=reader.flag())


def _chroma_lists(reader: BitReader) -> bool:
    """Pass over chroma QP offsets; returns whether coding units choose among several."""
    reader.se()
    reader.se()
    joint = reader.flag()
    if joint:
        reader.se()
    reader.skip(1)
    if not reader.flag():
        return False
    for _ in range((reader.ue() + 1) * (3 if joint else 2)):
        reader.se()
    return True


def read_slice_qp(
    reader: BitReader,
    kind: int,
    sequence: SequenceSet,
    picture: PictureSet,
    *,
    header: BitReader | None,
) -> int | None:
    """`SliceQpY`, 7.4.8; `None` where reference lists stand before it.

    Args:
        reader: a slice, from behind its NAL unit header.
        kind: its `nal_unit_type`.
        sequence: the sequence parameter set.
        picture: the picture parameter set.
        header: the picture header, where it is a unit of its own.

    Raises:
        CodecError: cut short, damaged, or not an intra picture.
    """
    reader.skip(1)  # whether the picture header follows
    shown = _picture_header(header or reader, sequence, picture)
    reader.skip(sequence.extra_slice_bits)
    if kind in RANDOM_ACCESS:
        reader.skip(1)
    if sequence.alf and reader.flag():
        _skip_filters(reader, sequence)
    if header is not None:
        reader.skip(shown.lmcs + shown.scaling_lists)  # whether the slice uses them
    if kind not in IDR or sequence.lists_in_idr:
        return None
    return picture.initial_qp + reader.se()


def _picture_header(
    reader: BitReader, sequence: SequenceSet, picture: PictureSet
) -> _PictureHeader:
    """`picture_header_structure`, of a picture in one tile."""
    random_access, unreferenced = reader.flag(), reader.flag()
    gradual = random_access and reader.flag()
    if reader.flag():
        raise CodecError("the first VVC picture is not intra: a still picture was expected")
    reader.ue()
    reader.skip(sequence.order_bits)
    if gradual:
        reader.ue()
    reader.skip(sequence.extra_picture_bits)
    if sequence.order_cycle_bits and reader.flag():
        reader.skip(sequence.order_cycle_bits)
    lmcs = sequence.lmcs and reader.flag()
    if lmcs:
        reader.skip(2 + (sequence.chroma_format != 0))
    scaling_lists = sequence.scaling_lists and reader.flag()
    if scaling_lists:
        reader.skip(3)
    if sequence.boundaries_in_pictures and reader.flag():
        for _ in range(2):
            for _ in range(reader.ue()):
                reader.ue()
    if picture.output_flag and not unreferenced:
        reader.skip(1)
    if sequence.partition_override and reader.flag():
        skip_tree(reader)
        if sequence.dual_tree:
            skip_tree(reader)
    for depth in (picture.unit_qp, picture.chroma_lists):
        if depth:
            reader.ue()
    reader.skip(sequence.joint_chroma)
    if picture.extension:
        reader.skip(8 * reader.ue())
    return _PictureHeader(lmcs, scaling_lists)


def _skip_filters(reader: BitReader, sequence: SequenceSet) -> None:
    """Which adaptive loop filters the slice uses."""
    reader.skip(3 * reader.bits(3))
    if sequence.chroma_format and reader.bits(2):
        reader.skip(3)
    if sequence.cross_alf:
        for _ in range(2):
            if reader.flag():
                reader.skip(3)
