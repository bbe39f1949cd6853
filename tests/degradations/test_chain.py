from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.contracts.picture import Picture
from diffir.degradations.chain import Chain, double_jpeg, web_repost
from diffir.degradations.codec_degradation import CodecDegradation
from diffir.errors import ComponentError
from diffir.host.manager import default_host


def jpeg_at(quality: float) -> CodecDegradation:
    return CodecDegradation(default_host().codec("jpeg"), [quality])


def ramp(height: int, width: int) -> Picture:
    rows, columns = np.mgrid[:height, :width]
    gray = 128 + 90 * np.sin(rows / 3.1) * np.cos(columns / 4.7)
    return Picture(np.repeat(gray[:, :, None], 3, axis=2).astype(np.uint8))


def steps_at_block_edges(pixels: np.ndarray) -> np.ndarray:
    """Mean step over each vertical line, by its column modulo 8; [0] is the 8x8 grid's own."""
    steps = np.abs(np.diff(pixels[:, :, 1].astype(float), axis=1)).mean(axis=0)
    return np.array([steps[(offset - 1) % 8 :: 8].mean() for offset in range(8)])


def test_the_last_pass_is_told_by_the_codec_info():
    chain = Chain([jpeg_at(10), jpeg_at(80)], shift=True)
    degraded = chain.degrade(ramp(40, 56), np.random.default_rng(0))
    assert degraded.codec.quality == 80
    assert degraded.codec.bits_per_pixel > 0


def test_twice_differs_from_once():
    picture = ramp(64, 64)
    once = jpeg_at(40).degrade(picture, np.random.default_rng(0))
    twice = Chain([jpeg_at(10), jpeg_at(40)], shift=True).degrade(picture, np.random.default_rng(0))
    assert np.abs(once.pixels.astype(int) - twice.pixels).mean() > 1


def test_without_shift_the_passes_are_just_composed():
    picture, rng = ramp(40, 40), np.random.default_rng(0)
    composed = jpeg_at(60).degrade(jpeg_at(20).degrade(picture, rng), rng)
    chained = Chain([jpeg_at(20), jpeg_at(60)], shift=False).degrade(picture, rng)
    np.testing.assert_array_equal(chained.pixels, composed.pixels)


def test_shift_moves_the_first_pass_off_the_grid():
    noise = np.random.default_rng(3).normal(0, 8, (64, 256, 1))
    smooth = np.clip(ramp(64, 256).pixels * 0.2 + 100 + noise, 0, 255).astype(np.uint8)
    on_grid = steps_at_block_edges(
        Chain([jpeg_at(2), jpeg_at(100)], shift=False)
        .degrade(Picture(smooth), np.random.default_rng(0))
        .pixels
    )
    assert on_grid.argmax() == 0
    strongest = set()
    for seed in range(6):
        chain = Chain([jpeg_at(2), jpeg_at(100)], shift=True)
        degraded = chain.degrade(Picture(smooth), np.random.default_rng(seed))
        strongest.add(int(steps_at_block_edges(degraded.pixels).argmax()))
    assert len(strongest) > 2


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_any_size_with_alpha(height, width, seed):
    alpha = np.full((height, width), 200, np.uint8)
    picture = Picture(ramp(height, width).pixels, alpha=alpha)
    degraded = Chain([jpeg_at(30)] * 2, shift=True).degrade(picture, np.random.default_rng(seed))
    assert degraded.pixels.shape == picture.pixels.shape
    np.testing.assert_array_equal(degraded.alpha, alpha)


@pytest.mark.parametrize("factory", [double_jpeg, web_repost])
def test_registered_chains(factory):
    chain = pickle.loads(pickle.dumps(factory()))
    first, second = (chain.degrade(ramp(40, 40), np.random.default_rng(5)) for _ in range(2))
    assert first.codec.name == "jpeg"
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_an_empty_chain():
    with pytest.raises(ComponentError, match="one degradation or more, got none"):
        Chain([], shift=True)
