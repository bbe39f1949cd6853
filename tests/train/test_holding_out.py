from __future__ import annotations

import numpy as np
import pytest

from diffir.degradations.diet import mix
from diffir.errors import DataError
from diffir.host.manager import default_host
from diffir.train.holding_out import MOST_HELD_OUT, split
from diffir.train.transfer_crops import CleanPicture


@pytest.fixture(scope="module")
def degradation():
    return mix([{"weight": 1.0, "codec": "jpeg"}], default_host())


def sources(count, degradation, side=512):
    return [CleanPicture(np.zeros((side, side, 3), np.uint8), degradation) for _ in range(count)]


@pytest.mark.parametrize(
    ("count", "held_out"), [(4, 1), (5, 2), (16, 4), (64, 16), (65, 13), (256, 16), (1000, 16)]
)
def test_a_quarter_is_held_out_whole_and_at_most_sixteen(count, held_out, degradation):
    given = sources(count, degradation)
    learned, held = split(given)
    assert len(held) == held_out <= MOST_HELD_OUT
    assert {id(s) for s in learned} | {id(s) for s in held} == {id(s) for s in given}
    assert len(learned) == count - held_out


@pytest.mark.parametrize("count", [1, 3])
def test_of_few_pictures_the_right_quarter_of_each_is(count, degradation):
    learned, held = split(sources(count, degradation))
    assert [s.clean.shape for s in learned] == [(512, 384, 3)] * count
    assert [s.clean.shape for s in held] == [(512, 128, 3)] * count


def test_pictures_that_are_too_small_to_divide(degradation):
    with pytest.raises(DataError, match="192x192 pixels is too small to learn from and to judge"):
        split(sources(1, degradation, side=192))
