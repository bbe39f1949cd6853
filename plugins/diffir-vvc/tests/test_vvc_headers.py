"""Headers of settings that libvvenc does not choose: each is passed over, or told."""

from __future__ import annotations

import pytest
from diffir_vvc.codec import Vvc
from diffir_vvc.sequence_set import SequenceSet, read_sequence_set
from headers import (
    IDR,
    PICTURE_HEADER,
    PPS,
    RANDOM_ACCESS,
    SPS,
    picture_header,
    plain_pps,
    plain_slice,
    plain_sps,
    se,
    stream,
    u,
    ue,
    unit,
)

from diffir.codecs.bit_reader import BitReader
from diffir.codecs.nal_units import unescape
from diffir.errors import CodecError

VVC = Vvc()


def slice_qp(*units: bytes) -> float | None:
    return VVC.read_info(stream(*units)).quantizer


def test_everything_off():
    info = VVC.read_info(stream(plain_sps(), plain_pps(), plain_slice(4)))
    assert info.quantizer == 26 + 5 + 4
    assert info.subsampling == "4:2:0"
    assert info.details == {"profile": 1, "bit_depth": 8, "frames": 1}


def rich_sps() -> bytes:
    """Every optional part of the set is there: 4:4:4, 10 bits, three sub-layers."""
    constraints = (u(1, 1), u(71), u(8, 3), u(3))
    profile = (u(7, 33), u(1), u(8, 51), u(2), *constraints)
    aligned = (*profile, *_to_byte(16, profile), u(2, 3), u(6), u(16), u(8, 1), u(32))
    return unit(
        SPS,
        *(u(4), u(4), u(3, 2), u(2, 3), u(2), u(1, 1)),
        *aligned,
        *(u(1), u(1, 1), u(1), ue(64), ue(48), u(1, 1), ue(0), ue(2), ue(0), ue(1)),
        *(u(1, 1), ue(0), ue(3), u(1, 1), u(1, 1), u(4)),  # one subpicture, with its name
        *(ue(2), u(2), u(4, 4), u(1, 1), ue(3), u(2, 1), u(8, 5), u(2, 1), u(8, 128)),
        *(u(1, 1), *(ue(1) for _ in range(9))),
        *(ue(0), u(1, 1), ue(0), ue(1), ue(0), ue(0), u(1, 1), ue(0), ue(1), ue(0), ue(0)),
        *(ue(0), ue(1), ue(0), ue(0)),
        *(u(1, 1), ue(2), u(1), u(1, 1), u(2), u(1, 1)),
        *(u(1, 1), u(1), *((se(0), ue(1), ue(1), ue(1), ue(2), ue(0)) * 3)),
        *(u(1, 1), u(1, 1), u(1, 1), u(1, 1)),
        *(u(1, 1), u(1), u(1, 1), u(1), u(1)),  # weights, long-term pictures
        *(ue(1), ue(3), u(1), u(1, 1), ue(0), u(1), u(1, 1), ue(0), u(1, 1), ue(2), u(1)),
        *(ue(0),),
        *(u(1), u(1, 1), u(1), u(1, 1), u(1, 1), u(1), u(1), *((u(1, 1), u(1)) * 2)),
        *(ue(1), u(1), u(1, 1), ue(0), u(1), u(1), u(1, 1), u(1)),
        *(u(2), u(1, 1), ue(0), ue(0)),
        *(u(3), u(1), u(1), u(1, 1), ue(0), u(1, 1), ue(0)),
        *(u(1, 1), u(2), se(0), se(1), ue(0)),
        *(u(1, 1), u(1), u(1, 1), u(1)),
        *(u(2), u(1, 1), u(1)),
        *(u(1), u(1), u(1), u(1)),
    )


def _to_byte(before: int, fields: tuple[str, ...]) -> tuple[str, ...]:
    return (u(-(before + sum(map(len, fields))) % 8),)


