"""What a JPEG leaves in pixels: found where it is, to the quality, and nowhere else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from diffir.codecs.avif import Avif
from diffir.codecs.jpeg import Jpeg
from diffir.codecs.jpeg_traces import MOST_BLOCKS, _coefficients, find_lattice
from diffir.codecs.webp import WebP


def scene(height: int = 240, width: int = 320) -> np.ndarray:
    """Edges, textures and gradients of every orientation, nothing clipped."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = 30 * np.sin(rows * columns / 900) + 25 * np.sign(np.sin(columns / 9 + rows / 31))
    rough = rng.normal(0, 1, (height, width)) * (10 + 8 * np.sin(rows / 40))
    gray = 125 + waves + rough + rows / 12
    tint = 12 * np.sin(columns / 50)
    return np.stack([gray + tint, gray, gray - tint], axis=2).round().clip(1, 254).astype(np.uint8)


def as_jpeg(pixels: np.ndarray, **options: object) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize("quality", [5, 10, 20, 40, 60, 75, 85, 90, 95])
@pytest.mark.parametrize("subsampling", [0, 2], ids=["4:4:4", "4:2:0"])
def test_the_quality_is_found(quality, subsampling):
    found = find_lattice(as_jpeg(scene(), quality=quality, subsampling=subsampling))
    assert (found.quality, found.distance) == (quality, 0)
    assert (found.row, found.column) == (0, 0)


@pytest.mark.parametrize("cut", [(0, 5), (3, 0), (3, 6), (8, 16)])
@pytest.mark.parametrize("quality", [10, 50, 75])
def test_where_blocks_begin_after_a_crop(quality, cut):
    found = find_lattice(as_jpeg(scene(), quality=quality)[cut[0] :, cut[1] :])
    assert found.quality == quality
    assert (found.row, found.column) == tuple(-place % 8 for place in cut)


def test_the_last_compression_counts():
    once = as_jpeg(scene(), quality=70)[4:, 4:]
    assert find_lattice(as_jpeg(once, quality=40)).quality == 40


def test_tables_that_are_nobodys():
    tables = [[12 + place // 6 for place in range(64)], [20] * 64]
    found = find_lattice(as_jpeg(scene(), qtables=tables, quality=50))
    assert found.distance > 0


def test_gray():
    file = io.BytesIO()
    Image.fromarray(scene()[:, :, 1]).save(file, "JPEG", quality=30)
    gray = np.asarray(Image.open(file))
    assert find_lattice(np.repeat(gray[:, :, None], 3, axis=2)).quality == 30


def test_a_saturated_half_does_not_hide_it():
    pixels = scene()
    pixels[:, :160] = pixels[:, :160] // 100 * 127
    assert find_lattice(as_jpeg(pixels, quality=40)).quality == 40


def others() -> dict[str, np.ndarray]:
    pixels = scene()
    half = Image.fromarray(as_jpeg(pixels, quality=30)).resize((160, 120), Image.Resampling.BICUBIC)
    return {
        "never compressed": pixels,
        "flat": np.full((80, 80, 3), 77, np.uint8),
        "noise": np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8),
        "palette": np.asarray(Image.fromarray(pixels).quantize(64).convert("RGB")),
        "magnified": pixels.repeat(2, axis=0).repeat(2, axis=1),
        "webp": WebP().decode(WebP().encode(pixels, 20)),
        "avif": Avif().decode(Avif().encode(pixels, 30)),
        "resized after": np.asarray(half),
        "webp after": WebP().decode(WebP().encode(as_jpeg(pixels, quality=50), 60)),
    }


@pytest.mark.parametrize("name", others())
def test_nothing_is_found_where_nothing_is(name):
    assert find_lattice(others()[name]) is None


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_any_pixels_of_any_size(pixels):
    find_lattice(pixels)


@pytest.mark.parametrize("times", [1, 8])
def test_work_is_bounded(times):
    blocks = _coefficients(np.tile(scene(), (times, times, 1))).shape[1]
    assert 1000 < blocks <= MOST_BLOCKS


def test_as_facts_of_a_codec():
    facts = Jpeg().find_traces(as_jpeg(scene(), quality=20)[2:, 1:])
    assert (facts.name, facts.quality, facts.grid) == ("jpeg", 20, (6, 7))
    assert facts.severity == Jpeg.spec.scale.severity(20)
    assert set(facts.sources.values()) == {"pixels"}
    assert Jpeg().find_traces(as_jpeg(scene(), quality=20)).grid is None
    assert Jpeg().find_traces(scene()) is None
