"""Each check of the degradation suite catches one that is broken in one place."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from steps_degradation import StepsDegradation

from diffir.contracts.picture import Metadata, Picture
from diffir.testing import DegradationSuite
from diffir.testing.suite import check_names

SET_UP: list[str] = []


@pytest.fixture(autouse=True, scope="module")
def _set_up():
    SET_UP.append("in the main process only")


class TestSteps(DegradationSuite):
    @pytest.fixture
    def degradation(self):
        return StepsDegradation()


class Crops(StepsDegradation):
    def stepped(self, picture, rng):
        return super().stepped(picture, rng)[:8, :8]


class ReturnsPixels(StepsDegradation):
    def degrade(self, picture, rng):
        return self.stepped(picture, rng)


class DoesNothing(StepsDegradation):
    def stepped(self, picture, rng):
        return picture.pixels


class Scribbles(StepsDegradation):
    def stepped(self, picture, rng):
        picture.pixels[:] //= 2
        return picture.pixels


class DropsAlpha(StepsDegradation):
    def degrade(self, picture, rng):
        return Picture(self.stepped(picture, rng), metadata=picture.metadata)


class DropsMetadata(StepsDegradation):
    def degrade(self, picture, rng):
        return replace(super().degrade(picture, rng), metadata=Metadata())


class Tints(StepsDegradation):
    def stepped(self, picture, rng):
        return super().stepped(picture, rng) // np.array([1, 1, 2], np.uint8)


class Wanders(StepsDegradation):
    calls = 0

    def stepped(self, picture, rng):
        Wanders.calls += 1
        return super().stepped(picture, rng) ^ np.uint8(Wanders.calls % 2)


class NamesNoSource(StepsDegradation):
    def info(self):
        return replace(super().info(), sources={"name": "hearsay", "severity": "user"})


class HasALambda(StepsDegradation):
    def __init__(self):
        self.step = lambda: 3


class ForgetsItsSettings(StepsDegradation):
    def __init__(self, offset=1):
        self.offset = offset

    def __reduce__(self):
        return (type(self), (0,))

    def stepped(self, picture, rng):
        return super().stepped(picture, rng) ^ np.uint8(self.offset)


class MainProcessOnly(StepsDegradation):
    def stepped(self, picture, rng):
        return super().stepped(picture, rng) ^ np.uint8(bool(SET_UP))


class NeedsTorch(StepsDegradation):
    def stepped(self, picture, rng):
        import torch

        return torch.as_tensor(super().stepped(picture, rng)).numpy()


class Draws(StepsDegradation):
    def stepped(self, picture, rng):
        random.random()
        return super().stepped(picture, rng)


class Chats(StepsDegradation):
    def stepped(self, picture, rng):
        print("stepping")  # noqa: T201
        return super().stepped(picture, rng)


BROKEN = [
    (Crops, "test_any_size_comes_back", r"Picture of \(17, 16, 3\) uint8, got \(8, 8, 3\).*Pad"),
    (ReturnsPixels, "test_any_size_comes_back", "got ndarray. Pad before .*with_pixels"),
    (DoesNothing, "test_it_degrades", "to change pixels, got the input's pixels for 4 seeds"),
    (Scribbles, "test_input_is_left_alone", "input picture unchanged, got other .*Work on a copy"),
    (DropsAlpha, "test_alpha_and_metadata_are_carried", r"alpha of \(67, 58\) .*got None. Return"),
    (DropsMetadata, "test_alpha_and_metadata_are_carried", "metadata in the result, got Metadata"),
    (Tints, "test_gray_stays_gray", "got gray=True and different channels. Average"),
    (Wanders, "test_equal_seeds_give_equal_results", "two different ones for seed 0. Draw from"),
    (NamesNoSource, "test_codec_info_has_sources", "each one of bitstream, .*hearsay.*Name a"),
    (HasALambda, "test_pickles", "HasALambda to go through pickle, got .*lambdas"),
    (ForgetsItsSettings, "test_pickles", "from the pickled degradation, got other pixels. Keep"),
    (MainProcessOnly, "test_works_in_a_worker_process", "from a worker process, got other pixels"),
    (NeedsTorch, "test_works_in_a_worker_process", "without torch, got torch imported .*numpy"),
    (Draws, "test_leaves_global_random_state_alone", "another state of random. Draw from the"),
    (Chats, "test_prints_nothing", r"to print nothing, got 'stepping\\n'"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_degradation_is_caught(broken, check, message):
    with pytest.raises(AssertionError, match=f"(?s)^expected .*?{message}"):
        getattr(DegradationSuite(), check)(broken())


def test_no_check_is_without_a_degradation_that_fails_it():
    assert {check for _, check, _ in BROKEN} == set(check_names(DegradationSuite))
