from __future__ import annotations

import pickle

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.degradations.codec_degradation import CodecDegradation
from diffir.degradations.mixture import Mixture
from diffir.errors import ComponentError
from diffir.host.manager import default_host

SMALL = Picture(np.full((8, 8, 3), 99, np.uint8))


def jpeg_at(quality: float) -> CodecDegradation:
    return CodecDegradation(default_host().codec("jpeg"), [quality])


def test_draws_by_weight():
    mixture, rng = Mixture([(3, jpeg_at(10)), (1, jpeg_at(90))]), np.random.default_rng(0)
    qualities = [mixture.degrade(SMALL, rng).codec.quality for _ in range(400)]
    assert 0.7 < qualities.count(10) / 400 < 0.8
    assert set(qualities) == {10, 90}


def test_a_weight_of_nothing_is_never_drawn():
    mixture, rng = Mixture([(0, jpeg_at(10)), (2, jpeg_at(90))]), np.random.default_rng(0)
    assert {mixture.degrade(SMALL, rng).codec.quality for _ in range(30)} == {90}


def test_workers_can_have_it():
    mixture = pickle.loads(pickle.dumps(Mixture([(1, jpeg_at(10))])))
    assert mixture.degrade(SMALL, np.random.default_rng(0)).codec.quality == 10


@pytest.mark.parametrize("weights", [[], [0.0], [1.0, -1.0], [float("nan")], [float("inf")]])
def test_weights_that_say_nothing(weights):
    with pytest.raises(ComponentError, match="weights of 0 or more, one of them above 0, got"):
        Mixture([(weight, jpeg_at(10)) for weight in weights])
