from __future__ import annotations

import movies
import numpy as np
import pytest

from diffir.codecs.mpeg2 import Mpeg2
from diffir.codecs.mpeg2_headers import PREFIX, read_mpeg2
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (35, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("quality", [1, 2, 12, 20, 31])
def test_the_scale_code_comes_back(quality):
    info = Mpeg2().read_info(Mpeg2().encode(PIXELS, quality))
    assert info.quality == info.quantizer == quality
    assert info.severity == pytest.approx((quality - 1) / 30)
    assert info.details["nonlinear_scale"] is False


def test_other_streams_of_ffmpeg_are_read():
    (stream,) = movies.stream(
        "mpeg2video", pixel_format="yuv422p", dc="10", non_linear_quant="1", qmin="5", qmax="5"
    )
    info = Mpeg2().read_info(stream)
    assert info.subsampling == "4:2:2"
    assert info.details["nonlinear_scale"] is True
    assert info.details["dc_bits"] == 10
    assert Mpeg2().decode(stream).shape == (48, 64, 3)


def test_tall_pictures_have_a_longer_slice_header():
    pixels = np.tile(PIXELS, (81, 1, 1))[:2816]
    stream = Mpeg2().encode(pixels, 20)
    assert Mpeg2().read_info(stream).quantizer == 20
    assert Mpeg2().decode(stream).shape == pixels.shape


def without(stream: bytes, code: int, first: int | None = None) -> bytes:
    """The stream less its sections of a start code, and of an extension's number where given."""
    pieces = stream.split(PREFIX)[1:]
    left = [
        piece
        for piece in pieces
        if piece[0] != code or (first is not None and piece[1] >> 4 != first)
    ]
    return b"".join(PREFIX + piece for piece in left)


def test_what_is_missing_is_named():
    stream = Mpeg2().encode(PIXELS, 20)
    for code, extension, name in (
        (0xB3, None, "sequence header"),
        (0xB5, 1, "sequence extension: MPEG-1, or damaged"),
        (0x00, None, "picture"),
        (0xB5, 8, "picture coding extension"),
    ):
        with pytest.raises(CodecError, match=f"holds no {name}"):
            read_mpeg2(without(stream, code, extension))
    slices = stream.index(PREFIX + b"\x01")
    with pytest.raises(CodecError, match="holds no slice: it is cut short"):
        read_mpeg2(stream[:slices])


def test_an_empty_size_is_refused():
    stream = bytearray(Mpeg2().encode(PIXELS, 20))
    stream[4:7] = bytes(3)
    with pytest.raises(CodecError, match="sequence header says 0x0"):
        Mpeg2().decode(bytes(stream))


def test_a_movie_that_begins_between_key_frames_is_refused():
    packets = movies.stream("mpeg2video", count=3)
    sets = packets[0][: packets[0].index(PREFIX + b"\x00")]
    with pytest.raises(CodecError, match="first MPEG-2 picture is not intra"):
        Mpeg2().decode(sets + packets[1])
