"""Which IJG quality (1..100) a JPEG's quantization tables belong to.

The base tables are T.81's tables K.1 and K.2; the scaling is the Independent JPEG Group's
(`jpeg_quality_scaling`), which nearly all encoders share.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Table = tuple[int, ...]

# fmt: off
_LUMA: Table = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)
_CHROMA: Table = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
)
# fmt: on


@cache
def standard_tables(quality: int) -> tuple[Table, Table]:
    """The luma and chroma tables of a whole quality from 1 to 100, in natural order.

    >>> standard_tables(50)[0][:4]
    (16, 11, 10, 16)
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality

    def scaled(base: Table) -> Table:
        return tuple(min(255, max(1, (step * percent + 50) // 100)) for step in base)

    return scaled(_LUMA), scaled(_CHROMA)


def nearest_quality(tables: Sequence[Table]) -> tuple[int, float]:
    """The quality whose tables are nearest, and how far: the mean absolute difference of steps.

    Args:
        tables: of 64 steps in natural order, luma first; those after the second are not looked at.
    """

    def distance(quality: int) -> float:
        steps = [
            abs(mine - theirs)
            for table, standard in zip(tables, standard_tables(quality), strict=False)
            for mine, theirs in zip(table, standard, strict=True)
        ]
        return sum(steps) / len(steps)

    best = min(range(1, 101), key=distance)
    return best, distance(best)
