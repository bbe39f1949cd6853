"""Changes pixels until they compress to given coefficients.

    pixels --McuModel--> coefficients --into the intervals of the file--> change --> pixels
        '---------------- MCUs that are not there yet, a bounded number of times ------------'

Projections onto two convex sets in turns (Bregman 1965; for JPEG: Zakhor 1992): the intervals, and
what 8-bit RGB can hold. The unrounded pixels are kept from round to round, so that a change which
is too small to show adds up until it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING

import numpy as np

from diffir.restore.recompression import Axis, ComponentModel, McuModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from diffir.contracts.coefficients import BlockPlane, Coefficients

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Manner:
    """How some rounds go.

    guard: how far inside its interval, in gray levels, a coefficient counts as kept: encoders
    calculate in integers, and are off by up to .15. margin, share: how far inside a change aims,
    in gray levels and at most in steps: pixels will be rounded. noise: joins the rounding, to end
    going in circles. ties: whether the very end of an interval counts as kept where encoders round
    a tie to it, away from zero: plain white at a step of 16 is one.
    """

    rounds: int
    guard: float
    margin: float
    share: float
    noise: float
    ties: bool = False


MANNERS = (
    _Manner(rounds=12, guard=0.2, margin=1.0, share=0.25, noise=0),
    _Manner(rounds=40, guard=0.2, margin=1.0, share=0.25, noise=0.25),
    _Manner(rounds=30, guard=0.2, margin=2.0, share=0.35, noise=0.25),
    # Beside black and white there may be no room for a guard: the original touched its intervals.
    _Manner(rounds=30, guard=0.1, margin=0.2, share=0.2, noise=0.25, ties=True),
    _Manner(rounds=30, guard=0.03, margin=0.05, share=0.1, noise=0.25, ties=True),
)
TIE = 2e-3
"""What 32-bit floats make of a tie, at most."""
FEW = 64
"""MCUs that are worth every round, however many they are of."""
PIXELS_AT_ONCE = 1 << 19


@dataclass(frozen=True)
class Kept:
    """How many coefficients come out as the file has them, of how many."""

    kept: int
    total: int

    @property
    def share(self) -> float:
        """In [0,1]."""
        return self.kept / self.total


def project(pixels: NDArray[np.uint8], coefficients: Coefficients, *, gray: bool = False) -> Kept:
    """Change pixels in place, as little as it takes.

    Args:
        pixels: `(H,W,3)`, as the file stores them, not turned.
        coefficients: of the file.
        gray: whether the three channels are equal, and stay so; luma alone counts then, as it does
            where the file has nothing else.
    """
    kept = total = 0
    color = len(coefficients.planes) == 3 and not gray
    planes = coefficients.planes if color else coefficients.planes[:1]
    for rows, columns in _parts(coefficients.width, coefficients.height, planes):
        part = _Part(planes, rows, columns)
        window = pixels[rows.pixels, columns.pixels]
        mcus = part.split(window if color else window[..., :1])
        mended, missed = _mend(mcus.astype(np.float32), part)
        window[...] = part.joined(mended)
        count = sum(levels.size for levels in part.levels)
        kept, total = kept + count - missed, total + count
    return Kept(kept, total)


@dataclass(frozen=True)
class _Stretch:
    """MCUs of one size, one behind the other, in one direction.

    first: number of the first. count: how many. size, whole: pixels of each, and of a whole one.
    """

    first: int
    count: int
    size: int
    whole: int

    @property
    def pixels(self) -> slice:
        """Where they lie in the picture."""
        start = self.first * self.whole
        return slice(start, start + self.count * self.size)


def _stretches(side: int, whole: int, most: int) -> Iterator[_Stretch]:
    full = side // whole
    for first in range(0, full, most):
        yield _Stretch(first, min(most, full - first), whole, whole)
    if side % whole:
        yield _Stretch(full, 1, side % whole, whole)


def _parts(
    width: int, height: int, planes: Sequence[BlockPlane]
) -> Iterator[tuple[_Stretch, _Stretch]]:
    """Rows and columns of MCUs of one shape, a bounded number of pixels at once."""
    down = 8 * max(plane.down for plane in planes)
    across = 8 * max(plane.across for plane in planes)
    most = max(1, PIXELS_AT_ONCE // (width * down))
    for rows in _stretches(height, down, most):
        for columns in _stretches(width, across, width):
            yield rows, columns


class _Part:
    """MCUs of one shape: the model of what becomes of them, and what the file says of them."""

    def __init__(self, planes: Sequence[BlockPlane], rows: _Stretch, columns: _Stretch) -> None:
        self._rows, self._columns = rows, columns
        models, self.levels, self.steps = [], [], []
        for plane in planes:
            down = _axis(rows, plane.down, repeat=False)
            across = _axis(columns, plane.across, repeat=True)
            models.append(ComponentModel(down, across))
            self.levels.append(_levels(plane, rows, columns, down.blocks, across.blocks))
            self.steps.append(
                np.tile(np.array(plane.steps, np.float32), down.blocks * across.blocks)
            )
        self.model = McuModel(models)

    def split(self, window: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(rows,columns,C)` pixels as `(N,P,C)`."""
        rows, columns = self._rows, self._columns
        shape = (rows.count, rows.size, columns.count, columns.size, window.shape[2])
        mcus = window.reshape(shape).swapaxes(1, 2)
        return mcus.reshape(-1, rows.size * columns.size, window.shape[2])

    def joined(self, mcus: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(N,P,C)` as `(rows,columns,C)`."""
        rows, columns = self._rows, self._columns
        shape = (rows.count, columns.count, rows.size, columns.size, mcus.shape[2])
        window = mcus.reshape(shape).swapaxes(1, 2)
        return window.reshape(rows.count * rows.size, columns.count * columns.size, mcus.shape[2])


def _axis(stretch: _Stretch, ratio: int, *, repeat: bool) -> Axis:
    samples = -(-stretch.size // ratio)
    return Axis(stretch.size, -(-samples // 8), ratio, repeat)


def _levels(
    plane: BlockPlane, rows: _Stretch, columns: _Stretch, down: int, across: int
) -> NDArray[np.int16]:
    """The levels `(N,S)` of those MCUs."""
    per_row, per_column = rows.whole // (8 * plane.down), columns.whole // (8 * plane.across)
    top, left = rows.first * per_row, columns.first * per_column
    blocks = plane.levels[top : top + rows.count * down, left : left + columns.count * across]
    mcus = blocks.reshape(rows.count, down, columns.count, across, 64).swapaxes(1, 2)
    return mcus.reshape(rows.count * columns.count, -1)


def _mend(pixels: Floats, part: _Part) -> tuple[NDArray[np.uint8], int]:
    """Whole pixels `(N,P,C)` with as many coefficients kept as was reached, and how many are not.

    What reaches all is final; else the round that missed the fewest is taken.
    """
    best = pixels.astype(np.uint8)
    fewest = np.full(len(pixels), np.iinfo(np.int64).max)
    active = np.arange(len(pixels))
    rng = np.random.default_rng(0)  # the same picture, the same result
    for manner in chain.from_iterable(repeat(one, one.rounds) for one in MANNERS):
        whole = _rounded(pixels, rng, manner.noise)
        changes, missed = _changes(part, whole, active, manner)
        better = missed <= fewest[active]
        best[active[better]] = whole[better]
        fewest[active[better]] = missed[better]
        going_on = missed > 0
        if not going_on.any():
            break
        active, pixels = active[going_on], pixels[going_on]
        if manner.noise and len(active) > max(FEW, len(best) // 4):
            break  # steps too small for 8 bits: all of them would be tried in vain
        pixels += part.model.correction([change[going_on] for change in changes])
        np.clip(pixels, 0, 255, out=pixels)
    return best, int(fewest.sum())


def _rounded(pixels: Floats, rng: np.random.Generator, most: float) -> Floats:
    if not most:
        return np.rint(pixels)
    noise = rng.uniform(-most, most, pixels.shape).astype(np.float32)
    rounded: Floats = np.clip(np.rint(pixels + noise), 0, 255)
    return rounded


def _changes(
    part: _Part, whole: Floats, active: NDArray[np.int64], manner: _Manner
) -> tuple[list[Floats], NDArray[np.int64]]:
    """By how much coefficients must change, and how many of each MCU `(N,)` are outside."""
    changes, missed = [], np.zeros(len(active), np.int64)
    found = part.model.coefficients(whole)
    for values, levels, steps in zip(found, part.levels, part.steps, strict=True):
        off = values - levels[active] * steps
        outside = np.abs(off) > steps / 2 - manner.guard
        if manner.ties:
            outside &= np.abs(off * np.sign(levels[active]) + steps / 2) > TIE
        missed += outside.sum(axis=1)
        limit = steps / 2 - np.minimum(manner.margin, manner.share * steps)
        changes.append(np.clip(off, -limit, limit) - off)
    return changes, missed