def test_a_set_with_every_part_is_read_to_its_end():
    info = VVC.read_info(stream(rich_sps(), plain_pps(), plain_slice(4)))
    assert info.subsampling == "4:4:4"
    assert info.details == {"profile": 33, "bit_depth": 10, "frames": 1}
    assert info.quantizer is None  # subpictures are told of
    assert read_sequence_set(BitReader(unescape(rich_sps()[2:]))) == SequenceSet(
        profile=33,
        chroma_format=3,
        width=62,
        height=47,
        bit_depth=10,
        subpictures=True,
        order_bits=8,
        order_cycle_bits=4,
        extra_picture_bits=2,
        extra_slice_bits=1,
        partition_override=True,
        dual_tree=True,
        joint_chroma=True,
        sao=True,
        alf=True,
        cross_alf=True,
        lmcs=True,
        lists_in_idr=False,
        scaling_lists=True,
        boundaries_in_pictures=True,
    )


def test_a_picture_header_of_its_own():
    header = unit(PICTURE_HEADER, *picture_header())
    coded = unit(IDR, u(1), u(1), se(-3), u(16, 0xABCD))
    units = (plain_sps(), plain_pps(), header, coded)
    assert slice_qp(*units) == 28
    assert VVC.read_info(stream(*units)).details["frames"] == 1
    with pytest.raises(CodecError, match="holds no picture header: it cannot be read"):
        slice_qp(plain_sps(), plain_pps(), coded)


def test_partitions_that_the_picture_overrides():
    fields = (*picture_header(), u(1, 1), ue(1), ue(2), ue(0), ue(0))
    coded = unit(IDR, u(1, 1), *fields, u(1), se(7), u(16, 0xABCD))
    assert slice_qp(plain_sps(override=1), plain_pps(), coded) == 38


def test_chroma_offsets_and_deblocking():
    picture_set = unit(
        PPS,
        *(u(6), u(4), u(1), ue(64), ue(48), u(1, 1), ue(0), ue(1), ue(0), ue(1)),
        *(u(1, 1), se(-1), se(0), se(2), se(0)),
        *(u(1, 1), u(1, 1), u(1), u(1), ue(0), ue(0), u(3), u(1, 1), ue(0), se(-6), u(1, 1)),
        *(u(1, 1), se(1), se(1), u(1, 1), se(0), u(1), u(1, 1), ue(1), *(se(1) for _ in range(6))),
        *(u(1, 1), u(1), u(1), *(se(0) for _ in range(6))),
        *(u(1, 1), u(1), u(1)),
    )
    fields = (*picture_header(), u(1, 1), ue(2), ue(0), ue(1), u(8, 9))
    coded = unit(IDR, u(1, 1), *fields, u(1), se(2), u(16, 0xABCD))
    assert slice_qp(plain_sps(), picture_set, coded) == 22


def test_what_stands_behind_tiles_and_reference_lists_stays_unknown():
    coded = plain_slice(4)
    assert slice_qp(plain_sps(), plain_pps(one_tile=0), coded) is None
    assert slice_qp(plain_sps(lists_in_idr=1), plain_pps(), coded) is None
    later = plain_slice(4, kind=RANDOM_ACCESS)
    info = VVC.read_info(stream(plain_sps(), plain_pps(), later))
    assert info.quantizer is info.quality is info.severity is info.lossless is None


def test_a_picture_that_is_not_intra():
    coded = unit(IDR, u(1, 1), *picture_header(inter=1), u(32, 1))
    with pytest.raises(CodecError, match="first VVC picture is not intra: a still picture was"):
        slice_qp(plain_sps(), plain_pps(), coded)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (0, 48)}, "headers say 0x48: they are damaged"),
        ({"subpictures": "1" + ue(3)}, "this VVC stream is made of subpictures"),
        ({"lists": (u(1, 1), ue(65))}, "at most 64 reference picture lists, got 65"),
        ({"lists": (u(1, 1), ue(1), ue(30))}, "at most 29 pictures, got 30"),
    ],
)
def test_damaged_sets(changes, message):
    with pytest.raises(CodecError, match=message):
        slice_qp(plain_sps(**changes), plain_pps(), plain_slice(4))


def test_a_set_that_is_cut_short():
    with pytest.raises(CodecError, match="the bitstream ends early"):
        slice_qp(plain_sps()[:12], plain_pps(), plain_slice(4))
