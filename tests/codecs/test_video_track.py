"""Video codecs inside the files that people have: MP4, QuickTime, Matroska, WebM, IVF."""

from __future__ import annotations

import contextlib
import io

import av
import movies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.codecs.av1 import Av1
from diffir.codecs.avc import Avc
from diffir.codecs.hevc import Hevc
from diffir.codecs.mpeg2 import Mpeg2
from diffir.codecs.video_track import holds, is_video_file, read_track
from diffir.codecs.vp9 import Vp9
from diffir.errors import CodecError

KINDS = [
    (Avc(), "libx264", "mp4"),
    (Avc(), "libx264", "matroska"),
    (Hevc(), "libx265", "mov"),
    (Hevc(), "libx265", "matroska"),
    (Av1(), "libsvtav1", "mp4"),
    (Av1(), "libsvtav1", "webm"),
    (Av1(), "libsvtav1", "ivf"),
    (Vp9(), "libvpx-vp9", "webm"),
    (Vp9(), "libvpx-vp9", "mp4"),
    (Vp9(), "libvpx-vp9", "ivf"),
    (Mpeg2(), "mpeg2video", "mp4"),
    (Mpeg2(), "mpeg2video", "matroska"),
]
CODECS = (Avc(), Hevc(), Av1(), Vp9(), Mpeg2())


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("SVT_LOG", "-1")


@pytest.mark.parametrize(("codec", "encoder", "container"), KINDS)
def test_the_one_picture_of_a_file_is_read(codec, encoder, container):
    data = movies.file(container, encoder)
    assert [other.spec.name for other in CODECS if other.recognizes(data)] == [codec.spec.name]
    info = codec.read_info(data)
    assert (info.name, info.subsampling) == (codec.spec.name, "4:2:0")
    assert info.details["frames"] == 1
    assert info.bits_per_pixel == 8 * len(data) / (64 * 48)
    expected = next(movies.frames(1, 64, 48, "yuv420p")).to_ndarray(format="rgb24")
    decoded = codec.decode(data)
    assert decoded.shape == (48, 64, 3)
    # x264 and its kind are free to lose what they like; it is the same picture, not its negative.
    assert np.abs(decoded.astype(float) - expected).mean() < 25


@pytest.mark.parametrize(("codec", "encoder", "container"), KINDS)
def test_a_file_of_several_pictures_is_a_movie(codec, encoder, container):
    data = movies.file(container, encoder, count=3)
    assert codec.recognizes(data)
    assert codec.read_info(data).details["frames"] > 1
    with pytest.raises(CodecError, match="is a movie of several frames"):
        codec.decode(data)


@pytest.mark.parametrize("codec", [Avc(), Hevc()], ids=["avc", "hevc"])
def test_our_stamp_survives_a_remux(codec):
    pixels = np.random.default_rng(0).integers(0, 256, (21, 33, 3), dtype=np.uint8)
    stream = codec.encode(pixels, 20)
    buffer = io.BytesIO()
    with av.open(io.BytesIO(stream)) as source, av.open(buffer, "w", format="mp4") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts = packet.dts = 0
                packet.stream = track
                target.mux(packet)
    np.testing.assert_array_equal(codec.decode(buffer.getvalue()), codec.decode(stream))


def test_another_codec_in_the_file_is_named():
    data = movies.file("mp4", "libx264")
    with pytest.raises(CodecError, match="of the codec hevc was expected, the file holds h264"):
        Hevc().decode(data)
    assert not holds(data, "hevc")


def test_a_damaged_file_is_refused():
    data = movies.file("mp4", "libx264")
    with pytest.raises(CodecError, match="the video file could not be read"):
        Avc().decode(data[:200])


def test_a_file_without_video_is_refused():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        track = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 64), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        output.mux(track.encode(sound))
        output.mux(track.encode(None))
    with pytest.raises(CodecError, match="the file holds no video"):
        read_track(buffer.getvalue(), "h264")


def test_a_track_of_a_codec_that_nobody_knows_is_refused():
    file = movies.file("webm", "libvpx-vp9")
    assert b"V_VP9" in file
    with pytest.raises(CodecError, match="the file holds no video"):
        read_track(file.replace(b"V_VP9", b"V_VQ9"), "vp9")


def test_pictures_in_iso_files_are_left_to_their_own_readers():
    assert is_video_file(b"\0\0\0\x18ftypisom\0\0\0\0")
    for brand in (b"avif", b"heic", b"mif1"):
        assert not is_video_file(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0")


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_damaged_files_give_a_codec_error_or_a_picture(data):
    codec, encoder, container = data.draw(st.sampled_from([KINDS[0], KINDS[3], KINDS[7]]))
    file = bytearray(movies.file(container, encoder))
    for _ in range(3):
        file[data.draw(st.integers(0, len(file) - 1))] ^= data.draw(st.integers(1, 255))
    for read in (codec.decode, codec.read_info, codec.recognizes):
        with contextlib.suppress(CodecError):
            read(bytes(file))
