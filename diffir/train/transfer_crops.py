"""What prompts are fine-tuned on: aligned crops of clean and degraded pictures of one codec.

Pictures come as clean ones and a codec, or as pairs that somebody else has compressed. Crops start
on multiples of 8 pixels, where blocks do when a whole file is restored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.errors import DataError
from diffir.pictures.reading import read
from diffir.train.clean_pictures import SCALES, check_clean, find_pictures
from diffir.train.pixels_on_disk import forget, on_disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from diffir.contracts.interfaces import Degradation
    from diffir.host.manager import Host

Pixels = NDArray[np.uint8]

GRID = 8
WHOLE = slice(None)
REGION = 256
CROPS_PER_REGION = 8
SMALLEST_SIDE = 64


@dataclass(frozen=True, eq=False)
class Pair:
    """Pixels `(H,W,3) uint8` as they were and as the codec left them, and what it says of that."""

    clean: Pixels
    degraded: Pixels
    codec: CodecInfo


class CleanPicture:
    """A clean picture whose regions are compressed when they are drawn.

    Args:
        clean: `(H,W,3)`. degradation: what compresses.
        scales: at which regions are drawn, as far as the picture is large enough. Photographs are
            large, and what people restore is mostly small and dense: so the model itself learns.
    """

    def __init__(
        self, clean: Pixels, degradation: Degradation, scales: Sequence[float] = SCALES
    ) -> None:
        self.clean, self.degradation, self.scales = clean, degradation, scales

    def draw(self, rng: np.random.Generator, side: int = REGION) -> Pair:
        """A region of at most `side`, at one of the scales and one of the degradation's levels."""
        scales = [scale for scale in self.scales if min(self.clean.shape[:2]) * scale >= side]
        scale = float(rng.choice(scales or [1.0]))
        [clean] = _region(rng, round(side / scale), self.clean)
        if scale != 1:
            clean = _shrunk(clean, side)
        degraded = self.degradation.degrade(Picture(clean), rng)
        return Pair(clean, np.asarray(degraded.pixels, np.uint8), degraded.codec)

    def part(self, rows: slice = WHOLE, columns: slice = WHOLE) -> CleanPicture:
        """Some of its rows and columns."""
        return CleanPicture(self.clean[rows, columns], self.degradation, self.scales)


class CompressedPicture:
    """A pair that was compressed already."""

    def __init__(self, clean: Pixels, degraded: Pixels, codec: CodecInfo) -> None:
        self.pair = Pair(clean, degraded, codec)

    @property
    def clean(self) -> Pixels:
        """The half that was not compressed."""
        return self.pair.clean

    def draw(self, rng: np.random.Generator, side: int = REGION) -> Pair:
        """A region of at most `side`, on the block grid."""
        clean, degraded = _region(rng, side, self.pair.clean, self.pair.degraded)
        return Pair(clean, degraded, self.pair.codec)

    def part(self, rows: slice = WHOLE, columns: slice = WHOLE) -> CompressedPicture:
        """Some of its rows and columns; borders on the block grid."""
        at = (rows, columns)
        return CompressedPicture(self.pair.clean[at], self.pair.degraded[at], self.pair.codec)


PairSource = CleanPicture | CompressedPicture


def clean_pictures(
    paths: Sequence[Path],
    degradation: Degradation,
    folder: Path,
    *,
    scales: Sequence[float] = SCALES,
) -> list[CleanPicture]:
    """Read clean pictures; their pixels are kept in a folder, not in memory.

    Raises:
        PictureError: a file cannot be read.
        DataError: a picture is too small, or was compressed hard already.
        OutputError: there is no space in the folder.
    """
    kept = on_disk((_clean_pixels(path) for path in paths), folder)
    return [CleanPicture(pixels, degradation, scales) for pixels in kept]


