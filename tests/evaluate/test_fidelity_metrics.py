from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diffir.errors import DataError
from diffir.evaluate.fidelity_metrics import psnr_b, psnr_b_gray, psnr_rgb, ssim

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffir.contracts.codec import Pixels

DATA = os.environ.get("DIFFIR_TEST_DATA")
METRICS = [psnr_rgb, ssim, psnr_b]


def _flat(value: int, height: int = 24, width: int = 32) -> Pixels:
    return np.full((height, width, 3), value, np.uint8)


class TestPsnr:
    @settings(max_examples=20, deadline=None)
    @given(step=st.integers(1, 255))
    def test_of_a_constant_step(self, step: int) -> None:
        """In both directions: differences of uint8 must not wrap around."""
        expected = 20 * math.log10(255 / step)
        assert psnr_rgb(_flat(0), _flat(step)) == pytest.approx(expected)
        assert psnr_rgb(_flat(step), _flat(0)) == pytest.approx(expected)

    def test_of_equal_pictures_is_infinite(self) -> None:
        assert psnr_rgb(_flat(7), _flat(7)) == math.inf


class TestSsim:
    def test_of_equal_pictures_is_one(self, scene: Pixels) -> None:
        assert ssim(scene, scene) == pytest.approx(1)

    def test_of_flat_pictures_is_the_luminance_term(self) -> None:
        """No variance: only (2ab + C1) / (a² + b² + C1) is left, C1 = (0.01 * 255)²."""
        expected = (2 * 100 * 120 + 2.55**2) / (100**2 + 120**2 + 2.55**2)
        assert ssim(_flat(100), _flat(120)) == pytest.approx(expected, abs=1e-6)

    def test_smallest_picture(self) -> None:
        assert ssim(_flat(3, 11, 11), _flat(3, 11, 11)) == pytest.approx(1)


class TestPsnrB:
    def test_without_blocks_is_psnr_on_luma(self) -> None:
        step = 10 * (65.481 + 128.553 + 24.966) / 255
        assert psnr_b(_flat(50), _flat(60)) == pytest.approx(20 * math.log10(255 / step))

    def test_pays_for_a_step_on_the_grid(self) -> None:
        """One border of 24 steps among the 24*3 + 2*32 that lie on the grid."""
        blocky = _flat(50)
        blocky[:, 8:] = 60
        step = 10 * (65.481 + 128.553 + 24.966) / 255
        excess = 24 * step**2 / (24 * 3 + 2 * 32)
        effect = excess * math.log2(8) / math.log2(24)
        error = step**2 * 24 / 32
        expected = 10 * math.log10(255**2 / (error + effect))
        assert psnr_b(_flat(50), blocky) == pytest.approx(expected)

    def test_does_not_pay_for_a_step_off_the_grid(self) -> None:
        stepped = _flat(50)
        stepped[:, 12:] = 60
        assert psnr_b(stepped, stepped) == math.inf

    def test_a_border_in_the_reference_too_is_still_paid_for(self) -> None:
        blocky = _flat(50)
        blocky[:, 8:] = 60
        assert psnr_b(blocky, blocky) < 50

    def test_gray_is_taken_as_it_is(self) -> None:
        assert psnr_b_gray(_flat(50), _flat(60)) == pytest.approx(20 * math.log10(25.5))
        blocky = _flat(50)
        blocky[:, 8:] = 60
        assert psnr_b_gray(_flat(50), blocky) < psnr_b(_flat(50), blocky)


class TestRefusals:
    @pytest.mark.parametrize("metric", METRICS)
    def test_two_sizes(self, metric: Callable[[Pixels, Pixels], float]) -> None:
        with pytest.raises(DataError, match="pictures of one size, got 32x24 and 32x25"):
            metric(_flat(0), _flat(0, 25))

    @pytest.mark.parametrize("metric", METRICS)
    def test_other_types(self, metric: Callable[[Pixels, Pixels], float]) -> None:
        deep = _flat(0).astype(np.uint16)
        with pytest.raises(DataError, match=r"compares \(H,W,3\) uint8, got .* uint16"):
            metric(deep, deep)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("metric", "smallest"), [(ssim, 11), (psnr_b, 9)])
    def test_too_small(self, metric: Callable[[Pixels, Pixels], float], smallest: int) -> None:
        small = _flat(0, smallest - 1, 40)
        with pytest.raises(DataError, match=f"needs {smallest}x{smallest} pixels or more, got 40x"):
            metric(small, small)


@pytest.mark.parametrize(
    ("metric", "expected"), [(psnr_rgb, 20.537980), (ssim, 0.663055), (psnr_b, 22.538808)]
)
def test_golden_figures(
    metric: Callable[[Pixels, Pixels], float], expected: float, scene: Pixels
) -> None:
    """Coarse steps of 48 gray levels: bytes of no encoder, the same on every machine."""
    assert metric(scene, scene // 48 * 48) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="DIFFIR_TEST_DATA is not set")
class TestLive1:
    """Published and measured figures of LIVE1's JPEGs at quality 10."""

    @pytest.mark.parametrize(
        ("metric", "expected", "digits"), [(psnr_rgb, 25.69, 0.005), (ssim, 0.7433, 5e-5)]
    )
    def test_color(
        self, metric: Callable[[Pixels, Pixels], float], expected: float, digits: float
    ) -> None:
        scores = [metric(clean, _jpeg(Image.fromarray(clean))) for clean in _live1()]
        assert np.mean(scores) == pytest.approx(expected, abs=digits)

    def test_psnr_b_on_luma_of_color_jpegs(self) -> None:
        scores = [psnr_b(clean, _jpeg(Image.fromarray(clean))) for clean in _live1()]
        assert np.mean(scores) == pytest.approx(25.927, abs=0.005)


def _live1() -> list[Pixels]:
    paths = sorted(Path(DATA or "", "live1").glob("*.png"))
    assert len(paths) == 29
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def _jpeg(image: Image.Image) -> Pixels:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=10)
    return np.asarray(Image.open(buffer).convert("RGB"))
