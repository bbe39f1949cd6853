"""What a transform codec stored of a picture: quantized coefficients of 8x8 blocks.

They bind a restoration more than its decoded pixels do: the original lay within half a step of
each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BlockPlane:
    """One color component of a file.

    levels: `(rows,columns,64) int16`, one row of 64 per 8x8 block: the levels of its orthonormal
    DCT-II in natural (row) order, of samples from which 128 was taken. steps: what the 64 levels
    are multiplied by. across, down: pixels of the picture per sample.
    """

    levels: NDArray[np.int16]
    steps: tuple[int, ...]
    across: int = 1
    down: int = 1


@dataclass(frozen=True, eq=False)
class Coefficients:
    """All of a file, as stored: before any turn upright.

    planes: luma alone, or luma, blue and red difference of ITU-R BT.601 in full range.
    """

    width: int
    height: int
    planes: tuple[BlockPlane, ...]
