"""What lies between two rate-distortion curves, as one figure: Bjontegaard's deltas.

G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33 (2001), with
PCHIP in place of one cubic through all points, over the logarithm of the rate. Only the stretch
that both curves cover counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diffir.evaluate.pchip import Pchip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Points = Sequence[tuple[float, float]]
    Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

FEWEST = 4
"""Points of a curve, as VCEG-M33 has them."""


def bd_rate(anchor: Points, other: Points, *, more_is_better: bool = True) -> float | None:
    """How many percent more bits `other` takes than `anchor` at equal quality; negative saves.

    Args:
        anchor: (rate, quality) of one curve, such as bits per pixel and dB, in any order.
        other: the same of the other one.
        more_is_better: of the quality; False for LPIPS and its like.

    Returns:
        `None` where a curve has fewer than 4 points or more bits are not always better quality, a
        figure is not finite, or the two have no quality in common.
    """
    one, two = (_sorted(points, more_is_better) for points in (anchor, other))
    if one is None or two is None:
        return None
    gap = _mean_gap(one[::-1], two[::-1])
    return None if gap is None else 100 * (10**gap - 1)


def bd_quality(anchor: Points, other: Points, *, more_is_better: bool = True) -> float | None:
    """How much more quality `other` has than `anchor` at equal bits, in the quality's own unit.

    Arguments and `None` as of `bd_rate`; "no quality in common" is "no rate in common".
    """
    one, two = (_sorted(points, more_is_better) for points in (anchor, other))
    if one is None or two is None:
        return None
    gap = _mean_gap(one, two)
    return None if gap is None else gap if more_is_better else -gap


def _sorted(points: Points, more_is_better: bool) -> Curve | None:
    """The logarithm of the rate, and quality so that more is better; `None` if not of use."""
    if len(points) < FEWEST or not np.isfinite(points).all():
        return None
    rate, quality = np.array(sorted(points), np.float64).T
    quality = quality if more_is_better else -quality
    if rate[0] <= 0 or (np.diff(rate) <= 0).any() or (np.diff(quality) <= 0).any():
        return None
    return np.log10(rate), quality


def _mean_gap(anchor: Curve, other: Curve) -> float | None:
    """The mean of `other - anchor`, each (x, y), where both are defined."""
    low, high = max(anchor[0][0], other[0][0]), min(anchor[0][-1], other[0][-1])
    if low >= high:
        return None
    areas = [Pchip(*curve).integral(low, high) for curve in (anchor, other)]
    return float((areas[1] - areas[0]) / (high - low))
