"""The sequence parameter set of H.266/VVC: Rec. ITU-T H.266, 7.3.2.4.

Read up to `sps_virtual_boundaries_present_flag`, behind which nothing bears on the slice QP. Fields
keep the names of the standard, without their prefix "sps".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.codecs.bit_reader import BitReader

# 7.4.3.4 and 7.4.10; more is damage.
MAX_REFERENCE_LISTS = 64
MAX_REFERENCE_ENTRIES = 29


@dataclass(frozen=True)
class SequenceSet:
    """What the headers of a picture refer to.

    chroma_format: 0 for 4:0:0, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4. width, height: in pixels, of
    the conformance window. extra_picture_bits, extra_slice_bits: how many reserved bits the two
    headers hold. subpictures: the picture is made of several, or says so.
    """

    profile: int
    chroma_format: int
    width: int
    height: int
    bit_depth: int
    subpictures: bool
    order_bits: int
    order_cycle_bits: int
    extra_picture_bits: int
    extra_slice_bits: int
    partition_override: bool
    dual_tree: bool
    joint_chroma: bool
    sao: bool
    alf: bool
    cross_alf: bool
    lmcs: bool
    lists_in_idr: bool
    scaling_lists: bool
    boundaries_in_pictures: bool


def read_sequence_set(reader: BitReader) -> SequenceSet:
    """Read from behind the NAL unit header.

    Raises:
        CodecError: cut short or damaged.
    """
    reader.skip(4)  # sps_seq_parameter_set_id
    in_video_set = reader.bits(4) > 0
    sub_layers = reader.bits(3)  # minus 1
    chroma = reader.bits(2)
    log2_ctu = reader.bits(2) + 5
    has_profile = reader.flag()
    profile = _profile(reader, sub_layers) if has_profile else 0
    reader.skip(1)  # gradual decoding refresh
    if reader.flag():  # pictures of other sizes
        reader.skip(1)
    width, height = _window(reader, chroma)
    subpictures = reader.flag()
    if subpictures:
        _skip_subpictures(reader)
    bit_depth = 8 + reader.ue()
    reader.skip(2)  # entropy coding sync, entry points
    order_bits = reader.bits(4) + 4
    order_cycle_bits = reader.ue() + 1 if reader.flag() else 0
    extra_picture_bits = reader.bits(8 * reader.bits(2)).bit_count()
    extra_slice_bits = reader.bits(8 * reader.bits(2)).bit_count()
    if has_profile:
        every = sub_layers > 0 and reader.flag()
        for _ in range(3 * (sub_layers + 1 if every else 1)):
            reader.ue()
    partition_override, dual_tree = _partitions(reader, has_chroma=chroma != 0)
    transforms = _transforms(reader, has_chroma=chroma != 0, log2_ctu=log2_ctu)
    sao, alf = reader.flag(), reader.flag()
    cross_alf = alf and chroma != 0 and reader.flag()
    lmcs = reader.flag()
    lists_in_idr = _references(reader, order_bits=order_bits, in_video_set=in_video_set)
    _skip_inter_tools(reader)
    color_transform = _intra_tools(reader, chroma, transforms)
    scaling_lists = reader.flag()
    if scaling_lists and transforms.secondary:
        reader.skip(1)
    if scaling_lists and color_transform and reader.flag():
        reader.skip(1)
    reader.skip(2)  # dependent quantization, sign hiding
    boundaries = reader.flag()
    return SequenceSet(
        profile=profile,
        chroma_format=chroma,
        width=width,
        height=height,
        bit_depth=bit_depth,
        subpictures=subpictures,
        order_bits=order_bits,
        order_cycle_bits=order_cycle_bits,
        extra_picture_bits=extra_picture_bits,
        extra_slice_bits=extra_slice_bits,
        partition_override=partition_override,
        dual_tree=dual_tree,
        joint_chroma=transforms.joint_chroma,
        sao=sao,
        alf=alf,
        cross_alf=cross_alf,
        lmcs=lmcs,
        lists_in_idr=lists_in_idr,
        scaling_lists=scaling_lists,
        boundaries_in_pictures=boundaries and not reader.flag(),
    )


def _profile(reader: BitReader, sub_layers: int) -> int:
    """Pass over `profile_tier_level`, 7.3.3.1; returns `general_profile_idc`."""
    profile = reader.bits(7)
    reader.skip(1 + 8 + 2)  # tier, level, frames only, several layers
    if reader.flag():  # general_constraints_info, 7.3.3.2
        reader.skip(71)
        reader.skip(reader.bits(8))
    reader.align()
    present = [reader.flag() for _ in range(sub_layers)]
    reader.align()
    reader.skip(8 * sum(present))
    reader.skip(32 * reader.bits(8))  # sub-profiles
    return profile


def _window(reader: BitReader, chroma: int) -> tuple[int, int]:
    width, height = reader.ue(), reader.ue()
    window = [reader.ue() for _ in range(4)] if reader.flag() else [0, 0, 0, 0]
    across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    width -= across * (window[0] + window[1])
    height -= down * (window[2] + window[3])
    if width < 1 or height < 1:
        raise CodecError(f"the VVC headers say {width}x{height}: they are damaged")
    return width, height


def _skip_subpictures(reader: BitReader) -> None:
    if reader.ue():
        raise CodecError(
            "one picture in one piece was expected, this VVC stream is made of subpictures",
            hint="Extract one of them first, or convert the picture to PNG.",
        )
    id_bits = reader.ue() + 1
    if reader.flag() and reader.flag():
        reader.skip(id_bits)


def _partitions(reader: BitReader, *, has_chroma: bool) -> tuple[bool, bool]:
    """Sizes of blocks; returns whether pictures may override them, and whether chroma has own."""
    reader.ue()  # smallest coding block
    override = reader.flag()
    skip_tree(reader)
    dual_tree = has_chroma and reader.flag()
    if dual_tree:
        skip_tree(reader)
    skip_tree(reader)  # of inter slices
    return override, dual_tree


def skip_tree(reader: BitReader) -> None:
    """Smallest quadtree leaf, depth of the other splits, and their largest blocks."""
    reader.ue()
    if reader.ue():
        reader.ue()
        reader.ue()


@dataclass(frozen=True)
class _Transforms:
    joint_chroma: bool
    large: bool
    skip: bool
    secondary: bool


def _transforms(reader: BitReader, *, has_chroma: bool, log2_ctu: int) -> _Transforms:
    large = log2_ctu > 5 and reader.flag()
    skip = reader.flag()
    if skip:
        reader.ue()
        reader.skip(1)
    if reader.flag():  # several transforms to choose from
        reader.skip(2)
    secondary = reader.flag()
    joint = has_chroma and reader.flag()
    if has_chroma:
        tables = 1 if reader.flag() else 3 if joint else 2
        for _ in range(tables):  # chroma QP from luma QP
            reader.se()
            for _ in range(2 * (reader.ue() + 1)):
                reader.ue()
    return _Transforms(joint, large, skip, secondary)


def _references(reader: BitReader, *, order_bits: int, in_video_set: bool) -> bool:
    """Pass over reference picture lists, 7.3.10; returns `sps_idr_rpl_present_flag`."""
    weighted = any([reader.flag(), reader.flag()])
    long_term = reader.flag()
    between_layers = in_video_set and reader.flag()
    lists_in_idr = reader.flag()
    for _ in range(1 if reader.flag() else 2):
        count = reader.ue()
        if count > MAX_REFERENCE_LISTS:
            raise CodecError(f"a VVC stream has at most 64 reference picture lists, got {count}")
        for _ in range(count):
            _skip_list(reader, weighted, long_term, between_layers, order_bits)
    return lists_in_idr


def _skip_list(
    reader: BitReader, weighted: bool, long_term: bool, between_layers: bool, order_bits: int
) -> None:
    """Pass over one `ref_pic_list_struct` of the sequence parameter set."""
    count = reader.ue()
    if count > MAX_REFERENCE_ENTRIES:
        raise CodecError(f"a VVC reference picture list has at most 29 pictures, got {count}")
    in_header = long_term and count > 0 and reader.flag()
    for index in range(count):
        if between_layers and reader.flag():
            reader.ue()
        elif not long_term or reader.flag():
            if reader.ue() or not weighted or index == 0:
                reader.skip(1)  # sign of a distance that is not 0
        elif not in_header:
            reader.skip(order_bits)


def _skip_inter_tools(reader: BitReader) -> None:
    reader.skip(1)  # wraparound
    if reader.flag():  # temporal motion vectors
        reader.skip(1)
    adaptive = reader.flag()
    if reader.flag():  # bidirectional optical flow
        reader.skip(1)
    reader.skip(1)  # symmetric differences
    for _ in range(2):  # decoder-side refinement; merge with differences
        if reader.flag():
            reader.skip(1)
    candidates = 6 - reader.ue()
    reader.skip(1)  # subblock transforms
    if reader.flag():  # affine
        reader.ue()
        reader.skip(1 + adaptive)
        if reader.flag():
            reader.skip(1)
    reader.skip(2)  # weights of blocks, combined prediction
    if candidates >= 2 and reader.flag() and candidates >= 3:
        reader.ue()
    reader.ue()


def _intra_tools(reader: BitReader, chroma: int, transforms: _Transforms) -> bool:
    """Returns whether there is the adaptive color transform."""
    reader.skip(3)  # subpartitions, several reference lines, matrices
    if chroma:
        reader.skip(1)  # chroma from luma
    if chroma == 1:
        reader.skip(2)  # where chroma samples lie
    palette = reader.flag()
    color_transform = chroma == 3 and not transforms.large and reader.flag()
    if transforms.skip or palette:
        reader.ue()
    if reader.flag():  # block copies
        reader.ue()
    if reader.flag():  # deblocking by luma
        intervals = reader.bits(2) + 1
        reader.se()
        for _ in range(intervals):
            reader.se()
            reader.ue()
    return color_transform
