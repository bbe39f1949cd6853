from __future__ import annotations

import io

import av
import movies
import numpy as np
import pytest
from bit_writer import BitWriter

from diffir.codecs.hevc import Hevc
from diffir.codecs.hevc_headers import SEI, nal_type, read_hevc, slices
from diffir.codecs.nal_units import escape, join_annex_b, split_annex_b
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (34, 50, 3), dtype=np.uint8)
SPS, PPS, IDR, CRA, TRAIL = (bytes([kind << 1, 1]) for kind in (33, 34, 19, 21, 1))


@pytest.mark.parametrize("quality", [0, 1, 3, 20, 37, 42, 47, 51])
def test_slice_qp_is_three_below_the_qp_that_was_asked(quality):
    info = Hevc().read_info(Hevc().encode(PIXELS, quality))
    assert info.quality == info.quantizer == max(0, quality - 3)
    assert info.severity == pytest.approx(info.quantizer / 51)


def test_an_odd_size_is_stamped_and_other_players_still_show_it():
    stream = Hevc().encode(PIXELS[:33, :49], 20)
    with av.open(io.BytesIO(stream), format="hevc") as container:
        (frame,) = container.decode(video=0)
    assert (frame.width, frame.height) == (50, 34)
    assert Hevc().decode(stream).shape == (33, 49, 3)


def test_our_message_is_the_only_one_and_takes_41_bytes():
    units = split_annex_b(Hevc().encode(PIXELS, 42))
    (message,) = (unit for unit in units if nal_type(unit) == SEI)
    assert 4 + len(message) <= 41 + 6  # emulation prevention may add a few
    assert len(units) == 5


def test_a_stream_that_was_cut_short_is_refused():
    stream = Hevc().encode(PIXELS, 42)
    with pytest.raises(CodecError, match=r"bytes of coded picture were written, .* left"):
        Hevc().decode(stream[:-3])


@pytest.mark.parametrize(
    ("pixel_format", "params", "expected"),
    [
        ("yuv422p", "", {"subsampling": "4:2:2"}),
        ("yuv420p10le", "", {"bit_depth": 10, "profile": 2}),
        ("gray", "", {"subsampling": "4:0:0"}),
        ("yuv420p", "no-sao=1:aud=1:repeat-headers=1", {"subsampling": "4:2:0"}),
        ("yuv420p", "scaling-list=default:tskip=1:no-signhide=1", {"frames": 1}),
        ("yuv420p", "slices=1:cbqpoffs=3:crqpoffs=-2:amp=1:ref=4:hrd=1:vbv-bufsize=900:"
                    "vbv-maxrate=900", {"frames": 1}),
        ("yuv420p", "cu-lossless=1", {"lossless": None}),
    ],
)  # fmt: skip
def test_other_streams_of_x265_are_read(pixel_format, params, expected):
    quiet = f"log-level=none:pools=none:frame-threads=1:qp=30:{params}"
    (stream,) = movies.stream("libx265", pixel_format=pixel_format, **{"x265-params": quiet})
    assert Hevc().recognizes(stream)
    info = Hevc().read_info(stream)
    facts = {**info.details, "subsampling": info.subsampling, "lossless": info.lossless}
    assert facts == {**facts, **expected}
    if "hrd" not in params:
        assert info.quantizer == 27
    assert Hevc().decode(stream).shape == (48, 64, 3)


def test_a_later_key_frame_of_an_open_movie_is_read():
    quiet = "log-level=none:pools=none:frame-threads=1:qp=30:keyint=8:min-keyint=8:open-gop=1"
    units = split_annex_b(b"".join(movies.stream("libx265", count=20, **{"x265-params": quiet})))
    later = next(index for index, unit in enumerate(units) if nal_type(unit) == 21)
    sets = [unit for unit in units if nal_type(unit) in (32, 33, 34)][:3]
    one = join_annex_b([*sets, units[later]])
    assert Hevc().read_info(one).quantizer == 27
    assert Hevc().decode(one).shape == (48, 64, 3)


def sequence(*, layers=0, chroma=1, sets=(), long_term=0, scaling=False, pcm=False, size=(64, 48)):
    bits = BitWriter().bits(4).bits(3, layers).bits(1)
    bits.bits(3).bits(5, 1).bits(88)
    for _ in range(layers):
        bits.bits(2, 3)
    if layers:
        bits.bits(2 * (8 - layers)).bits(96 * layers)
    bits.ue(0, chroma)
    if chroma == 3:
        bits.bits(1, 1)
    bits.ue(*size).bits(1).ue(0, 0, 0).bits(1, 1)
    for _ in range(layers + 1):
        bits.ue(1, 0, 0)
    bits.ue(0, 2, 0, 2, 1, 1).bits(1, int(scaling))
    if scaling:
        bits.bits(1, 1)
        for scale in range(4):
            for matrix in range(2 if scale == 3 else 6):
                bits.bits(1, matrix % 2)
                if matrix % 2:
                    bits.se(*[1] * (min(64, 16 << 2 * scale) + (scale > 1)))
                else:
                    bits.ue(0)
    bits.bits(1).bits(1, 1).bits(1, int(pcm))
    if pcm:
        bits.bits(8).ue(0, 0).bits(1)
    bits.ue(len(sets))
    for write in sets:
        write(bits)
    bits.bits(1, int(long_term > 0))
    if long_term:
        bits.ue(long_term).bits(5 * long_term)
    return SPS + escape(bits.bits(1, 1).done())


