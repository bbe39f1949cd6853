"""Where a restorer did harm: the tiles that it left farther from the original than they were.

A mean hides them. Each restored picture offers its worst tile; the worst of all are kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diffir.evaluate.protocol_pixels import as_8bit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from diffir.contracts.codec import Pixels
    from diffir.evaluate.contenders import Version
    from diffir.evaluate.trials import Trial

SIDE = 64
MOST = 6
TILES_AT_ONCE = 256
"""Through LPIPS, so that the memory does not grow with the picture."""

TileMeasure = Callable[["NDArray[np.uint8]", "NDArray[np.uint8]"], "NDArray[np.float64]"]
"""Distances `(N,)` between tiles `(N,h,w,3)` and those of the original, the original's first."""


@dataclass(frozen=True, eq=False)
class WorstTile:
    """One tile, `(h,w,3) uint8` each: as compressed, restored, and as it was.

    harm: what the measure grew by. top, left: its corner, in pixels of the picture.
    """

    measure: str
    harm: float
    task: str
    picture: str
    version: Version
    top: int
    left: int
    degraded: Pixels
    restored: Pixels
    original: Pixels


class WorstTiles:
    """Keeps the worst tiles of a benchmark by each measure.

    Args:
        measures: by name; without LPIPS, mean squared error alone.
        most: how many are kept by each.
    """

    def __init__(self, measures: Mapping[str, TileMeasure], *, most: int = MOST) -> None:
        self._measures = measures
        self._most = most
        self._heaps: dict[str, list[tuple[float, int, WorstTile]]] = {name: [] for name in measures}
        self._count = 0  # breaks ties: the earlier one stays, and tiles are not compared

    def add(self, trial: Trial) -> None:
        """Look at each restored picture of a trial."""
        if not trial.restored:
            return
        original, degraded = tiles_of(trial.reference.pixels), tiles_of(trial.degraded.pixels)
        before = {name: measure(original, degraded) for name, measure in self._measures.items()}
        for version, picture in trial.restored.items():
            restored = tiles_of(picture.pixels)
            for name, measure in self._measures.items():
                harm = measure(original, restored) - before[name]
                worst = int(harm.argmax())
                if harm[worst] > 0:
                    pixels = (tiles[worst] for tiles in (degraded, restored, original))
                    place = _corner(trial.reference.pixels, worst)
                    about = (name, float(harm[worst]), trial.task, trial.name, version)
                    self._keep(WorstTile(*about, *place, *(tile.copy() for tile in pixels)))

    def found(self) -> dict[str, tuple[WorstTile, ...]]:
        """By measure, the worst first; none where nothing became worse."""
        ordered = {name: sorted(heap, reverse=True) for name, heap in self._heaps.items()}
        return {name: tuple(tile for *_, tile in heap) for name, heap in ordered.items() if heap}

    def _keep(self, tile: WorstTile) -> None:
        self._count += 1
        entry = (tile.harm, -self._count, tile)
        heap = self._heaps[tile.measure]
        if len(heap) < self._most:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)


def tiles_of(pixels: Pixels | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The whole tiles of 64x64 of `(H,W,3)`, row by row, `(N,64,64,3)`; smaller pictures are one.

    What is left over at the right and at the bottom belongs to none.
    """
    picture = as_8bit(pixels)
    height, width, rows, columns = _grid(picture)
    cut = picture[: rows * height, : columns * width].reshape(rows, height, columns, width, 3)
    return cut.swapaxes(1, 2).reshape(-1, height, width, 3)


def squared_error(original: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squared error of each tile."""
    error: NDArray[np.float64] = np.square(original.astype(np.float64) - other).mean((1, 2, 3))
    return error


def lpips_of_tiles(device: str) -> TileMeasure:
    """LPIPS-Alex of each tile.

    Raises:
        CheckpointError: the weights of LPIPS have not been fetched.
    """
    import torch

    from diffir.perceptual.lpips import Lpips

    network = Lpips("alex").to(device)

    def measure(original: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
        found = []
        for start in range(0, len(original), TILES_AT_ONCE):
            images = (
                torch.from_numpy(tiles[start : start + TILES_AT_ONCE]).to(device)
                for tiles in (original, other)
            )
            with torch.inference_mode():
                scaled = (image.permute(0, 3, 1, 2).float() / 255 for image in images)
                found.append(network(*scaled).double().cpu().numpy())
        return np.concatenate(found)

    return measure


def _grid(pixels: Pixels) -> tuple[int, int, int, int]:
    height, width = (min(SIDE, side) for side in pixels.shape[:2])
    return height, width, pixels.shape[0] // height, pixels.shape[1] // width


def _corner(pixels: Pixels | NDArray[np.uint16], index: int) -> tuple[int, int]:
    height, width, _, columns = _grid(as_8bit(pixels))
    return index // columns * height, index % columns * width
