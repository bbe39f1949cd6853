"""A HEIF picture put together from tiles: the derived item "grid", ISO/IEC 23008-12, 6.6.2.3.

tiles, row by row         output: the top left of what they cover
+----+----+----+
| 0  | 1  | 2  |          All tiles have one size. Cameras code pictures this way: iPhones in
+----+----+----+          tiles of 512x512.
| 3  | 4  | 5  |
+----+----+----+
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diffir.codecs.iso_boxes import Cursor
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from diffir.contracts.codec import Pixels

LONG_SIZES = 1
DAMAGED = "The file is damaged or cut short: get it again from where it came."


@dataclass(frozen=True)
class Grid:
    """rows, columns: of tiles. width, height: of the picture in pixels, before it is turned."""

    rows: int
    columns: int
    width: int
    height: int

    @property
    def tiles(self) -> int:
        """How many tiles it takes."""
        return self.rows * self.columns

    def check_tile(self, width: int, height: int) -> None:
        """Refuse tiles that do not cover the picture, or of which a row or column is idle.

        Raises:
            CodecError: as said.
        """
        across = (self.columns - 1) * width < self.width <= self.columns * width
        down = (self.rows - 1) * height < self.height <= self.rows * height
        if not (across and down):
            raise CodecError(
                f"{self.columns}x{self.rows} tiles of {width}x{height} pixels do not make the "
                f"picture of {self.width}x{self.height} that the file tells of",
                hint=DAMAGED,
            )


def read_grid(payload: bytes) -> Grid:
    """Read the bytes of a "grid" item.

    Raises:
        CodecError: cut short, of another version, or an empty picture.
    """
    cursor = Cursor(payload)
    version, flags = cursor.number(1), cursor.number(1)
    if version:
        raise CodecError(f"the grid of a HEIF picture has version {version}, 0 was expected")
    rows, columns = cursor.number(1) + 1, cursor.number(1) + 1
    size = 4 if flags & LONG_SIZES else 2
    width, height = cursor.number(size), cursor.number(size)
    if not (width and height):
        raise CodecError(f"the grid makes a picture of {width}x{height} pixels", hint=DAMAGED)
    return Grid(rows, columns, width, height)


def assembled(grid: Grid, tiles: Iterable[tuple[Sequence[int], Pixels]]) -> Pixels:
    """Put tiles in place.

    Args:
        grid: where they belong.
        tiles: places from 0, row by row, and the pixels `(h,w,3)` that go there; taken one by one,
            so that one tile at a time is in memory.

    Returns:
        `(H,W,3) uint8`.

    Raises:
        CodecError: tiles of several sizes, or of one that does not make the picture.
    """
    canvas: Pixels | None = None
    size = (0, 0)
    for places, pixels in tiles:
        if canvas is None:
            size = (pixels.shape[1], pixels.shape[0])
            grid.check_tile(*size)
            canvas = np.zeros((grid.height, grid.width, 3), np.uint8)
        if (pixels.shape[1], pixels.shape[0]) != size:
            raise CodecError(
                f"tile {places[0] + 1} of {grid.tiles} has {pixels.shape[1]}x{pixels.shape[0]} "
                f"pixels, the first one has {size[0]}x{size[1]}: all must be equal",
                hint=DAMAGED,
            )
        for place in places:
            row, column = divmod(place, grid.columns)
            room = canvas[row * size[1] :, column * size[0] :][: size[1], : size[0]]
            room[:] = pixels[: room.shape[0], : room.shape[1]]
    if canvas is None:
        raise CodecError("the grid has no tiles", hint=DAMAGED)
    return canvas
