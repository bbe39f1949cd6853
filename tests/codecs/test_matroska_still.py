from __future__ import annotations

import io

import av
import numpy as np
import pytest

from diffir.codecs.jpeg import Jpeg
from diffir.codecs.matroska_still import decode_matroska, encode_matroska, read_size
from diffir.errors import CodecError
from diffir.testing.sample_pictures import scene

FINE = {"qmin": "2", "qmax": "2"}


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 47), (64, 96)])
def test_any_size_comes_back(height, width):
    pixels = scene(height, width)
    data = encode_matroska(pixels, "mpeg4", options=FINE)
    assert data == encode_matroska(pixels, "mpeg4", options=FINE)
    assert read_size(data, "mpeg4") == (width, height)
    decoded = decode_matroska(data, "mpeg4")
    assert decoded.shape == pixels.shape
    assert np.abs(decoded.astype(int) - pixels).mean() < 12


@pytest.mark.parametrize("color", [(200, 30, 30), (30, 200, 30), (30, 30, 200)], ids=str)
@pytest.mark.parametrize(
    ("encoder", "codec", "options"),
    [
        ("mpeg4", "mpeg4", FINE),
        ("mpeg1video", "mpeg1video", FINE),
        ("mjpeg", "mjpeg", FINE),
        ("h263p", "h263", FINE),  # in NUT: Matroska has no name for it
        ("libx264", "h264", {"qp": "1"}),
        ("libx265", "hevc", {"qp": "1"}),
    ],
)
def test_colors_come_back(encoder, codec, options, color, capfd):
    pixels = np.full((64, 64, 3), color, np.uint8)
    decoded = decode_matroska(encode_matroska(pixels, encoder, options=options), codec)
    assert np.abs(decoded.astype(int) - pixels).max() <= 3
    assert capfd.readouterr().err == ""  # no encoder chatters


def test_other_players_see_one_frame():
    data = encode_matroska(scene(64, 96), "mpeg4", options=FINE)
    with av.open(io.BytesIO(data)) as container:
        (frame,) = container.decode(video=0)
    assert (frame.width, frame.height) == (96, 64)


def test_the_decoder_may_have_another_name():
    data = encode_matroska(scene(64, 96), "libx264", options={"qp": "20"})
    assert decode_matroska(data, "h264", decoder="h264").shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("no-such", "no-such refused 47x33 pixels"),
        ("libwebp", "libwebp refused 47x33 pixels"),
        ("aac", "aac is not a video encoder"),
    ],
)
def test_encoders_that_do_not_serve(encoder, message):
    with pytest.raises(CodecError, match=message) as caught:
        encode_matroska(scene(33, 47), encoder, options={})
    assert caught.value.hint


def test_bytes_of_others():
    data = encode_matroska(scene(33, 47), "mpeg4", options=FINE)
    with pytest.raises(CodecError, match="video of the codec h264 was expected"):
        decode_matroska(data, "h264")
    with pytest.raises(CodecError, match="a video file was expected"):
        read_size(Jpeg().encode(scene(8, 8), 50), "mpeg4")
    with pytest.raises(CodecError, match="could not be read"):
        read_size(data[:40], "mpeg4")


@pytest.mark.parametrize(
    ("told", "message"),
    [(b"99x33", "says that its picture is 99x33, but decodes to 48x36"), (b"ax 33", "is ax 33")],
)
def test_a_size_that_cannot_be(told, message):
    data = encode_matroska(scene(33, 47), "mpeg4", options=FINE).replace(b"47x33", told)
    with pytest.raises(CodecError, match=message):
        decode_matroska(data, "mpeg4")
