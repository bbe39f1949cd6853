"""Drawn pictures and a small honest restorer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.pictures.writing import write

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from diffir.contracts.codec import Pixels


@dataclass(frozen=True)
class Blended:
    """Estimates of `Smoothing`."""

    picture: Picture
    smooth: NDArray[np.float64]

    def at(self, fidelity: float) -> Picture:
        mixed = fidelity * self.picture.pixels + (1 - fidelity) * self.smooth
        return self.picture.with_pixels(np.rint(mixed).astype(np.uint8))


class Smoothing:
    """Restores by a mean of 3x3: fidelity 1 is the input, 0 the mean."""

    def views_at(self, fidelity: float) -> int:
        return 2 if fidelity == 1 else 1

    def estimate(self, picture: Picture, *, views: int) -> Blended:
        padded = np.pad(picture.pixels.astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
        height, width = picture.pixels.shape[:2]
        shifted = [
            padded[row : row + height, column : column + width]
            for row in range(3)
            for column in range(3)
        ]
        return Blended(picture, np.mean(shifted, axis=0))


@pytest.fixture
def restorer() -> Smoothing:
    return Smoothing()


def draw(height: int, width: int, *, phase: float = 0) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(columns / 5 + phase), np.cos(rows / 7), np.sin((rows + columns) / 9 + phase)]
    return np.rint((np.stack(waves, axis=2) / 2 + 0.5) * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def scene() -> Pixels:
    """A drawn scene of 96x128."""
    return draw(96, 128)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clean pictures of different size."""
    place = tmp_path_factory.mktemp("clean")
    write(Picture(draw(64, 80)), place / "a.png")
    write(Picture(draw(48, 72, phase=1)), place / "b.png")
    return place
