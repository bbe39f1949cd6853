"""The public suites, and what only JPEG XL has: containers, distances, other encoders' files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from diffir_jpegxl.codec import JpegXl
from diffir_jpegxl.container import CODESTREAM, FILE
from diffir_jpegxl.distance import distance_of, quality_of
from PIL import Image

from diffir.errors import CodecError
from diffir.testing import CodecSuite, PluginSuite
from diffir.testing.sample_pictures import scene

JXL = JpegXl()


class TestJpegXl(CodecSuite):
    @pytest.fixture
    def codec(self):
        return JXL


class TestPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self):
        return "jpegxl"


def saved(pixels, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JXL", num_threads=0, **options)
    return buffer.getvalue()


def box(kind: bytes, payload: bytes) -> bytes:
    return (8 + len(payload)).to_bytes(4, "big") + kind + payload


@pytest.mark.parametrize("size", [(1, 1), (67, 58), (300, 520)])
@pytest.mark.parametrize("quality", [1, 5, 10, 19, 20, 29, 30, 50, 75, 90, 99])
def test_quality_is_read_back(quality, size):
    info = JXL.read_info(JXL.encode(scene(*size), quality))
    assert info.quality == pytest.approx(quality, abs=0.2)
    assert info.sources["quality"] == info.sources["severity"] == "estimate"
    assert info.sources["quantizer"] == "bitstream"


def test_distances_are_those_that_the_encoder_was_asked_for():
    assert JXL.read_info(saved(scene(40, 40), quality=90, effort=6)).details == {
        "coding": "vardct",
        "distance": 1.0,
        "upsampling": 1,
    }
    assert quality_of(distance_of(822, upsampling=2)) == pytest.approx(1, abs=0.1)


def test_pictures_are_halved_below_20():
    codings = [JXL.read_info(JXL.encode(scene(64, 64), q)).details["upsampling"] for q in (10, 20)]
    assert codings == [2, 1]


def test_what_stands_behind_patches_stays_unknown():
    glyph = np.zeros((128, 128, 3), np.uint8)
    for row in range(8, 120, 16):
        for column in range(8, 120, 12):
            glyph[row : row + 9, column : column + 2] = 255
            glyph[row : row + 2, column : column + 7] = 255
    info = JXL.read_info(saved(glyph, quality=30, effort=9))
    assert info.quality is info.severity is info.quantizer is None
    assert info.lossless is False


def test_lossless_pictures_are_not_called_lossy():
    pixels = scene(33, 47)
    data = saved(pixels, lossless=True)
    info = JXL.read_info(data)
    assert info.lossless is info.quality is info.subsampling is None
    assert np.array_equal(JXL.decode(data), pixels)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_gray_and_alpha_decode_to_rgb(mode):
    buffer = io.BytesIO()
    Image.fromarray(scene(20, 31)).convert(mode).save(buffer, "JXL", num_threads=0)
    assert JXL.decode(buffer.getvalue()).shape == (20, 31, 3)
    assert JXL.read_info(buffer.getvalue()).bits_per_pixel > 0


class TestContainer:
    def test_a_whole_codestream(self):
        data = saved(scene(40, 41), quality=40, effort=6, use_container=True)
        assert data.startswith(FILE)
        assert JXL.recognizes(data)
        assert JXL.read_info(data).quality == pytest.approx(40, abs=0.2)
        assert JXL.decode(data).shape == (40, 41, 3)

    def test_a_codestream_in_parts(self):
        stream = JXL.encode(scene(40, 41), 40)
        parts = [box(b"jxlp", bytes(4) + stream[:50]), box(b"jxlp", b"\x80\0\0\1" + stream[50:])]
        data = FILE + box(b"ftyp", b"jxl \0\0\0\0jxl ") + b"".join(parts)
        assert JXL.read_info(data).quality == pytest.approx(40, abs=0.2)
        assert np.array_equal(JXL.decode(data), JXL.decode(stream))

    def test_a_jpeg_inside(self, tmp_path):
        path = tmp_path / "photo.jpg"
        Image.fromarray(scene(40, 41)).save(path, quality=30)
        buffer = io.BytesIO()
        with Image.open(path) as image:
            image.save(buffer, "JXL", lossless_jpeg=True)
        info = JXL.read_info(buffer.getvalue())
        assert info.details["jpeg_reconstruction"] is True
        assert info.lossless is info.quality is None

    def test_without_a_codestream(self):
        with pytest.raises(CodecError, match="holds no codestream: a 'jxlc' or 'jxlp' box was"):
            JXL.read_info(FILE + box(b"ftyp", b"jxl \0\0\0\0jxl "))


def test_bytes_of_another_format():
    for read in (JXL.decode, JXL.read_info):
        with pytest.raises(CodecError, match=r"expected, these bytes begin with b'\\xff\\xd8"):
            read(b"\xff\xd8\xff\xe0" + bytes(50))


def test_headers_that_are_cut_short():
    with pytest.raises(CodecError, match="headers are cut short"):
        JXL.read_info(CODESTREAM + JXL.encode(scene(40, 40), 30)[2:9])


def test_a_picture_too_large_to_decode():
    sides = 2 * (0b11 | (2**30 - 1) << 2)  # not by eights; the widest number, of 30 bits
    header = sides | (0b11 | (2**30 - 1) << 2) << 36
    with pytest.raises(CodecError, match="the header says 1073741824x1073741824"):
        JXL.decode(CODESTREAM + header.to_bytes(12, "little") + bytes(9))


def test_its_levels_are_tasks():
    from diffir.degradations.tasks import tasks
    from diffir.host.manager import default_host

    assert [t.name for t in tasks(default_host()) if t.name.startswith("jpegxl")] == [
        "jpegxl-10",
        "jpegxl-20",
        "jpegxl-30",
    ]
