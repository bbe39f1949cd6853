"""What every video codec promises as a still-image codec."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import subprocess
import sys

import movies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.codecs.av1 import Av1
from diffir.codecs.avc import Avc
from diffir.codecs.hevc import Hevc
from diffir.codecs.mpeg2 import Mpeg2
from diffir.codecs.vp9 import Vp9
from diffir.errors import CodecError

CODECS = [Avc(), Hevc(), Av1(), Vp9(), Mpeg2()]
every_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.spec.name)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth color, an edge and some grain: natural enough for an encoder to lose something."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16
    waves = [np.sin(x + phase) + np.cos(y * (1 + phase)) for phase in rng.uniform(0, 2, 3)]
    pixels = 128 + 45 * np.stack(waves, 2) + rng.normal(0, 8, (height, width, 3))
    pixels[height // 3 :, width // 2 :] += 40
    return np.clip(pixels, 0, 255).astype(np.uint8)


def error(codec, pixels, quality, subsampling=None) -> float:
    decoded = codec.decode(codec.encode(pixels, quality, subsampling=subsampling))
    return float(np.mean((decoded.astype(float) - pixels) ** 2))


@every_codec
@settings(max_examples=8, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), data=st.data())
def test_every_size_comes_back(codec, height, width, data):
    subsampling = data.draw(st.sampled_from(codec.spec.subsamplings))
    pixels = picture(height, width)
    stream = codec.encode(pixels, codec.spec.levels[1], subsampling=subsampling)
    assert codec.decode(stream).shape == pixels.shape
    info = codec.read_info(stream)
    assert info.subsampling == subsampling
    assert info.bits_per_pixel == 8 * len(stream) / (height * width)


@every_codec
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (1, 64), (17, 16), (65, 63)])
def test_awkward_sizes_come_back(codec, size):
    pixels = picture(*size)
    assert codec.decode(codec.encode(pixels, codec.spec.levels[1])).shape == pixels.shape


@every_codec
def test_colors_come_back(codec):
    for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (90, 90, 90)):
        pixels = np.full((33, 47, 3), color, np.uint8)
        decoded = codec.decode(codec.encode(pixels, 4))
        assert np.abs(decoded.astype(int) - pixels).max() <= 6


@every_codec
def test_equal_pixels_give_equal_bytes(codec):
    pixels = picture(72, 65)
    assert codec.encode(pixels, 30) == codec.encode(pixels.copy(), 30)


@every_codec
def test_heavier_compression_distorts_more_and_is_smaller(codec):
    scale = codec.spec.scale
    qualities = np.linspace(scale.best, scale.worst, 6).round()
    errors = [error(codec, picture(96, 96), quality) for quality in qualities]
    sizes = [len(codec.encode(picture(96, 96), quality)) for quality in qualities]
    assert errors == sorted(errors)
    assert sizes == sorted(sizes, reverse=True)
    severities = [
        codec.read_info(codec.encode(picture(96, 96), quality)).severity for quality in qualities
    ]
    assert severities == sorted(severities)


@every_codec
def test_full_chroma_keeps_color_edges_better(codec):
    if "4:4:4" not in codec.spec.subsamplings:
        pytest.skip("the encoder writes 4:2:0 only")
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::2] = (255, 0, 0)
    pixels[:, 1::2] = (0, 0, 255)
    assert error(codec, pixels, 10, "4:4:4") < 0.2 * error(codec, pixels, 10, "4:2:0")


@every_codec
def test_info_names_the_codec_and_every_source(codec):
    info = codec.read_info(codec.encode(picture(48, 48), codec.spec.levels[0]))
    assert info.name == codec.spec.name
    assert 0.5 < info.severity <= 1
    assert info.details["frames"] == 1
    assert info.details["bit_depth"] == 8
    assert info.lossless is False
    assert info.progressive is info.tables is info.generation is None
    named = ("quality", "severity", "quantizer", "subsampling", "bits_per_pixel", "lossless")
    assert set(info.sources) == {"name", *named}


@every_codec
def test_only_its_own_bytes_are_recognized(codec):
    for other in CODECS:
        stream = other.encode(picture(40, 40), other.spec.levels[1])
        assert codec.recognizes(stream) == (other is codec)
    for foreign in (b"", b"\0", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBP" * 9):
        assert not codec.recognizes(foreign)


@every_codec
def test_quality_outside_the_scale_is_refused(codec):
    beyond = max(codec.spec.scale.worst, codec.spec.scale.best) + 1
    with pytest.raises(CodecError, match=f"must be between .* got {beyond:g}"):
        codec.encode(picture(8, 8), beyond)


@every_codec
def test_unknown_chroma_formats_are_refused(codec):
    with pytest.raises(CodecError, match=r"encodes chroma as 4:2:0.*, got '4:1:1'"):
        codec.encode(picture(8, 8), 30, subsampling="4:1:1")


@every_codec
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3)])
def test_other_shapes_are_refused(codec, shape):
    with pytest.raises(CodecError, match=r"must be \(H,W,3\) uint8"):
        codec.encode(np.zeros(shape, np.uint8), 30)


@every_codec
def test_truncated_bytes_are_refused(codec):
    stream = codec.encode(picture(96, 80), codec.spec.levels[1])
    for share in (0, 0.01, 0.1, 0.3, 0.6, 0.9):
        with pytest.raises(CodecError):
            codec.decode(stream[: int(share * len(stream))])


@every_codec
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_a_codec_error_or_a_picture(codec, data):
    stream = bytearray(codec.encode(picture(40, 56), codec.spec.levels[1]))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    for read in (codec.decode, codec.read_info):
        with contextlib.suppress(CodecError):
            read(bytes(stream))


@every_codec
@pytest.mark.parametrize("noise", [b"", b"\0" * 64, bytes(range(256)), b"ftyp" * 40])
def test_noise_is_refused(codec, noise):
    with pytest.raises(CodecError):
        codec.decode(noise)
    with pytest.raises(CodecError):
        codec.read_info(noise)


@every_codec
def test_nothing_is_printed(codec, capfd):
    stream = codec.encode(picture(24, 24), codec.spec.levels[1])
    codec.decode(stream)
    with pytest.raises(CodecError):
        codec.decode(stream[: len(stream) // 2])
    codec.read_info(stream)
    assert capfd.readouterr() == ("", "")


@every_codec
def test_codecs_travel_through_pickle(codec):
    copy = pickle.loads(pickle.dumps(codec))
    assert copy.encode(picture(16, 16), 30) == codec.encode(picture(16, 16), 30)


def encode_there(codec) -> bytes:
    return codec.encode(picture(20, 20), 30)


def test_codecs_work_in_another_process():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.map(encode_there, CODECS)
    assert there == [encode_there(codec) for codec in CODECS]


def test_reading_headers_needs_no_decoder():
    program = (
        "import sys; from diffir.codecs.avc import Avc; from diffir.codecs.hevc import Hevc\n"
        "data = sys.stdin.buffer.read(); assert Avc().read_info(data).quantizer == 27\n"
        "assert 'av' not in sys.modules and 'torch' not in sys.modules"
    )
    stream = Avc().encode(picture(20, 20), 30)
    subprocess.run([sys.executable, "-c", program], input=stream, check=True)


@pytest.mark.parametrize(
    ("codec", "encoder"), [(Avc(), "libx264"), (Hevc(), "libx265"), (Mpeg2(), "mpeg2video")]
)
def test_a_bare_stream_of_several_pictures_is_a_movie(codec, encoder):
    movie = b"".join(movies.stream(encoder, count=3))
    assert codec.recognizes(movie)
    info = codec.read_info(movie)
    assert info.details["frames"] == 3
    assert info.bits_per_pixel is None
    with pytest.raises(CodecError, match="is a movie of several frames") as caught:
        codec.decode(movie)
    assert "-frames:v 1" in caught.value.hint
