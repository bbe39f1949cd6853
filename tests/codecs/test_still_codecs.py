"""What all four still-image codecs promise alike."""

from __future__ import annotations

import io
import math
import pickle
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diffir.codecs.avif import Avif
from diffir.codecs.jpeg import Jpeg
from diffir.codecs.jpeg2000 import Jpeg2000
from diffir.codecs.webp import WebP
from diffir.errors import CodecError

CODECS = (Jpeg(), WebP(), Avif(), Jpeg2000())
each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.spec.name)


def scene(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Soft shapes, edges and a little grain: compresses as photos do."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 8) + 1, -(-width // 8) + 1, 3), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 3))
    return np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8)


@each_codec
@settings(max_examples=8, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_any_size_comes_back(codec, height, width, seed):
    pixels = scene(height, width, seed=seed)
    for chroma in codec.spec.subsamplings:
        decoded = codec.decode(codec.encode(pixels, codec.spec.levels[0], subsampling=chroma))
        assert decoded.shape == pixels.shape
        assert decoded.dtype == np.uint8
        assert decoded.flags.c_contiguous


@each_codec
def test_equal_pixels_give_equal_bytes(codec):
    pixels = scene(65, 70)
    data = codec.encode(pixels, codec.spec.levels[1])
    assert data == codec.encode(pixels.copy(), codec.spec.levels[1])
    assert data == pickle.loads(pickle.dumps(codec)).encode(pixels, codec.spec.levels[1])


@each_codec
def test_better_quality_means_less_distortion_and_severity(codec):
    pixels = scene(96, 96)
    scale = codec.spec.scale
    errors, severities = [], []
    for share in (0.0, 0.3, 0.6, 0.9, 1.0):
        data = codec.encode(pixels, round(scale.worst + share * (scale.best - scale.worst)))
        errors.append(float(np.mean((codec.decode(data).astype(float) - pixels) ** 2)))
        severities.append(codec.read_info(data).severity)
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 3 * errors[-1]
    assert severities == sorted(severities, reverse=True)
    assert all(0 <= severity <= 1 for severity in severities)


@each_codec
def test_quality_is_read_back(codec):
    pixels = scene(96, 96)
    for level in codec.spec.levels:
        info = codec.read_info(codec.encode(pixels, level))
        # JPEG 2000 meets its rate only roughly on a picture this small.
        assert math.isclose(info.quality, level, rel_tol=0.15, abs_tol=0.5)
        assert codec.spec.scale.contains(info.quality)


@each_codec
def test_facts_name_their_sources(codec):
    data = codec.encode(scene(32, 48), codec.spec.levels[0])
    info = codec.read_info(data)
    known = {
        name
        for name in vars(info)
        if name not in ("details", "sources") and getattr(info, name) is not None
    }
    assert set(info.sources) == known
    assert info.name == codec.spec.name
    assert info.bits_per_pixel == pytest.approx(len(data) * 8 / (32 * 48))
    assert info.subsampling == codec.spec.subsamplings[0]


@each_codec
def test_each_recognizes_its_own_alone(codec):
    data = codec.encode(scene(16, 16), codec.spec.levels[0])
    assert [other.spec.name for other in CODECS if other.recognizes(data)] == [codec.spec.name]
    assert not codec.recognizes(b"")
    assert not codec.recognizes(b"\x89PNG\r\n\x1a\n" + bytes(40))


@each_codec
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.98])
def test_bytes_that_are_cut_short_are_refused(codec, share):
    data = codec.encode(scene(40, 40), codec.spec.levels[-1])
    part = data[: int(len(data) * share)]
    with pytest.raises(CodecError):
        codec.read_info(part)
    with pytest.raises(CodecError, match=r"[a-z]{3}"):
        codec.decode(part)


@each_codec
@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
def test_damaged_headers_never_escape_as_other_errors(codec, changes):
    data = bytearray(_small_file(codec))
    for position, value in changes:
        data[position % len(data)] = value
    try:
        info = codec.read_info(bytes(data))
    except CodecError:
        return
    assert info.name == codec.spec.name
    assert info.bits_per_pixel > 0


@cache
def _small_file(codec) -> bytes:
    return codec.encode(scene(20, 24), codec.spec.levels[0])


@each_codec
def test_quality_outside_the_scale(codec):
    scale = codec.spec.scale
    beyond = scale.best + math.copysign(1, scale.best - scale.worst)
    with pytest.raises(CodecError, match=f"{scale.label} must be between") as caught:
        codec.encode(scene(8, 8), beyond)
    assert "compresses hardest" in caught.value.hint
    with pytest.raises(CodecError, match="got nan"):
        codec.encode(scene(8, 8), math.nan)


@each_codec
def test_unknown_chroma_format(codec):
    with pytest.raises(CodecError, match=r"encodes chroma as .*, got '4:1:1'"):
        codec.encode(scene(8, 8), codec.spec.levels[0], subsampling="4:1:1")


@each_codec
@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)],
)
def test_other_pixels_are_refused(codec, pixels):
    with pytest.raises(CodecError, match=r"pixels must be \(H,W,3\) uint8"):
        codec.encode(pixels, codec.spec.levels[0])


def test_a_picture_too_large_for_its_encoder():
    with pytest.raises(CodecError, match="WEBP encoder refused 16384x1 pixels"):
        WebP().encode(np.zeros((1, 16384, 3), np.uint8), 10)


def test_a_picture_too_large_to_decode():
    data = bytearray(Jpeg().encode(scene(8, 8), 50))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\x00\xff\x00"
    with pytest.raises(CodecError, match=r"cannot be decoded as JPEG: .*pixels"):
        Jpeg().decode(bytes(data))


def test_bytes_of_another_format():
    with pytest.raises(CodecError, match="these bytes are no JPEG picture"):
        Jpeg().decode(WebP().encode(scene(8, 8), 10))


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_gray_and_alpha_decode_to_rgb(image_format):
    codec = {"JPEG": CODECS[0], "WEBP": CODECS[1], "AVIF": CODECS[2], "JPEG2000": CODECS[3]}
    mode = "L" if image_format == "JPEG" else "RGBA"
    buffer = io.BytesIO()
    Image.fromarray(scene(20, 30)).convert(mode).save(buffer, image_format)
    assert codec[image_format].decode(buffer.getvalue()).shape == (20, 30, 3)


def test_no_torch_is_needed():
    script = (
        "import sys, numpy as np\n"
        "from diffir.codecs.jpeg import Jpeg\n"
        "from diffir.codecs.avif import Avif\n"
        "from diffir.codecs.webp import WebP\n"
        "from diffir.codecs.jpeg2000 import Jpeg2000\n"
        "for codec in (Jpeg(), Avif(), WebP(), Jpeg2000()):\n"
        "    codec.read_info(codec.encode(np.zeros((9, 9, 3), np.uint8), 50))\n"
        "sys.exit('torch' in sys.modules or 'av' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
