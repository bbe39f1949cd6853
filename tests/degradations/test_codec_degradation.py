from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.contracts.picture import Metadata, Picture
from diffir.degradations.codec_degradation import Between, CodecDegradation
from diffir.errors import CodecError
from diffir.host.manager import default_host


def jpeg_at(*levels: float, subsampling=None) -> CodecDegradation:
    return CodecDegradation(default_host().codec("jpeg"), levels, subsampling=subsampling)


def photo_like(height: int, width: int, *, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([127 + 100 * np.sin((rows + i * columns) / 7) for i in range(3)], axis=2)
    noisy = waves + rng.normal(0, 12, waves.shape)
    return Picture(np.clip(noisy, 0, 255).astype(np.uint8))


class TestDegrade:
    def test_codec_info_is_what_the_bytes_say(self):
        degraded = jpeg_at(10).degrade(photo_like(48, 64), np.random.default_rng(0))
        assert degraded.codec.name == "jpeg"
        assert degraded.codec.quality == 10
        assert degraded.codec.subsampling == "4:2:0"
        assert degraded.codec.generation is None

    @settings(max_examples=12, deadline=None)
    @given(st.integers(1, 33), st.integers(1, 33), st.integers(1, 100))
    def test_any_size_stays_and_the_input_is_left_alone(self, height, width, quality):
        picture = photo_like(height, width)
        before = picture.pixels.copy()
        degraded = jpeg_at(quality).degrade(picture, np.random.default_rng(0))
        assert degraded.pixels.shape == picture.pixels.shape
        assert degraded.pixels.dtype == np.uint8
        np.testing.assert_array_equal(picture.pixels, before)

    def test_equal_generators_give_equal_results(self):
        degradation = CodecDegradation(
            default_host().codec("jpeg"), Between(5, 90), subsampling="random"
        )
        first, second = (
            degradation.degrade(photo_like(40, 40), np.random.default_rng(7)) for _ in range(2)
        )
        np.testing.assert_array_equal(first.pixels, second.pixels)
        assert first.codec == second.codec

    def test_alpha_and_metadata_stay(self):
        alpha = np.full((20, 30), 9, np.uint8)
        metadata = Metadata(icc=b"profile", dpi=(72.0, 72.0))
        picture = Picture(photo_like(20, 30).pixels, alpha=alpha, metadata=metadata)
        degraded = jpeg_at(20).degrade(picture, np.random.default_rng(0))
        assert degraded.metadata == metadata
        np.testing.assert_array_equal(degraded.alpha, alpha)

    @pytest.mark.parametrize("codec", ["jpeg", "webp", "hevc"])
    def test_a_gray_picture_stays_gray(self, codec):
        gray = np.repeat(photo_like(40, 40).pixels[:, :, :1], 3, axis=2)
        degradation = CodecDegradation(default_host().codec(codec), [20])
        degraded = degradation.degrade(Picture(gray, gray=True), np.random.default_rng(0))
        assert degraded.gray
        np.testing.assert_array_equal(degraded.pixels[:, :, 0], degraded.pixels[:, :, 1])
        np.testing.assert_array_equal(degraded.pixels[:, :, 0], degraded.pixels[:, :, 2])

    def test_sixteen_bits_are_refused(self):
        deep = Picture(np.zeros((8, 8, 3), np.uint16))
        with pytest.raises(CodecError, match="8 bits a channel, got uint16") as caught:
            jpeg_at(10).degrade(deep, np.random.default_rng(0))
        assert "Convert" in caught.value.hint


class TestDraws:
    def levels_seen(self, degradation: CodecDegradation, draws: int = 60) -> set[float]:
        rng, picture = np.random.default_rng(0), photo_like(8, 8)
        return {degradation.degrade(picture, rng).codec.quality for _ in range(draws)}

    def test_levels_are_all_drawn(self):
        assert self.levels_seen(jpeg_at(10, 15, 20)) == {10, 15, 20}

    def test_a_range_has_both_ends(self):
        degradation = CodecDegradation(default_host().codec("jpeg"), Between(30, 33))
        assert self.levels_seen(degradation) == {30, 31, 32, 33}

    def test_random_chroma_draws_both(self):
        degradation, rng = jpeg_at(50, subsampling="random"), np.random.default_rng(0)
        seen = {degradation.degrade(photo_like(16, 16), rng).codec.subsampling for _ in range(20)}
        assert seen == {"4:2:0", "4:4:4"}

    def test_fixed_chroma(self):
        degraded = jpeg_at(50, subsampling="4:4:4").degrade(
            photo_like(16, 16), np.random.default_rng(0)
        )
        assert degraded.codec.subsampling == "4:4:4"


class TestConstruction:
    def test_workers_can_have_it(self):
        degradation = pickle.loads(pickle.dumps(jpeg_at(10)))
        picture = photo_like(24, 24)
        np.testing.assert_array_equal(
            degradation.degrade(picture, np.random.default_rng(0)).pixels,
            jpeg_at(10).degrade(picture, np.random.default_rng(0)).pixels,
        )

    def test_no_level(self):
        with pytest.raises(CodecError, match="'jpeg' needs one level or more, got none"):
            jpeg_at()

    def test_level_off_the_scale(self):
        with pytest.raises(CodecError, match="'jpeg' has no level 101, 300") as caught:
            jpeg_at(10, 101, 300)
        assert "100" in caught.value.hint

    def test_range_off_the_scale(self):
        with pytest.raises(CodecError, match="has no level 200"):
            CodecDegradation(default_host().codec("jpeg"), Between(10, 200))

    def test_range_upside_down(self):
        with pytest.raises(CodecError, match="expected low <= high"):
            CodecDegradation(default_host().codec("jpeg"), Between(20, 10))

    def test_unknown_chroma(self):
        with pytest.raises(CodecError, match="no chroma format '4:1:1'") as caught:
            jpeg_at(10, subsampling="4:1:1")
        assert "4:2:0" in caught.value.hint
