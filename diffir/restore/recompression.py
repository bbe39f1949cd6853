"""What a JPEG encoder makes of pixels, and the least change of pixels that mends it.

    RGB --601, rounded--> Y Cb Cr --mean of boxes, rounded--> samples --8x8 DCT--> coefficients

as libjpeg and libjpeg-turbo do it, in `rgb_ycc_convert`, `h2v1_downsample`, `h2v2_downsample` and
`expand_right_edge`: chroma is the mean of the pixels of a sample, halves being rounded up and down
in turns along a row; what lacks to whole blocks is repeated from the last column of pixels, and
from the last row of samples. All of it stays within an MCU, so that MCUs are mended one by one.

Letters: `N` MCUs, `P` pixels of one, `S` samples of one component in it, block by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

TO_YCC = np.array([[19595, 38470, 7471], [-11059, -21709, 32768], [32768, -27439, -5329]], "f4")
"""ITU-R BT.601 in full range, JFIF 1.02, in 65536ths, as libjpeg has it."""
HALVES = np.array([32768, (128 << 16) + 32767, (128 << 16) + 32767], "f4")
"""Added before the division: halves are rounded up in luma, down in chroma. All of it is exact in
32-bit floats, whose whole numbers reach 2 ** 24."""


FROM_YCC = np.linalg.inv(TO_YCC.astype("f8") / 65536).astype("f4")


def _dct_matrix() -> Floats:
    """The orthonormal 2-D DCT-II of an 8x8 block as `(64,64)`, rows and columns in row order."""
    order, place = np.mgrid[:8, :8]
    one = np.cos((2 * place + 1) * order * np.pi / 16) * np.sqrt(np.where(order, 2, 1) / 8)
    return np.kron(one, one).astype(np.float32)


DCT = _dct_matrix()


@dataclass(frozen=True)
class Axis:
    """One direction of an MCU for one component.

    pixels: how many there are, up to 8 times the largest sampling factor. blocks: those of the
    component that hold a part of the picture. ratio: pixels per sample. repeat: whether what lacks
    is repeated from the last pixel (across) and not from the last sample (down).
    """

    pixels: int
    blocks: int
    ratio: int
    repeat: bool

    @cached_property
    def sums(self) -> NDArray[np.float64]:
        """`(8*blocks,pixels)`: how often each pixel is counted in each sample."""
        samples = np.arange(8 * self.blocks)
        if not self.repeat:
            samples = np.minimum(samples, -(-self.pixels // self.ratio) - 1)
        taken = samples[:, None] * self.ratio + np.arange(self.ratio)
        taken = np.minimum(taken, self.pixels - 1)
        sums = np.zeros((len(samples), self.pixels))
        np.add.at(sums, (np.arange(len(samples))[:, None], taken), 1)
        return sums


class ComponentModel:
    """One component of MCUs of one shape.

    Args:
        down: the rows of an MCU. across: its columns.
    """

    def __init__(self, down: Axis, across: Axis) -> None:
        self.area = down.ratio * across.ratio
        by_block = _block_order(down.blocks, across.blocks)
        self.sums: Floats = np.kron(down.sums, across.sums)[by_block].T.astype(np.float32)  # (P,S)
        means = (np.linalg.pinv(axis.sums / axis.ratio) for axis in (down, across))
        self.spread: Floats = np.kron(*means)[:, by_block].T.astype(np.float32)  # (S,P)
        column = np.broadcast_to(np.arange(8 * across.blocks), (8 * down.blocks, 8 * across.blocks))
        ratios = (across.ratio, down.ratio)
        self.bias = _bias(column.reshape(-1)[by_block], ratios).astype(np.float32)  # (S,)

    def coefficients(self, values: Floats) -> Floats:
        """`(N,S)` of whole values `(N,P)` in 0..255."""
        samples: Floats = values @ self.sums
        if self.area > 1:
            samples = np.floor((samples + self.bias) / self.area)
        samples -= 128
        blocks: Floats = samples.reshape(-1, 64) @ DCT.T
        return blocks.reshape(samples.shape)

    def correction(self, change: Floats) -> Floats:
        """The least change `(N,P)` of the plane that changes coefficients by `(N,S)`.

        Where the picture ends inside a block, not every change can be had, and the nearest is.
        """
        blocks: Floats = change.reshape(-1, 64) @ DCT
        plane: Floats = blocks.reshape(change.shape) @ self.spread
        return plane


def _block_order(rows: int, columns: int) -> NDArray[np.int64]:
    places = np.arange(64 * rows * columns).reshape(rows, 8, columns, 8)
    return places.swapaxes(1, 2).reshape(-1)


def _bias(column: NDArray[np.int64], ratios: tuple[int, int]) -> NDArray[np.int64]:
    """What libjpeg adds to a sum before it is divided: 0 1 0 1 or 1 2 1 2, else half."""
    if ratios in ((2, 1), (2, 2)):
        return column % 2 + (ratios == (2, 2))
    return np.full_like(column, ratios[0] * ratios[1] // 2)


class McuModel:
    """MCUs of one shape, of all components.

    Args:
        components: one for gray, three for YCbCr.
    """

    def __init__(self, components: Sequence[ComponentModel]) -> None:
        self.components = components
        self._color = len(components) == 3

    def coefficients(self, pixels: Floats) -> list[Floats]:
        """`(N,S)` per component, of whole pixels `(N,P,C)` in 0..255, C 3 or, for gray, 1."""
        planes = np.moveaxis(pixels, 2, 0)
        if self._color:
            ycc = np.floor((pixels @ TO_YCC.T + HALVES) / 65536)
            planes = np.moveaxis(ycc, 2, 0)
        pairs = zip(self.components, planes, strict=True)
        return [model.coefficients(np.ascontiguousarray(plane)) for model, plane in pairs]

    def correction(self, changes: Sequence[Floats]) -> Floats:
        """A change of pixels `(N,P,C)` that changes coefficients by `(N,S)` per component."""
        pairs = zip(self.components, changes, strict=True)
        planes = np.stack([model.correction(change) for model, change in pairs], axis=2)
        return planes @ FROM_YCC.T if self._color else planes
