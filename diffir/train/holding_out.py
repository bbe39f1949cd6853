"""Which part of the pictures is learned from, and which is held out to judge by.

    pictures -> learned | held out -> halves: one chooses the best of a run, one tells what it is

Pictures are held out whole where there are four or more, a quarter of them and at most sixteen: two
chose a run's first hundred steps where others would have had its last. Of fewer, the right quarter
of each is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import DataError
from diffir.train.transfer_crops import GRID, SMALLEST_SIDE, Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.train.transfer_crops import PairSource

JUDGED_SIDE = 192
JUDGED_CROPS = 12
HELD_OUT_EVERY = 4
MOST_HELD_OUT = 16
ENOUGH_TO_HOLD_OUT = 4


def judged_crops(held: Sequence[PairSource], seed: int) -> list[Pair]:
    """Crops to judge on: one of each picture, or more where there are less than `JUDGED_CROPS`.

    Of a small picture they are smaller; what was drawn twice is there once.
    """
    rng = np.random.default_rng(seed + 1)
    count = max(2, JUDGED_CROPS // len(held)) if len(held) < JUDGED_CROPS else 1
    found: list[Pair] = []
    for source in held:
        side, distinct = min(JUDGED_SIDE, *source.clean.shape[:2]), dict[bytes, Pair]()
        for _ in range(4 * count):
            if len(distinct) < count:
                pair = source.draw(rng, side)
                distinct.setdefault(pair.clean.tobytes(), pair)
        found += distinct.values()
    return found


def split(sources: Sequence[PairSource]) -> tuple[list[PairSource], list[PairSource]]:
    """What is learned from, and what is held out."""
    if len(sources) >= ENOUGH_TO_HOLD_OUT:
        every = max(HELD_OUT_EVERY, math.ceil(len(sources) / MOST_HELD_OUT))
        held = list(sources[::every])
        return [source for source in sources if source not in held], held
    halves = [_cut(source) for source in sources]
    return [left for left, _ in halves], [right for _, right in halves]


def halved(source: PairSource) -> tuple[PairSource, PairSource]:
    """The halves of a picture, or, of one that is too small for that, the whole twice."""
    rows, columns = source.clean.shape[:2]
    border = max(rows, columns) // 2 // GRID * GRID
    if border < SMALLEST_SIDE:
        return source, source
    if rows > columns:
        return source.part(rows=slice(border)), source.part(rows=slice(border, None))
    return source.part(columns=slice(border)), source.part(columns=slice(border, None))


def _cut(source: PairSource) -> tuple[PairSource, PairSource]:
    """A picture's left three quarters, and its right quarter."""
    rows, columns = source.clean.shape[:2]
    border = columns * 3 // 4 // GRID * GRID
    if min(border, columns - border, rows) < SMALLEST_SIDE:
        raise DataError(
            f"a picture of {columns}x{rows} pixels is too small to learn from and to judge on",
            hint=f"Give {ENOUGH_TO_HOLD_OUT} pictures or more, or larger ones "
            f"(at least {4 * SMALLEST_SIDE} pixels wide).",
        )
    return source.part(columns=slice(border)), source.part(columns=slice(border, None))
