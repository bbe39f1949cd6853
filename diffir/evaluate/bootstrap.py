"""How sure a difference of two means is: paired bootstrap intervals over the pictures.

Both rows of a difference were taken on the same pictures, so pictures are drawn, not scores: what
makes one picture harder than another then says nothing about which row is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diffir.evaluate.benchmark import Result, Row
    from diffir.evaluate.contenders import Version

RESAMPLES = 10_000
LEVEL = 0.95
_DRAWN_AT_ONCE = 2**22


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval, of percentiles."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval; it need not lie evenly about the mean."""
        return (self.high - self.low) / 2

    @property
    def holds_zero(self) -> bool:
        """Whether no difference at all is among what the pictures leave open."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Difference:
    """The mean of one row less that of another of the same task.

    intervals: by metric; `None` where a score is infinite, as PSNR of equal pictures is.
    """

    task: str
    version: Version
    minus: Version
    intervals: Mapping[str, Interval | None]


def differences(result: Result) -> tuple[Difference, ...]:
    """Of each task, every row less every row above it; none where there is one picture only."""
    if len(result.pictures) < 2:
        return ()
    return tuple(
        _difference(later, earlier, result.metrics, result.seed)
        for rows in result.blocks
        for earlier, later in combinations(rows, 2)
    )


def paired_interval(
    scores: Sequence[float], others: Sequence[float], *, seed: int = 0
) -> Interval | None:
    """The mean of `scores - others`, with its bootstrap interval.

    Args:
        scores: one for each picture, two or more.
        others: of the same pictures, in the same order.
        seed: of the 10,000 draws; the same pictures are drawn for whichever scores.

    Returns:
        `None` where a score is not finite.
    """
    pairs = np.array([scores, others], np.float64)
    if not np.isfinite(pairs).all():
        return None
    gaps = pairs[0] - pairs[1]
    rng, means = np.random.default_rng(seed), []
    left = RESAMPLES
    while left:
        draws = min(left, max(1, _DRAWN_AT_ONCE // len(gaps)))
        means.append(gaps[rng.integers(len(gaps), size=(draws, len(gaps)))].mean(1))
        left -= draws
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(gaps.mean()), float(low), float(high))


def _difference(row: Row, minus: Row, metrics: Sequence[str], seed: int) -> Difference:
    intervals = {
        name: paired_interval(row.scores[name], minus.scores[name], seed=seed) for name in metrics
    }
    return Difference(row.task, row.version, minus.version, intervals)