def compressed_pairs(
    low: Path, high: Path, codec: str, host: Host, folder: Path
) -> list[CompressedPicture]:
    """Read pairs: files of `low` and of `high` at one place below them, whatever the suffix.

    Their pixels are kept in `folder`, not in memory.

    What the files of `low` say of `codec` is what the model is told; pixels in a lossless file are
    taken to be its work.

    Raises:
        DataError: no pair; a file without its other half, or with two; sizes that differ; a tiny
            picture; a file of another codec; a clean half that was compressed hard.
        PictureError: a file cannot be read.
        OutputError: there is no space in the folder.
    """
    suffixes = host.codec(codec).spec.read_suffixes
    halves = [_by_place(folder, also) for folder, also in ((low, suffixes), (high, ()))]
    alone = sorted(halves[0].keys() ^ halves[1].keys())
    if alone or not halves[0]:
        raise DataError(
            f"{low} and {high} hold {len(halves[0])} and {len(halves[1])} pictures; "
            + (f"'{alone[0]}' is in one of them alone" if alone else "expected pairs"),
            hint="A pair is two files of one name, such as lq/a.jpg and hq/a.png.",
        )
    told = []

    def pixels_of_both() -> Iterator[Pixels]:
        for name, path in sorted(halves[0].items()):
            picture = read(path, host=host)
            clean, degraded = _clean_pixels(halves[1][name]), _pixels(picture, path)
            if clean.shape != degraded.shape:
                raise DataError(
                    f"'{name}' has {degraded.shape[1]}x{degraded.shape[0]} pixels in {low} and "
                    f"{clean.shape[1]}x{clean.shape[0]} in {high}",
                    hint="Both halves of a pair show the same pixels.",
                )
            told.append(_told(picture, path, codec))
            yield clean
            yield degraded

    kept = on_disk(pixels_of_both(), folder)
    return [
        CompressedPicture(clean, degraded, info)
        for clean, degraded, info in zip(kept[::2], kept[1::2], told, strict=True)
    ]


def draw_crops(sources: Sequence[PairSource], *, count: int, side: int, seed: int) -> list[Pair]:
    """`count` crops of `side`, some from each source, flipped at random.

    Raises:
        DataError: a source is smaller than that.
    """
    crops: list[Pair] = []
    rng = np.random.default_rng(seed)
    while len(crops) < count:
        pair = sources[int(rng.integers(len(sources)))].draw(rng)
        if min(pair.clean.shape[:2]) < side:
            raise DataError(
                f"a picture, or the part of one that is learned from, has {pair.clean.shape[1]}x"
                f"{pair.clean.shape[0]} pixels; this model learns from crops of {side}x{side}",
                hint="Leave small pictures out, or give at least four, so that none is divided.",
            )
        for _ in range(min(CROPS_PER_REGION, count - len(crops))):
            crops.append(_crop(pair, rng, side))
    return crops


def _crop(pair: Pair, rng: np.random.Generator, side: int) -> Pair:
    top, left = _corner(pair.clean.shape, rng, side)
    where = (slice(top, top + side), slice(left, left + side))
    # A mirrored block grid is a block grid where the side is a multiple of it.
    step = -1 if rng.random() < 0.5 else 1
    both = (pair.clean, pair.degraded)
    clean, degraded = (np.ascontiguousarray(pixels[where][:, ::step]) for pixels in both)
    return Pair(clean, degraded, pair.codec)


def _region(rng: np.random.Generator, side: int, *pictures: Pixels) -> list[Pixels]:
    """The busier of two places, of each of the pictures: skies teach little."""
    regions = []
    for _ in range(2):
        top, left = _corner(pictures[0].shape, rng, side)
        where = (slice(top, top + side), slice(left, left + side))
        regions.append([np.array(pixels[where]) for pixels in pictures])
    forget(pictures[0])  # and with it the other half of a pair
    return max(regions, key=lambda parts: float(np.stack(parts)[:, ::2, ::2].std()))


def _shrunk(pixels: Pixels, side: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def _corner(shape: tuple[int, ...], rng: np.random.Generator, side: int) -> tuple[int, int]:
    top, left = (int(rng.integers(max(0, s - side) // GRID + 1)) * GRID for s in shape[:2])
    return top, left


def _by_place(folder: Path, also: Sequence[str]) -> dict[str, Path]:
    """Files by where they lie in a folder, without their suffixes."""
    found: dict[str, Path] = {}
    for path in find_pictures(folder, also):
        place = path.relative_to(folder).with_suffix("").as_posix()
        if place in found:
            raise DataError(
                f"{found[place]} and {path} have one name",
                hint="A pair is two files; leave the third out.",
            )
        found[place] = path
    return found


def _told(picture: Picture, path: Path, codec: str) -> CodecInfo:
    """What a compressed half says of its codec."""
    told = picture.codec
    if told.name == codec:
        return told
    if told.sources.get("name") == "bitstream" and not told.lossless:
        raise DataError(
            f"{path} was compressed by {told.name}, and prompts for {codec} are to be learned",
            hint=f"Leave it out, or give --codec {told.name}.",
        )
    return CodecInfo(name=codec, sources={"name": "user"})


def _clean_pixels(path: Path) -> Pixels:
    picture = read(path)
    check_clean(picture, path)
    return _pixels(picture, path)


def _pixels(picture: Picture, path: Path) -> Pixels:
    pixels = picture.pixels
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise DataError(
            f"{path} has {pixels.shape[1]}x{pixels.shape[0]} pixels, "
            f"at least {SMALLEST_SIDE}x{SMALLEST_SIDE} are needed",
            hint="Leave small pictures out.",
        )
    return (pixels >> 8 if pixels.dtype == np.uint16 else pixels).astype(np.uint8, copy=False)
