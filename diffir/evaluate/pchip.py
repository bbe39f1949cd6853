"""Piecewise cubic interpolation that keeps the shape of its points: PCHIP.

Fritsch & Butland 1984 (SIAM J. Sci. Stat. Comput. 5(2)): at a point the slope is a harmonic mean of
its neighbors', 0 where they differ in sign, so that no bump arises that the points do not have.
The ends follow three points, one-sided (Moler, Numerical Computing with MATLAB, 3.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Pchip:
    """The curve through points `(n,)`, n of 2 or more, x strictly rising."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self._x, self._y = x, y
        self.slopes = _slopes(np.diff(x), np.diff(y) / np.diff(x))

    def integral(self, low: float, high: float) -> float:
        """From `low` to `high`, both between the first x and the last."""
        knots = np.array([low, *self._x[(self._x > low) & (self._x < high)], high])
        middles = (knots[1:] + knots[:-1]) / 2
        # Simpson's rule is exact for cubics.
        ends, inside = self(knots), self(middles)
        return float((np.diff(knots) * (ends[:-1] + 4 * inside + ends[1:])).sum() / 6)

    def __call__(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curve at `(m,)` places between the first x and the last."""
        piece = np.clip(np.searchsorted(self._x, at, side="right") - 1, 0, len(self._x) - 2)
        width = self._x[piece + 1] - self._x[piece]
        t = (at - self._x[piece]) / width
        rise = self._y[piece + 1] - self._y[piece]
        left, right = self.slopes[piece] * width, self.slopes[piece + 1] * width
        value: NDArray[np.float64] = self._y[piece] + t * (
            left + t * (3 * rise - 2 * left - right + t * (left + right - 2 * rise))
        )
        return value


def _slopes(width: NDArray[np.float64], secant: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(secant) == 1:
        return np.repeat(secant, 2)
    slopes = np.zeros(len(secant) + 1)
    same = secant[:-1] * secant[1:] > 0
    first, second = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    before, after = (np.where(same, part, 1) for part in (secant[:-1], secant[1:]))
    slopes[1:-1] = np.where(same, (first + second) / (first / before + second / after), 0)
    slopes[0] = _end_slope(width[:2], secant[:2])
    slopes[-1] = _end_slope(width[:-3:-1], secant[:-3:-1])
    return slopes


def _end_slope(width: NDArray[np.float64], secant: NDArray[np.float64]) -> float:
    """Of the outer of three points; width and secant of the two pieces, the outer one first."""
    slope = ((2 * width[0] + width[1]) * secant[0] - width[0] * secant[1]) / width.sum()
    if slope * secant[0] <= 0:
        return 0.0
    if secant[0] * secant[1] <= 0 and abs(slope) > 3 * abs(secant[0]):
        return float(3 * secant[0])
    return float(slope)
