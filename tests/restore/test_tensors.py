from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.restore.tensors import add_residual, pad_to_multiple, to_image

DTYPES = pytest.mark.parametrize("dtype", [np.uint8, np.uint16])


def noise(height: int, width: int, dtype: type) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


@DTYPES
def test_to_image(dtype):
    pixels = noise(5, 7, dtype)
    image = to_image(pixels)
    assert image.shape == (1, 3, 5, 7)
    assert image.is_contiguous(memory_format=torch.channels_last)
    expected = pixels[3, 2].astype(np.float64) / np.iinfo(dtype).max
    np.testing.assert_allclose(image[0, :, 3, 2].numpy(), expected, rtol=1e-6)


def test_to_image_takes_views():
    pixels = noise(5, 7, np.uint8)
    assert torch.equal(to_image(pixels[:, ::-1]), to_image(pixels).flip(3))


@given(height=st.integers(1, 70), width=st.integers(1, 70))
@settings(max_examples=25, deadline=None)
def test_padding_keeps_the_picture_and_mirrors_it(height, width):
    image = to_image(noise(height, width, np.uint8))
    padded = pad_to_multiple(image, 32)
    assert padded.shape[-2:] == (-(-height // 32) * 32, -(-width // 32) * 32)
    assert torch.equal(padded[..., :height, :width], image)
    if 1 < height < padded.shape[-2]:
        assert torch.equal(padded[..., height, :width], image[..., height - 2, :])


def test_a_line_is_repeated():
    image = to_image(noise(1, 40, np.uint8))
    padded = pad_to_multiple(image, 32)
    assert torch.equal(padded[..., :40], image.expand(-1, -1, 32, -1))


@DTYPES
@given(seed=st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_the_sum_is_rounded_and_clipped(dtype, seed):
    full = int(np.iinfo(dtype).max)
    pixels = noise(6, 5, dtype)
    residual = np.random.default_rng(seed).normal(0, 0.5, pixels.shape).astype(np.float32)
    restored = add_residual(pixels, residual, gray=False)
    assert restored.dtype == dtype
    expected = (pixels + residual.astype(np.float64) * full).clip(0, full)
    assert np.abs(restored - expected).max() <= 0.51


@DTYPES
def test_nothing_added_is_nothing_changed(dtype):
    pixels = noise(6, 5, dtype)
    zero = np.zeros(pixels.shape, np.float32)
    np.testing.assert_array_equal(add_residual(pixels, zero, gray=False), pixels)


def test_gray_stays_gray():
    pixels = np.repeat(noise(6, 5, np.uint8)[..., :1], 3, axis=2)
    residual = np.random.default_rng(0).normal(0, 0.1, pixels.shape).astype(np.float32)
    restored = add_residual(pixels, residual, gray=True)
    assert (restored == restored[..., :1]).all()
    by_mean = np.repeat(residual.mean(axis=2, keepdims=True), 3, axis=2)
    np.testing.assert_array_equal(restored, add_residual(pixels, by_mean, gray=False))
