"""What JPEG leaves in pixels that were saved as something else since: its lattice.

    pixels -> luma -> DCT of 8x8 blocks -> for each frequency, the step whose multiples the
    coefficients keep to -> IJG quality

Coefficients of a decoded JPEG lie near multiples of the quantizer's steps (Fan & de Queiroz,
"Identification of bitmap compression history", 2003). Rounding pixels to 8 bits moves them by a
third of a level, so that steps from 2 up can be told. Nothing else makes such a lattice: where it
shows, the picture was a JPEG, and was neither resized nor compressed by other means after that.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from diffir.codecs.ijg_quality import standard_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from diffir.contracts.codec import Pixels

    Floats = NDArray[np.float32]

BLOCK = 8
MOST_BLOCKS = 1600
MOST_STEP = 255
MOST_LINES = 512
LIKELY_PHASES = 2
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

NOISE = 0.35
"""Deviation of a coefficient after two roundings to 8 bits: of Y'CbCr, then of RGB."""

OUTLIERS = 0.05
"""Share of coefficients that something else has moved anywhere."""

FREQUENCIES = tuple((u, v) for u in range(6) for v in range(6) if 1 <= u + v <= 6)
"""Rows and columns in a block; the highest are mostly zero, and zeros tell nothing."""

EVIDENCE = 0.1
EVIDENCE_AT_FREQUENCY = 8.0
LEAST_EVIDENCE = 60.0
"""In nats, for each coefficient, each frequency and all, from which on a lattice counts as seen.
Where there is none, the mean is below 0."""

STANDARD_SHARE = 0.7
"""Share of the evidence that an IJG table must explain to be taken for the file's."""

FREQUENCIES_OF_OTHERS = 12
FARTHEST = 0.5
"""Of a table that is not the IJG's: at how many frequencies it must show its steps, and how far
these may be from the nearest IJG table, in mean steps. Flat blocks have few, chance values."""


@dataclass(frozen=True)
class Lattice:
    """What was found.

    quality: the IJG quality whose luma steps are nearest. distance: the mean absolute difference of
    steps to it, over the frequencies that show one; 0 where all agree. row, column: where the first
    whole block begins, 0 to 7 each.
    """

    quality: int
    distance: float
    row: int
    column: int


def find_lattice(pixels: Pixels) -> Lattice | None:
    """The lattice of the JPEG that a picture once was, if it shows.

    Args:
        pixels: `(H,W,3) uint8` RGB.
    """
    for row, column in dict.fromkeys(((0, 0), *_likely_corners(pixels))):
        found = _fit(_coefficients(pixels[row:, column:]))
        if found is not None:
            return Lattice(*found, row, column)
    return None


def _likely_corners(pixels: Pixels) -> Iterator[tuple[int, int]]:
    """Where blocks may begin: where the steps between neighboring pixels are larger, on average."""

    def phases(lines: NDArray[np.uint8]) -> Iterator[int]:
        lines = lines[:: max(1, len(lines) // MOST_LINES)]
        steps = np.abs(np.diff(lines.astype(np.int16), axis=1)).mean(axis=0)
        whole = len(steps) // BLOCK * BLOCK
        by_phase = steps[:whole].reshape(-1, BLOCK).sum(axis=0)
        for phase in np.argsort(-by_phase)[:LIKELY_PHASES]:
            yield (int(phase) + 1) % BLOCK

    green = pixels[..., 1]
    yield from itertools.product(phases(green.T), phases(green))


def _coefficients(pixels: Pixels) -> Floats:
    """Of blocks spread over the picture, from its corner on: `(frequencies, blocks)`."""
    height, width = (side // BLOCK for side in pixels.shape[:2])
    whole = pixels[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK, 3)
    places = np.arange(0, height * width, max(1, height * width // (2 * MOST_BLOCKS)))
    blocks = whole[places // max(width, 1), :, places % max(width, 1)]  # (blocks,8,8,3)
    # A clipped channel moves the luma of its block off the lattice: such blocks are left out.
    usable = ((blocks > 0) & (blocks < 255)).all(axis=(1, 2, 3))
    luma = blocks[usable][:MOST_BLOCKS].astype(np.float32) @ LUMA
    basis = _dct_basis()
    spectra = basis @ luma @ basis.T
    rows, columns = zip(*FREQUENCIES, strict=True)
    picked: Floats = spectra[:, rows, columns].T
    return picked


def _fit(coefficients: Floats) -> tuple[int, float] | None:
    """Quality and distance, if the evidence suffices."""
    evidence, counts = _evidence(coefficients)
    each = np.arange(len(FREQUENCIES))
    steps = evidence.argmax(axis=1)  # the best one's index, step - 1
    best, used = evidence[each, steps], counts[each, steps]
    shown = best > np.maximum(EVIDENCE * used, EVIDENCE_AT_FREQUENCY)
    if best[shown].sum() < LEAST_EVIDENCE or shown.sum() < 2:
        return None
    standard = _standard_steps()
    by_quality = evidence[each, standard - 1].sum(axis=1)
    if by_quality.max() > STANDARD_SHARE * best[shown].sum():
        return int(by_quality.argmax()) + 1, 0.0
    if shown.sum() < FREQUENCIES_OF_OTHERS:
        return None
    distances = np.abs(standard[:, shown] - 1 - steps[shown]).mean(axis=1)
    distance = float(distances.min())
    if distance > FARTHEST * float(steps[shown].mean() + 1):
        return None
    return int(distances.argmin()) + 1, distance


def _evidence(coefficients: Floats) -> tuple[Floats, Floats]:
    """How much better a lattice explains coefficients than chance: nats `(frequencies, steps)`.

    Likelihood of the distance to the nearest multiple, normal against uniform, over coefficients
    that are not nearest to zero: near zero they are without a lattice, too. The other result is
    how many those are.
    """
    evidence, counts = (np.zeros((len(FREQUENCIES), MOST_STEP), np.float32) for _ in range(2))
    frequency = np.repeat(np.arange(len(FREQUENCIES)), coefficients.shape[1])
    size = np.abs(coefficients).ravel()
    height = (1 - OUTLIERS) / (NOISE * math.sqrt(2 * math.pi))
    for index in range(1, MOST_STEP):  # rounding hides a step of 1
        step = index + 1
        told = size > step / 2
        size, frequency = size[told], frequency[told]
        off = (size - step * np.rint(size / step)) / NOISE
        nats = np.log(step * height * np.exp(-(off**2) / 2) + OUTLIERS)
        evidence[:, index] = np.bincount(frequency, nats, len(FREQUENCIES))
        counts[:, index] = np.bincount(frequency, minlength=len(FREQUENCIES))
    return evidence, counts


@cache
def _standard_steps() -> NDArray[np.int64]:
    """Luma steps of the IJG's qualities 1 to 100 at `FREQUENCIES`: `(100, frequencies)`."""
    tables = [standard_tables(quality)[0] for quality in range(1, 101)]
    return np.array([[t[BLOCK * u + v] for u, v in FREQUENCIES] for t in tables])


@cache
def _dct_basis() -> Floats:
    """The orthonormal 8x8 DCT-II."""
    place = np.arange(BLOCK)
    basis = np.cos((2 * place[None] + 1) * place[:, None] * math.pi / (2 * BLOCK)) / 2
    basis[0] *= math.sqrt(0.5)
    return basis.astype(np.float32)
