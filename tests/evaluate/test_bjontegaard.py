from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffir.evaluate.bjontegaard import bd_quality, bd_rate
from diffir.evaluate.pchip import Pchip

ANCHOR = [(9487.76, 40.037), (4593.60, 38.615), (2486.44, 36.845), (1358.24, 34.851)]
OTHER = [(9787.80, 40.121), (4469.00, 38.651), (2451.52, 36.970), (1356.24, 34.987)]


def _curve(*points: tuple[float, float]) -> Pchip:
    x, y = np.array(points, float).T
    return Pchip(x, y)


class TestPchip:
    """Figures of scipy.interpolate.PchipInterpolator 1.17.1."""

    bent = ((0, 1), (1, 3), (2.5, 2), (4, 2.5), (7, 2.5), (8, 9))
    rising = ((0, 0), (1, 1), (3, 4), (4, 10))

    def test_values(self) -> None:
        expected = [1.8828, 2.9716, 2.5499259259, 2.1296296296, 2.5, 4.734375]
        found = _curve(*self.bent)(np.array([0.3, 0.9, 1.7, 3, 5, 7.5]))
        assert found == pytest.approx(expected)
        found = _curve(*self.rising)(np.array([0.5, 2, 3.5]))
        assert found == pytest.approx([0.4574275362, 2.1506211180, 6.3839285714])

    def test_slopes(self) -> None:
        assert _curve(*self.bent).slopes == pytest.approx([3.0666666667, 0, 0, 0, 0, 8.125])
        expected = [0.8333333333, 1.1739130435, 2.5714285714, 7.5]
        assert _curve(*self.rising).slopes == pytest.approx(expected)

    def test_integrals(self) -> None:
        assert _curve(*self.bent).integral(0.5, 7.5) == pytest.approx(17.6651475694)
        assert _curve(*self.bent).integral(0, 8) == pytest.approx(21.9534722222)
        assert _curve(*self.rising).integral(0.25, 3.75) == pytest.approx(9.3029102776)

    def test_two_points_are_a_line(self) -> None:
        assert _curve((1, 2), (3, 8)).integral(1, 3) == pytest.approx(10)

    @given(st.lists(st.floats(0.01, 10), min_size=2, max_size=8))
    def test_rising_points_have_a_rising_curve(self, steps: list[float]) -> None:
        heights = np.cumsum(steps)
        curve = Pchip(np.arange(len(steps), dtype=float), heights)
        values = curve(np.linspace(0, len(steps) - 1, 200))
        assert (np.diff(values) >= -1e-9).all()
        assert curve(np.arange(len(steps), dtype=float)) == pytest.approx(heights)


class TestBjontegaard:
    def test_known_figures(self) -> None:
        """Of the package bjontegaard 1.3.0, method "pchip"."""
        assert bd_rate(ANCHOR, OTHER) == pytest.approx(-4.417485350589)
        assert bd_quality(ANCHOR, OTHER) == pytest.approx(0.11969278542479)

    def test_half_the_bits_are_minus_fifty_percent(self) -> None:
        assert bd_rate(ANCHOR, [(r / 2, q) for r, q in ANCHOR]) == pytest.approx(-50)

    def test_one_decibel_more(self) -> None:
        assert bd_quality(ANCHOR, [(r, q + 1) for r, q in ANCHOR]) == pytest.approx(1)

    def test_less_may_be_better(self) -> None:
        anchor = [(rate, -quality) for rate, quality in ANCHOR]
        other = [(rate, -quality) for rate, quality in OTHER]
        assert bd_rate(anchor, other, more_is_better=False) == pytest.approx(-4.417485350589)
        assert bd_quality(anchor, other, more_is_better=False) == pytest.approx(-0.11969278542)

    def test_order_does_not_matter(self) -> None:
        assert bd_rate(ANCHOR[::-1], OTHER) == bd_rate(ANCHOR, OTHER)

    @pytest.mark.parametrize(
        "other",
        [
            OTHER[:3],
            [*OTHER, (20_000.0, 39.0)],
            [*OTHER, OTHER[0]],
            [*OTHER[:3], (1300.0, math.inf)],
            [(rate, quality + 90) for rate, quality in OTHER],
        ],
        ids=["few", "more bits are worse", "twice", "exact", "apart"],
    )
    def test_what_has_no_figure(self, other: list[tuple[float, float]]) -> None:
        assert bd_rate(ANCHOR, other) is None

    def test_no_rate_in_common(self) -> None:
        assert bd_quality(ANCHOR, [(rate * 100, quality) for rate, quality in ANCHOR]) is None
        assert bd_quality(ANCHOR[:2], ANCHOR) is None