def picture(*, output=0, extra=0) -> bytes:
    bits = BitWriter().ue(0, 0).bits(1).bits(1, output).bits(3, extra).bits(2).ue(0, 0).se(4)
    return PPS + bits.bits(2).bits(1, 1).ue(1).se(0, 0).bits(3).bits(1).done()


def explicit(bits: BitWriter) -> None:
    """Two earlier pictures, one later."""
    bits.ue(2, 1).ue(0).bits(1, 1).ue(1).bits(1, 1).ue(0).bits(1, 1)


def predicted(bits: BitWriter) -> None:
    """The set before (three pictures), moved: used, used, dropped, kept unused."""
    bits.bits(1, 1).bits(1).ue(0)
    bits.bits(1, 1).bits(1, 1).bits(2, 0).bits(2, 1)


def test_rare_syntax_is_passed_over():
    def qp(sps, pps, bits, kind=IDR):
        return read_hevc([sps, pps, kind + bits.se(-7).done()]).slice_qp

    idr = BitWriter().bits(1, 1).bits(1).ue(0, 2)
    assert qp(sequence(layers=2, scaling=True, pcm=True), picture(), idr.bits(2)) == 23
    extra = BitWriter().bits(1, 1).bits(1).ue(0).bits(3).ue(2).bits(1, 1)
    assert qp(sequence(), picture(output=1, extra=3), extra.bits(2)) == 23
    planes = BitWriter().bits(1, 1).bits(1).ue(0, 2).bits(2)
    assert qp(sequence(chroma=3), picture(), planes.bits(1)) == 23

    sets = sequence(sets=(explicit, predicted), long_term=3)
    by_index = BitWriter().bits(1, 1).bits(1).ue(0, 2).bits(4).bits(1, 1).bits(1)
    by_index.ue(1, 1)  # one long-term picture from the sequence, one told here
    by_index.bits(2).bits(1, 1).ue(0).bits(5).bits(1).bits(1)
    assert qp(sets, picture(), by_index.bits(2), kind=CRA) == 23
    told = BitWriter().bits(1, 1).ue(0, 2).bits(4).bits(1).bits(1, 1).ue(1).bits(1).ue(0)
    told.bits(4, 15).ue(0, 0).bits(1)  # builds on the explicit set: three pictures and itself
    assert qp(sets, picture(), told.bits(2), kind=TRAIL) == 23


def test_what_is_missing_is_named():
    units = split_annex_b(Hevc().encode(PIXELS, 30))
    for kind, name in ((33, "sequence parameter set"), (34, "picture parameter set")):
        left = [unit for unit in units if nal_type(unit) != kind]
        with pytest.raises(CodecError, match=f"holds no {name}"):
            Hevc().read_info(join_annex_b(left))
    with pytest.raises(CodecError, match="holds no picture: a slice was expected"):
        Hevc().read_info(join_annex_b(units[:-1]))


def test_a_movie_that_begins_between_key_frames_is_refused():
    units = split_annex_b(b"".join(movies.stream("libx265", count=3)))
    first = slices(units)[0]
    with pytest.raises(CodecError, match="first HEVC picture is not intra"):
        Hevc().read_info(join_annex_b([unit for unit in units if unit is not first]))


def test_damaged_headers_are_refused():
    whole = [sequence(), picture()]
    with pytest.raises(CodecError, match="begins in the middle of a picture"):
        read_hevc([*whole, IDR + BitWriter().bits(9).done()])
    with pytest.raises(CodecError, match="chroma_format_idc must be 0 to 3, got 5"):
        read_hevc([sequence(chroma=5)])
    with pytest.raises(CodecError, match="headers say 0x48"):
        read_hevc([sequence(size=(0, 48))])
    with pytest.raises(CodecError, match="at most 64 reference picture sets, got 65"):
        read_hevc([sequence(sets=[lambda bits: None] * 65)])
    nowhere = BitWriter().bits(1, 1).ue(0, 2).bits(4).bits(1).bits(1, 1).ue(9).bits(9)
    with pytest.raises(CodecError, match="builds on one that does not exist"):
        read_hevc([sequence(sets=(explicit,)), picture(), TRAIL + nowhere.done()])


def test_other_bytes_are_refused():
    with pytest.raises(CodecError, match=r"are not H\.265"):
        Hevc().decode(b"GIF89a")
