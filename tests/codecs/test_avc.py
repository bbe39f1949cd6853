from __future__ import annotations

import io

import av
import movies
import numpy as np
import pytest
from bit_writer import BitWriter

from diffir.codecs.avc import Avc
from diffir.codecs.avc_headers import SEI, nal_type, read_avc
from diffir.codecs.nal_units import escape, join_annex_b, split_annex_b
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (34, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("quality", [1, 3, 20, 37, 42, 47, 51])
def test_slice_qp_is_three_below_the_qp_that_was_asked(quality):
    info = Avc().read_info(Avc().encode(PIXELS, quality))
    assert info.quality == info.quantizer == max(0, quality - 3)
    assert info.severity == pytest.approx(info.quantizer / 51)


def test_fractions_of_a_qp_are_rounded():
    assert Avc().encode(PIXELS, 36.6) == Avc().encode(PIXELS, 37)


def test_qp_zero_is_lossless_after_the_conversion_from_rgb():
    info = Avc().read_info(Avc().encode(PIXELS, 0))
    assert (info.lossless, info.quantizer) == (True, 0)
    assert not Avc().read_info(Avc().encode(PIXELS, 1)).lossless


def test_the_settings_that_x264_writes_are_left_out():
    units = split_annex_b(Avc().encode(PIXELS, 42))
    assert SEI not in map(nal_type, units)


def test_an_odd_size_is_stamped_and_other_players_still_show_it():
    stream = Avc().encode(PIXELS[:33, :49], 20)
    with av.open(io.BytesIO(stream), format="h264") as container:
        (frame,) = container.decode(video=0)
    assert (frame.width, frame.height) == (50, 34)
    assert Avc().decode(stream).shape == (33, 49, 3)


@pytest.mark.parametrize(
    ("pixel_format", "options", "expected"),
    [
        ("yuv420p", {"coder": "0"}, {"entropy_coding": "CAVLC", "subsampling": "4:2:0"}),
        ("yuv422p", {}, {"profile": 122, "subsampling": "4:2:2"}),
        ("yuv420p10le", {"qp": "42"}, {"bit_depth": 10, "subsampling": "4:2:0"}),
        ("gray", {}, {"subsampling": "4:0:0"}),
        ("yuv420p", {"profile": "baseline"}, {"profile": 66, "entropy_coding": "CAVLC"}),
        ("yuv420p", {"x264-params": "tff=1"}, {"profile": 100}),
        ("yuv420p", {"x264-params": "cqm=jvt:slices=3"}, {"frames": 1}),
        ("yuv420p", {"x264-params": "bluray-compat=1:aud=1:nal-hrd=vbr:vbv-maxrate=900:"
                     "vbv-bufsize=900"}, {"frames": 1}),
    ],
)  # fmt: skip
def test_other_streams_of_x264_are_read(pixel_format, options, expected):
    (stream,) = movies.stream("libx264", pixel_format=pixel_format, **{"qp": "30", **options})
    assert Avc().recognizes(stream)
    info = Avc().read_info(stream)
    facts = {**info.details, "subsampling": info.subsampling}
    assert facts == {**facts, **expected}
    if "nal-hrd" not in str(options):
        assert info.quantizer == 27
    assert Avc().decode(stream).shape == (48, 64, 3)


def test_other_chroma_and_ten_bits_are_decoded_to_eight_bit_rgb():
    for pixel_format in ("yuv420p10le", "yuv422p"):
        (stream,) = movies.stream("libx264", pixel_format=pixel_format, qp="1")
        expected = next(movies.frames(1, 64, 48, pixel_format)).to_ndarray(format="rgb24")
        assert np.abs(Avc().decode(stream).astype(int) - expected).mean() < 4


def test_gray_is_of_limited_range_unless_the_stream_says_full():
    (stream,) = movies.stream("libx264", pixel_format="gray", qp="1")
    luma = next(movies.frames(1, 64, 48, "gray")).to_ndarray().astype(float)
    expected = np.clip((luma - 16) * 255 / 219, 0, 255)
    decoded = Avc().decode(stream)
    assert np.abs(decoded[:, :, 0] - expected).max() < 2
    assert (decoded == decoded[:, :, :1]).all()


def test_ten_bits_count_qp_from_below_zero():
    (stream,) = movies.stream("libx264", pixel_format="yuv420p10le", qp="6")
    info = Avc().read_info(stream)
    assert (info.quantizer, info.quality, info.severity) == (6 - 3 - 12, 0, 0)


def sequence(profile=66, *, order_type=2, frames_only=1, chroma=None, scaling=False) -> bytes:
    bits = BitWriter().bits(8, profile).bits(16).ue(0)
    if chroma is not None:
        bits.ue(chroma)
        if chroma == 3:
            bits.bits(1, 1)
        bits.ue(0, 0).bits(1)
        bits.bits(1, int(scaling))
        if scaling:
            lists = 12 if chroma == 3 else 8
            for index in range(lists):
                bits.bits(1, index % 2)
                if index == 1:  # a list that falls back after two entries
                    bits.se(2).se(-10)
                elif index % 2:
                    bits.se(*[1] * (16 if index < 6 else 64))
    bits.ue(0).ue(order_type)
    if order_type == 0:
        bits.ue(1)
    elif order_type == 1:
        bits.bits(1).se(1, -1).ue(2).se(3, -3)
    bits.ue(1).bits(1).ue(3, 2).bits(1, frames_only)
    if not frames_only:
        bits.bits(1)
    return b"\x67" + escape(bits.bits(1).bits(1, 1).ue(0, 1, 0, 1).bits(1).done())


def picture(*, groups=None, redundant=0, field_order=0) -> bytes:
    bits = BitWriter().ue(0, 0).bits(1).bits(1, field_order)
    if groups is None:
        bits.ue(0)
    else:
        bits.ue(2).ue(groups)
        if groups == 0:
            bits.ue(1, 2, 3)
        elif groups == 2:
            bits.ue(1, 2, 3, 4)
        elif groups in (3, 4, 5):
            bits.bits(1).ue(4)
        else:
            bits.ue(3).bits(8)
    return b"\x68" + bits.ue(0, 0).bits(3).se(4, 0, 0).bits(2).bits(1, redundant).done()


def test_rare_syntax_is_passed_over():
    def qp(sps, pps, bits, kind=b"\x65"):
        return read_avc([sps, pps, kind + bits.se(-7).done()]).slice_qp

    start = BitWriter().ue(0, 7, 0).bits(4).ue(0)
    assert qp(sequence(), picture(), start.bits(2)) == 23
    for groups in (0, 2, 3, 6):
        start = BitWriter().ue(0, 7, 0).bits(4).ue(0)
        assert qp(sequence(), picture(groups=groups), start.bits(2)) == 23
    ordered = BitWriter().ue(0, 7, 0).bits(4).ue(0).bits(5).se(1).ue(3).bits(2)
    assert qp(sequence(order_type=0), picture(redundant=1, field_order=1), ordered) == 23
    offsets = BitWriter().ue(0, 7, 0).bits(4).ue(0).se(1, 2).bits(2)
    assert qp(sequence(order_type=1), picture(field_order=1), offsets) == 23
    field = BitWriter().ue(0, 7, 0).bits(4).bits(2, 2).ue(0).bits(2)
    assert qp(sequence(frames_only=0), picture(), field) == 23
    planes = BitWriter().ue(0, 7, 0).bits(2, 1).bits(4).ue(0).bits(2)
    assert qp(sequence(244, chroma=3, scaling=True), picture(), planes) == 23
    marked = BitWriter().ue(0, 7, 0).bits(4).bits(1, 1).ue(3, 1, 2, 0)
    assert qp(sequence(), picture(), marked, kind=b"\x61") == 23
    unmarked = BitWriter().ue(0, 7, 0).bits(4)
    assert qp(sequence(), picture(), unmarked, kind=b"\x01") == 23


def test_the_cropping_rectangle_is_applied():
    start = BitWriter().ue(0, 7, 0).bits(4).ue(0).bits(2).se(0).done()
    header = read_avc([sequence(100, chroma=1, scaling=True), picture(), b"\x65" + start])
    assert (header.width, header.height) == (62, 46)


def test_what_is_missing_is_named():
    units = split_annex_b(Avc().encode(PIXELS, 30))
    for kind, name in ((7, "sequence parameter set"), (8, "picture parameter set")):
        left = [unit for unit in units if nal_type(unit) != kind]
        with pytest.raises(CodecError, match=f"holds no {name}"):
            Avc().read_info(join_annex_b(left))
    with pytest.raises(CodecError, match="holds no picture: a slice was expected"):
        Avc().read_info(join_annex_b(units[:2]))


def test_a_movie_that_begins_between_key_frames_is_refused():
    units = split_annex_b(b"".join(movies.stream("libx264", count=3)))
    late = [unit for unit in units if nal_type(unit) != 5]
    with pytest.raises(CodecError, match="first AVC picture is not intra"):
        Avc().read_info(join_annex_b(late))


def test_damaged_parameter_sets_are_refused():
    with pytest.raises(CodecError, match="chroma_format_idc must be 0 to 3, got 9"):
        read_avc([sequence(100, chroma=9)])
    crop = BitWriter().bits(8, 66).bits(16).ue(0, 0, 2, 1).bits(1).ue(0, 0).bits(2, 2)
    crop = crop.bits(1, 1).ue(9, 9, 0, 0).bits(1).done()
    with pytest.raises(CodecError, match=r"AVC headers say -20x16"):
        read_avc([b"\x67" + crop])


def test_other_bytes_are_refused():
    with pytest.raises(CodecError, match=r"are not H\.264") as caught:
        Avc().decode(b"GIF89a")
    assert "MP4" in caught.value.hint
