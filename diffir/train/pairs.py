"""Training pairs, made live: a clean crop, and the same crop after a drawn degradation.

Pair number i is a function of (seed, i) alone: a run that was killed goes on with the pairs that it
would have seen, and any number of workers yields the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.errors import DataError, DiffirError
from diffir.train.synthetic import synthetic_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from diffir.contracts.interfaces import Degradation
    from diffir.train.clean_pictures import KeptPixels


@dataclass(frozen=True, eq=False)
class Batch:
    """Pairs for one step.

    clean, degraded: `(B,3,H,W)` in [0,1]. codecs: what happened. told: what the model is told,
    `CodecInfo.unknown()` for some.
    """

    clean: Tensor
    degraded: Tensor
    codecs: tuple[CodecInfo, ...]
    told: tuple[CodecInfo, ...]

    def to(self, device: torch.device) -> Batch:
        """The same pairs on a device, channels last."""
        clean, degraded = (
            t.to(device).contiguous(memory_format=torch.channels_last)
            for t in (self.clean, self.degraded)
        )
        return Batch(clean, degraded, self.codecs, self.told)

    def parts(self, count: int) -> list[Batch]:
        """The same pairs in `count` batches of one size, which divides theirs."""
        size = len(self.codecs) // count
        places = [slice(start, start + size) for start in range(0, count * size, size)]
        return [
            Batch(self.clean[at], self.degraded[at], self.codecs[at], self.told[at])
            for at in places
        ]


Row = tuple[Tensor, Tensor, CodecInfo, bool]
"""Of `Pairs`: see its `__getitem__`."""


class Pairs(Dataset[Row]):
    """Endless pairs by index.

    Args:
        pictures: for each picture, its pixels at several scales, `(H,W,3) uint8`.
        degradation: draws what happens to a crop.
        crop: side of a crop in pixels, a multiple of 32.
        synthetic, clean: shares of drawn pictures and of pictures left undegraded.
        untold: share of pairs whose `CodecInfo` is withheld, so that a model also learns to do
            without.
        seed: of everything random.
        alike: so many pairs in a row are degraded alike, where the degradation is one of several:
            by what its `draw(rng)` yields.
    """

    def __init__(
        self,
        pictures: Sequence[Sequence[NDArray[np.uint8] | KeptPixels]],
        degradation: Degradation,
        *,
        crop: int,
        synthetic: float,
        clean: float,
        untold: float = 0.0,
        seed: int,
        alike: int = 1,
    ) -> None:
        # A crop larger than a picture cannot be cut; the other scales of that picture still serve.
        fitting = [[s for s in p if min(s.shape[:2]) >= crop] for p in pictures]
        self.pictures = [scales for scales in fitting if scales]
        if not self.pictures:
            raise DataError(
                f"no picture is at least {crop} pixels wide and high",
                hint="Use larger pictures or a smaller --crop.",
            )
        self.degradation = degradation
        self.crop = crop
        self.synthetic = synthetic
        self.clean = clean
        self.untold = untold
        self.seed = seed
        self.alike = alike

    def __getitem__(self, index: int) -> Row:
        """Clean and degraded `(3,crop,crop) uint8`, what happened, and whether to tell."""
        rng = np.random.default_rng((self.seed, index))
        pixels = self._draw(rng)
        picture = Picture(pixels)
        clean = rng.random() < self.clean
        degraded = picture if clean else self._degradation(index).degrade(picture, rng)
        tell = bool(rng.random() >= self.untold)
        return _tensor(pixels), _tensor(np.asarray(degraded.pixels)), degraded.codec, tell

    def _degradation(self, index: int) -> Degradation:
        draw = getattr(self.degradation, "draw", None)
        if self.alike == 1 or draw is None:
            return self.degradation
        return cast("Degradation", draw(np.random.default_rng((self.seed, index // self.alike, 1))))

    def _draw(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        if rng.random() < self.synthetic:
            return synthetic_picture(self.crop, rng)
        scales = self.pictures[int(rng.integers(len(self.pictures)))]
        source = scales[int(rng.integers(len(scales)))]
        # Of two places the one with more detail: skies teach little.
        crops = [self._cut(source, rng) for _ in range(2)]
        pixels = max(crops, key=lambda crop: float(crop[::2, ::2].std()))
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(np.rot90(pixels, int(rng.integers(4))))

    def _cut(
        self, source: NDArray[np.uint8] | KeptPixels, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        top, left = (int(rng.integers(side - self.crop + 1)) for side in source.shape[:2])
        return source[top : top + self.crop, left : left + self.crop]


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def collate(rows: Sequence[Row]) -> Batch:
    """Rows of `Pairs` to a `Batch`."""
    clean, degraded, codecs, tell = zip(*rows, strict=True)
    told = tuple(
        codec if said else CodecInfo.unknown() for codec, said in zip(codecs, tell, strict=True)
    )
    return Batch(torch.stack(clean) / 255, torch.stack(degraded) / 255, tuple(codecs), told)


class Told(Dataset["Row | DiffirError"]):
    """Rows of a dataset. An error is one, too: raised in a worker only its traceback would come."""

    def __init__(self, rows: Dataset[Row]) -> None:
        self._rows = rows

    def __getitem__(self, index: int) -> Row | DiffirError:
        """The row, or why there is none."""
        try:
            return self._rows[index]
        except DiffirError as error:
            return error


def collate_told(rows: Sequence[Row | DiffirError]) -> Batch | DiffirError:
    """Rows of `Told` to a `Batch`, or to the first error among them."""
    found: list[Row] = []
    for row in rows:
        if isinstance(row, DiffirError):
            return row
        found.append(row)
    return collate(found)
