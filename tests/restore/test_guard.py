"""What the model is told where the file is silent, and how much it may change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.restore.guard import (
    GUESS_IN_FULL,
    GUESS_LEFT_ALONE,
    IN_FULL,
    LEFT_ALONE,
    crops_to_look_at,
    strength_for,
    what_is_told,
)
from diffir.restore.restorer import Restorer

CPU = torch.device("cpu")
JPEG = CodecInfo(name="jpeg", severity=0.9)
LIGHT = CodecInfo(name="jpeg", severity=0.01)
FOREIGN = CodecInfo(name="jpeg2000", severity=0.8)


def picture(height: int = 96, width: int = 80, codec: CodecInfo | None = None) -> Picture:
    rng = np.random.default_rng(0)
    pixels = rng.integers(64, 192, (height, width, 3), np.uint8)  # nothing is clipped
    return Picture(pixels, codec=codec or CodecInfo.unknown())


class TestStrength:
    @given(st.floats(0, 1), st.floats(0, 1))
    def test_it_rises_with_the_severity(self, one, other):
        low, high = sorted((one, other))
        assert 0 <= strength_for(low) <= strength_for(high) <= 1

    def test_its_ends(self):
        assert strength_for(0) == strength_for(LEFT_ALONE) == 0
        assert strength_for(IN_FULL) == strength_for(1) == strength_for(None) == 1

    @given(st.floats(0, 1))
    def test_a_guess_changes_less_than_a_fact(self, severity):
        assert strength_for(severity, guessed=True) <= strength_for(severity)

    def test_the_ends_of_a_guess(self):
        assert strength_for(GUESS_LEFT_ALONE, guessed=True) == 0
        assert strength_for(GUESS_IN_FULL, guessed=True) == 1


class TestCrops:
    @given(st.integers(1, 700), st.integers(1, 700))
    def test_of_any_picture(self, height, width):
        crops = crops_to_look_at(Picture(np.zeros((height, width, 3), np.uint8)), 32)
        assert 1 <= len(crops) <= 16
        assert crops.shape[1] == 3
        assert all(side % 32 == 0 and side <= 128 for side in crops.shape[2:])

    def test_they_lie_on_the_block_grid_all_over_the_picture(self):
        rows, columns = np.mgrid[0:600, 0:300]
        pixels = np.stack([rows // 8 % 256, columns // 8 % 256, 0 * rows], axis=2).astype(np.uint8)
        crops = crops_to_look_at(Picture(pixels), 32) * 255
        assert len(crops) == 4 * 2
        for crop in crops:
            assert crop[0, :8].unique().numel() == 1  # begins with a whole block
            assert crop[1, :, :8].unique().numel() == 1
        assert {int(crop[0, 0, 0].round()) for crop in crops} == {0, 19, 39, 59}


class TestWhatIsTold:
    def test_what_the_router_knows_it_is_told(self, build_model):
        known = picture(codec=JPEG)
        assert what_is_told(build_model(), known) is known.codec

    @pytest.mark.parametrize("codec", [CodecInfo.unknown(), FOREIGN], ids=["unknown", "foreign"])
    def test_else_what_the_pixels_look_like(self, build_model, codec):
        told = what_is_told(build_model(), picture(codec=codec))
        assert told.name in build_model().router.degradation_encoder.codecs
        assert told.severity is not None
        if codec.severity is not None:  # a file knows better than its looks
            assert told.severity == codec.severity
        assert told.sources["name"] == "estimate"
        assert told.sources["severity"] == codec.sources.get("severity", "estimate")

    def test_a_relative_that_the_recipe_names_is_not_looked_for(self, build_model):
        model = build_model()
        model.router.relatives = {"jpeg2000": "webp"}
        told = what_is_told(model, picture(codec=FOREIGN))
        assert (told.name, told.severity) == ("webp", FOREIGN.severity)
        assert told.sources["name"] == "recipe"
        silent = what_is_told(model, picture(codec=CodecInfo(name="jpeg2000")))
        assert (silent.name, silent.sources["severity"]) == ("webp", "estimate")

    def test_a_name_without_a_severity_keeps_the_name(self, build_model):
        told = what_is_told(build_model(), picture(codec=CodecInfo(name="webp")))
        assert told.name == "webp"
        assert told.severity is not None
        assert told.sources["severity"] == "estimate"

    def test_a_router_that_cannot_look(self):
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.router = torch.nn.Identity()

        blind = picture()
        assert what_is_told(Model(), blind) is blind.codec


class TestRestorer:
    @pytest.fixture
    def restorer(self, build_model):
        return Restorer(build_model(), device=CPU, tile=128)

    def test_a_picture_that_needs_nothing_comes_back_bit_by_bit(self, restorer):
        sound = picture(codec=LIGHT)
        for fidelity in (0, 1):
            restored = restorer.estimate(sound).at(fidelity)
            assert np.array_equal(restored.pixels, sound.pixels)
        assert restorer.estimate(sound).experts == ()

    def test_half_the_strength_is_half_the_change(self, restorer, build_model):
        bad = picture(codec=JPEG)
        half = Restorer(build_model(), device=CPU, tile=128, strength=0.5)
        full = restorer.estimate(bad).at(1).pixels.astype(float) - bad.pixels
        assert restorer.estimate(bad).treatment.strength == 1
        change = half.estimate(bad).at(1).pixels.astype(float) - bad.pixels
        assert np.abs(change - full / 2).max() <= 1
        assert np.abs(full).sum() > 0

    def test_a_foreign_codecs_own_severity_counts(self, restorer):
        light = replace(FOREIGN, severity=0.0)
        assert restorer.treatment(picture(codec=light)).strength == 0
        assert restorer.treatment(picture(codec=FOREIGN)).strength == 1

    def test_what_is_seen_counts_as_a_guess(self, restorer):
        treatment = restorer.treatment(picture())
        assert treatment.strength == strength_for(treatment.told.severity, guessed=True)
