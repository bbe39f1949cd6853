"""Clean pictures to learn from: a folder, decoded once, at several scales, kept on disk.

Photographs shrunk show more of the world per crop, and are cleaner than the file. A picture for a
page is dense, and a model that has seen large photographs alone does a quarter less for it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diffir.errors import DataError, PictureError
from diffir.pictures.folder import files_below
from diffir.train.pixels_on_disk import space_told

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from diffir.contracts.picture import Picture

SCALES = (1.0, 0.7, 0.5, 0.35, 0.25)
HALF = SCALES.index(0.5)
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".jp2"}

HARDEST = 0.5
"""Severity from which on a picture is not taken for clean: JPEG below quality 50."""

Pixels = NDArray[np.uint8]


def find_pictures(folder: Path, also: Iterable[str] = ()) -> list[Path]:
    """Every picture file below a folder, sorted; hidden files and folders are left alone.

    Args:
        folder: searched recursively.
        also: further suffixes that pictures may have, such as ".m2v".

    Raises:
        DataError: no folder, or no picture in it.
    """
    suffixes = SUFFIXES.union(also)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", hint="Give a folder of clean pictures.")
    found = files_below(folder, suffixes)
    if not found:
        raise DataError(
            f"{folder} holds no pictures",
            hint=f"Expected files ending in {', '.join(sorted(suffixes))}.",
        )
    return found


def check_apart(judged: Iterable[Path], learned: Iterable[Path]) -> None:
    """Refuse to judge by pictures that are learned from.

    Raises:
        DataError: a file is in both.
    """
    both = {path.resolve() for path in judged} & {path.resolve() for path in learned}
    if both:
        raise DataError(
            f"{min(both)} is both trained on and judged by",
            hint="Give two folders that have no picture in common.",
        )


def check_clean(picture: Picture, path: Path) -> None:
    """Refuse what its file says was compressed hard.

    Raises:
        DataError: it was.
    """
    codec = picture.codec
    if codec.severity is not None and codec.severity > HARDEST:
        quality = "" if codec.quality is None else f" at quality {codec.quality:g}"
        raise DataError(
            f"{path} was compressed already, by {codec.name}{quality}: its faults would be "
            "learned as the truth",
            hint="Leave it out. `diffir finetune-prompts --pairs` learns from compressed pictures "
            "beside their originals.",
        )


@dataclass(frozen=True)
class KeptPixels:
    """Pixels `(H,W,3) uint8` in a `.npy` file, open only while some of them are read.

    A thousand pictures at five scales are more files than a system lets a process have open, and
    mapped ones would travel whole to a worker that is not forked.
    """

    file: Path
    shape: tuple[int, ...]

    def __getitem__(self, where: Any) -> Pixels:
        """A copy of some rows and columns, as of an array."""
        return np.array(np.load(self.file, mmap_mode="r")[where])


class PictureCache:
    """Decoded pictures on disk, one `.npy` per file and scale, reused while the file is the same.

    Args:
        folder: where the arrays live; made if missing. A 2-megapixel picture takes 10 MB.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def scales(self, path: Path) -> list[KeptPixels]:
        """The picture at each of `SCALES`, decoding the file if need be.

        Raises:
            DataError: the file is not a readable picture, or was compressed hard.
            OutputError: there is no space for it.
        """
        stat = path.stat()
        identity = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
        key = hashlib.sha1(identity.encode(), usedforsecurity=False).hexdigest()[:20]
        targets = [self.folder / f"{key}-{scale:g}.npy" for scale in SCALES]
        if not all(target.is_file() for target in targets):
            for target, pixels in zip(targets, _decode(path), strict=True):
                _save(target, pixels)
        return [KeptPixels(target, np.load(target, mmap_mode="r").shape) for target in targets]


def _decode(path: Path) -> list[Pixels]:
    from PIL import Image

    from diffir.pictures.reading import read

    try:
        picture = read(path)
    except PictureError as error:
        raise DataError(f"cannot train on {path}: {error}", hint=error.hint) from error
    check_clean(picture, path)
    pixels = picture.pixels
    if pixels.dtype != np.uint8:
        pixels = (pixels >> 8).astype(np.uint8)
    full = Image.fromarray(pixels.astype(np.uint8, copy=False))
    width, height = full.size
    sizes = [(max(1, round(width * s)), max(1, round(height * s))) for s in SCALES]
    return [
        np.asarray(full if size == full.size else full.resize(size, Image.Resampling.LANCZOS))
        for size in sizes
    ]


def _save(target: Path, pixels: Pixels) -> None:
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        with space_told(target.parent):
            with partial.open("wb") as file:
                np.save(file, pixels)
            os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
