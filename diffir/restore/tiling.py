"""Cuts a picture into tiles that start on the codec's block grid, and blends them without seams.

    |<------ size ------>|
    [      tile 0        ]
                   [      tile 1        ]
                   |<-->| overlap: tile 0 fades out while tile 1 fades in, weights sum to 1

A tile's start is a multiple of `GRID`, so that blocks lie in it as they lie in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from diffir.contracts.picture import AnyPixels

GRID = 64
"""Largest block of the codecs that we read: the superblock of HEVC, VP9 and AV1, in pixels."""
BLOCK = 8
"""What a codec's corner counts in: the transform block of JPEG, the only codec that is cropped."""
OVERLAP = 64
SMALLEST_TILE = 128


@dataclass(frozen=True)
class Tile:
    """Rows and columns of one tile, and its weights `(h,1)` and `(1,w)` for blending."""

    rows: slice
    columns: slice
    row_weights: NDArray[np.float32]
    column_weights: NDArray[np.float32]

    def weigh(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(h,w,3)` times the tile's weights."""
        weighed: NDArray[np.float32] = values * (self.row_weights * self.column_weights)[..., None]
        return weighed


def cut(height: int, width: int, size: int) -> Iterator[Tile]:
    """Tiles of at most `size` pixels a side that cover a picture, row by row.

    Raises:
        ValueError: `size` is below `SMALLEST_TILE` or no multiple of `GRID`.
    """
    if size < SMALLEST_TILE or size % GRID:
        raise ValueError(f"tile size must be a multiple of {GRID} from {SMALLEST_TILE}, got {size}")
    for rows, row_weights in _axis(height, size):
        for columns, column_weights in _axis(width, size):
            yield Tile(rows, columns, row_weights[:, None], column_weights[None, :])


def on_grid(pixels: AnyPixels, corner: tuple[int, int]) -> tuple[AnyPixels, tuple[slice, slice]]:
    """Grow `(H,W,3)` pixels by mirroring so that blocks begin at their corner.

    Args:
        pixels: as they are; they come back as such where `corner` is (0, 0).
        corner: row and column at which the first whole block begins, less than `GRID` each.

    Returns:
        The pixels, and where in them the given ones are.
    """
    height, width = pixels.shape[:2]
    above, left = (-place % BLOCK for place in corner)
    inside = slice(above, above + height), slice(left, left + width)
    if above or left:
        grown = np.pad(pixels, ((above, 0), (left, 0), (0, 0)), mode="symmetric")
        return cast("AnyPixels", grown), inside
    return pixels, inside


def count(height: int, width: int, size: int) -> int:
    """How many tiles `cut` yields."""
    return len(_starts(height, size)) * len(_starts(width, size))


def _starts(length: int, size: int) -> list[int]:
    stride = size - OVERLAP
    # The last tile is as short as what is left, but longer than the overlap.
    return list(range(0, max(1, length - OVERLAP), stride))


def _axis(length: int, size: int) -> list[tuple[slice, NDArray[np.float32]]]:
    starts = _starts(length, size)
    ends = [min(length, start + size) for start in starts]
    weights = [np.ones(end - start, np.float32) for start, end in zip(starts, ends, strict=True)]
    fade_in = (np.arange(OVERLAP, dtype=np.float32) + 0.5) / OVERLAP
    for before, after in pairwise(weights):
        before[-OVERLAP:] *= 1 - fade_in
        after[:OVERLAP] *= fade_in
    return [
        (slice(start, end), weight)
        for start, end, weight in zip(starts, ends, weights, strict=True)
    ]
