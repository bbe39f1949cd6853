"""Compressed again by Pillow with the file's tables, a result has the file's coefficients."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from diffir.contracts.picture import Picture
from diffir.degradations.codec_degradation import CodecDegradation
from diffir.host.manager import default_host
from diffir.pictures.orientation import turn_back, turn_upright
from diffir.pictures.reading import read_bytes
from diffir.restore.consistency import make_consistent, why_not
from diffir.restore.restorer import Restorer

JPEG = default_host().codec("jpeg")


def scene(height: int, width: int) -> Image.Image:
    """Waves, grain, hard edges, and areas in black and white where values are cut off."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 80 * np.sin((rows * i + columns * columns / 40) / 9) for i in (1, 2, 3)]
    pixels = np.stack(waves, axis=2) + rng.normal(0, 9, (height, width, 3))
    pixels[rows + columns < 30] = 255
    pixels[(rows // 9 + columns // 7) % 5 == 0] = 0
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def changed(picture: Picture) -> Picture:
    """Stands for a model: blurred, with grain, gray where it was."""
    blurred = Image.fromarray(picture.pixels).filter(ImageFilter.GaussianBlur(1))
    grain = np.random.default_rng(1).normal(0, 5, (picture.height, picture.width, 1))
    pixels = (np.asarray(blurred) + grain * ([1, 1, 1] if picture.gray else [1, -1, 0.5])).round()
    return picture.with_pixels(pixels.clip(0, 255).astype(np.uint8))


def missed(result: Picture, data: bytes) -> tuple[int, int]:
    """How many coefficients differ when it is compressed again, luma and chroma, and of how many.

    By the encoder itself, with the tables and the chroma format of the file.
    """
    stored = turn_back(result.pixels, result.origin.orientation)
    with Image.open(io.BytesIO(data)) as opened:
        tables = opened.quantization
    image = Image.fromarray(np.ascontiguousarray(stored[..., 0] if result.gray else stored))
    chroma = {} if result.gray else {"subsampling": JPEG.read_info(data).subsampling}
    again = JPEG.coefficients(saved(image, qtables=tables, **chroma)).planes
    planes = JPEG.coefficients(data).planes
    differ = sum((a.levels != b.levels).sum() for a, b in zip(again, planes, strict=True))
    return int(differ), sum(plane.levels.size for plane in planes)


@pytest.mark.parametrize("chroma", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("quality", [5, 10, 20, 35, 50])
@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_every_coefficient_of_bad_files(chroma, quality, size):
    data = saved(scene(*size), quality=quality, subsampling=chroma)
    restored = changed(read_bytes(data, name="x"))
    before = restored.pixels.copy()
    result, consistency = make_consistent(restored)
    assert missed(restored, data)[0] > 20
    assert missed(result, data)[0] == 0
    assert consistency.kept == 1
    np.testing.assert_array_equal(restored.pixels, before)


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"restart_marker_blocks": 2},
        {"icc_profile": b"a profile"},
        {"qtables": [[7] * 64, [19] * 64]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_files_of_other_kinds(options):
    data = saved(scene(50, 60), **({"quality": 20} | options))
    result, consistency = make_consistent(changed(read_bytes(data, name="x")))
    assert missed(result, data)[0] == 0
    assert consistency.kept == 1


@pytest.mark.parametrize("quality", [10, 50])
@pytest.mark.parametrize("size", [(50, 60), (1, 1), (3, 9)])
def test_gray(quality, size):
    data = saved(scene(*size).convert("L"), quality=quality)
    result, consistency = make_consistent(changed(read_bytes(data, name="x")))
    assert result.gray
    assert (result.pixels == result.pixels[..., :1]).all()
    assert (missed(result, data)[0], consistency.kept) == (0, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_files_that_are_stored_turned(orientation):
    exif = struct.pack("<2sHLHHHLHHL", b"II", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0)
    data = saved(scene(50, 70), quality=20, exif=b"Exif\0\0" + exif)
    picture = read_bytes(data, name="x")
    assert picture.origin.orientation == orientation
    assert picture.height == (70 if orientation > 4 else 50)
    result, _ = make_consistent(changed(picture))
    assert missed(result, data)[0] == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_back(orientation):
    samples = np.arange(24).reshape(2, 4, 3).astype(np.uint8)
    back = turn_back(turn_upright(samples, orientation), orientation)
    np.testing.assert_array_equal(back, samples)


@pytest.mark.parametrize("quality", [75, 90, 95, 100])
def test_small_steps_are_counted(quality):
    """Steps of a gray level or two leave no room for 8-bit RGB: some are missed, and it is said."""
    data = saved(scene(61, 83), quality=quality)
    result, consistency = make_consistent(changed(read_bytes(data, name="x")))
    count, total = missed(result, data)
    assert 1 - count / total >= {75: 0.9998, 90: 0.998, 95: 0.96, 100: 0.5}[quality]
    assert consistency.kept == pytest.approx(1 - count / total, abs=0.02)
    assert (consistency.kept == 1) == (count == 0) or quality < 90


def test_what_is_consistent_already_is_left_alone():
    data = saved(scene(48, 48), quality=10, subsampling="4:4:4")
    first, _ = make_consistent(changed(read_bytes(data, name="x")))
    second, _ = make_consistent(first)
    np.testing.assert_array_equal(second.pixels, first.pixels)


class TestWhereItDoesNotApply:
    def reason(self, picture: Picture) -> str:
        result, consistency = make_consistent(picture)
        assert result is picture
        assert consistency.kept is None
        return consistency.reason

    def test_another_codec(self):
        webp = default_host().codec("webp").encode(np.zeros((9, 9, 3), np.uint8), 10)
        picture = read_bytes(webp, name="x")
        assert self.reason(picture) == "codec 'webp' does not give coefficients"

    def test_a_png_of_a_jpeg(self):
        assert self.reason(Picture(np.zeros((9, 9, 3), np.uint8))) == "no codec recognized the file"

    def test_sixteen_bits(self):
        picture = read_bytes(saved(scene(9, 9)), name="x")
        deep = picture.with_pixels(picture.pixels.astype(np.uint16))
        assert self.reason(deep) == "the picture has 16 bits a sample"

    def test_a_kind_that_is_not_read(self):
        picture = read_bytes(saved(scene(9, 9).convert("CMYK")), name="x")
        assert why_not(picture) is None
        assert "it has 4 components" in self.reason(picture)

    def test_other_pixels(self):
        picture = read_bytes(saved(scene(9, 12)), name="x")
        assert "12x9" in self.reason(picture.with_pixels(picture.pixels[1:]))

    def test_pixels_of_another_compression(self):
        picture = read_bytes(saved(scene(9, 12)), name="x")
        assert picture.with_pixels(picture.pixels, codec=picture.codec).origin is None
        assert replace(picture, codec=picture.codec).origin is picture.origin


class TestRestorer:
    def test_the_dial_and_the_strength(self, build_model):
        data = saved(scene(60, 75), quality=15)
        picture = read_bytes(data, name="x")
        for fidelity, strength in ((0.0, None), (0.3, 0.5), (1.0, 1.0)):
            restorer = Restorer(
                build_model(),
                device=torch.device("cpu"),
                fidelity=fidelity,
                strength=strength,
                consistent=True,
            )
            assert missed(restorer(picture), data)[0] == 0

    def test_refused(self, build_model):
        picture = read_bytes(saved(scene(60, 75), quality=15), name="x")
        restorer = Restorer(build_model(), device=torch.device("cpu"), consistent=False)
        assert restorer.estimate(picture).developed(0.0)[1] is None

    def test_a_good_picture_is_left_alone(self, build_model):
        picture = read_bytes(saved(scene(60, 75), quality=99), name="x")
        estimates = Restorer(build_model(), device=torch.device("cpu")).estimate(picture)
        restored, consistency = estimates.developed(0.0)
        np.testing.assert_array_equal(restored.pixels, picture.pixels)
        assert consistency.reason == "nothing was changed"


def test_degraded_pictures_have_an_origin():
    clean = Picture(np.asarray(scene(40, 50)))
    degraded = CodecDegradation(JPEG, (20,)).degrade(clean, np.random.default_rng(0))
    result, consistency = make_consistent(changed(degraded))
    assert consistency.kept == 1
    assert missed(result, degraded.origin.data)[0] == 0


def test_gray_pictures_of_color_files():
    gray = np.asarray(scene(40, 50).convert("L"))
    clean = Picture(np.repeat(gray[..., None], 3, axis=2), gray=True)
    degraded = CodecDegradation(JPEG, (20,)).degrade(clean, np.random.default_rng(0))
    result, consistency = make_consistent(changed(degraded))
    assert consistency.kept == 1
    assert (result.pixels == result.pixels[..., :1]).all()
