from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.degradations.diet import mix
from diffir.host.manager import default_host
from diffir.train.clean_pictures import SCALES
from diffir.train.transfer_crops import CleanPicture


@pytest.fixture(scope="module")
def degradation():
    return mix([{"weight": 1.0, "codec": "jpeg", "quality": [90, 90]}], default_host())


def checkerboard(height, width):
    """Black and white pixels in turn, of which nothing but gray is left when it shrinks."""
    board = (np.add.outer(np.arange(height), np.arange(width)) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, axis=2)


def test_regions_of_a_large_picture_are_as_it_is_or_shrunk(degradation):
    source, rng = CleanPicture(checkerboard(512, 768), degradation), np.random.default_rng(0)
    pairs = [source.draw(rng, 128) for _ in range(40)]
    assert {pair.clean.shape for pair in pairs} == {(128, 128, 3)}
    contrasts = [float(pair.clean.std()) for pair in pairs]
    as_it_is = sum(contrast > 127 for contrast in contrasts)
    assert 1 <= as_it_is <= 20  # one in five is expected
    assert sum(contrast < 40 for contrast in contrasts) >= 10


def test_who_wants_pictures_as_they_are_gets_them_so(degradation):
    source = CleanPicture(checkerboard(512, 768), degradation, (1.0,)).part(columns=slice(512))
    rng = np.random.default_rng(0)
    assert all(source.draw(rng, 128).clean.std() > 127 for _ in range(20))


def test_a_region_that_is_shrunk_shows_more_of_the_picture(degradation):
    ramp = np.broadcast_to(np.linspace(0, 255, 1024)[None, :, None], (1024, 1024, 3))
    source = CleanPicture(ramp.astype(np.uint8), degradation)
    rng = np.random.default_rng(0)
    spans = [float(np.ptp(source.draw(rng, 256).clean[..., 0])) / 255 for _ in range(60)]
    nearest = {min(SCALES, key=lambda scale: abs(0.25 / scale - span)) for span in spans}
    assert nearest == set(SCALES)
    assert all(min(abs(0.25 / scale - span) for scale in SCALES) < 0.02 for span in spans)


@settings(max_examples=30, deadline=None)
@given(st.integers(64, 300), st.integers(64, 300), st.integers(0, 2**32))
def test_a_picture_is_never_enlarged_and_a_region_never_larger_than_asked(height, width, seed):
    degradation = mix([{"weight": 1.0, "codec": "jpeg"}], default_host())
    source = CleanPicture(checkerboard(height, width), degradation)
    pair = source.draw(np.random.default_rng(seed), 256)
    assert pair.clean.shape == pair.degraded.shape == (min(256, height), min(256, width), 3)
