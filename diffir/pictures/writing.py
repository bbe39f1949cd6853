"""The one door out: a `Picture` becomes a file, whole or not at all.

The suffix decides the format. Nothing is lost in silence: what a format cannot hold of the pixels
(16 bits, alpha) is an error; what it cannot hold of the metadata is left out and logged at level
INFO by the logger `diffir`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import OutputError
from diffir.pictures.atomic_file import check_free, write_atomically
from diffir.pictures.formats import FORMATS, Format, format_of
from diffir.pictures.metadata import fitted
from diffir.pictures.samples import samples_of_picture

if TYPE_CHECKING:
    from diffir.contracts.picture import Picture


def write(
    picture: Picture, path: str | Path, *, overwrite: bool = False, quality: float | None = None
) -> Path:
    """Write a picture, in the format of the path's suffix; missing folders are made.

    PNG and TIFF hold every picture without loss and are the ones to take for results. The file
    appears under its name when it is complete, or never.

    Args:
        picture: what to write; a gray one is written with one channel where the format has that.
        path: ends in .png, .jpg, .jpeg, .webp, .avif, .tif, .tiff, .jp2 or .bmp.
        overwrite: whether a file of that name may be replaced.
        quality: on the format's own scale: JPEG 1..100, WebP and AVIF 0..100, JPEG 2000 the
            compression ratio N of 1:N, 1..200. None takes JPEG 95 and AVIF 90, both 4:4:4, and
            WebP and JPEG 2000 without loss.

    Returns:
        The path.

    Raises:
        OutputError: the suffix is unknown, the file exists, the format cannot hold the picture, or
            the file cannot be written (full disk, no permission).
    """
    path = Path(path)
    target = check_target(picture, path, overwrite=overwrite)
    _check_quality(target, quality, path)
    write_atomically(path, _encoded(picture, target, quality, path=path), overwrite=overwrite)
    return path


def check_target(picture: Picture, path: Path, *, overwrite: bool) -> Format:
    """Refuse what `write` would refuse before it encodes: worth asking before long work.

    Returns:
        The format of the path's suffix.

    Raises:
        OutputError: the suffix is unknown, the format cannot hold the picture, the file exists.
    """
    target = _format(path)
    _check_holds(target, picture, path)
    check_free(path, overwrite=overwrite)
    return target


def _format(path: Path) -> Format:
    target = format_of(path.suffix)
    if target is None:
        known = ", ".join(suffix for entry in FORMATS for suffix in entry.suffixes)
        raise OutputError(
            f"{path} ends in {path.suffix!r}, which diffir does not write",
            hint=f"Take one of {known}; .png is a good choice.",
        )
    return target


def _check_quality(target: Format, quality: float | None, path: Path) -> None:
    if quality is None:
        return
    if target.scale is None:
        raise OutputError(
            f"{path}: {target.name} files are written without loss and take no quality, "
            f"got {quality:g}",
            hint="Leave the quality out, or write .jpg, .webp, .avif or .jp2.",
        )
    if not target.scale.contains(quality):
        low, high = sorted((target.scale.worst, target.scale.best))
        raise OutputError(
            f"{path}: {target.scale.label} must be between {low:g} and {high:g}, got {quality:g}",
            hint=f"{target.scale.best:g} is the best.",
        )


def _check_holds(target: Format, picture: Picture, path: Path) -> None:
    if picture.pixels.dtype == np.uint16 and not target.deep:
        raise OutputError(
            f"{path}: the picture has 16 bits a sample, and diffir writes {target.name} with 8",
            hint="Write a .png or .tif instead: they hold all of them.",
        )
    if picture.alpha is not None and not target.alpha:
        raise OutputError(
            f"{path}: the picture has alpha, and diffir writes {target.name} without",
            hint="Write a .png, .webp, .avif or .tif instead: they hold it.",
        )


def _encoded(picture: Picture, target: Format, quality: float | None, *, path: Path) -> bytes:
    gray = picture.gray and target.gray
    metadata = fitted(picture.metadata, target.holds, gray=gray, suffix=path.suffix.lower())
    samples = samples_of_picture(picture, gray=gray)
    try:
        return target.encode(samples, metadata, quality)
    except OutputError as error:
        raise OutputError(f"{path}: {error.message}", hint=error.hint) from error
    except Exception as error:  # encoders raise OSError, ValueError, FFmpegError and more
        raise OutputError(
            f"{path}: the {target.name} encoder refused the picture of "
            f"{picture.width}x{picture.height} pixels: {error}",
            hint="JPEG ends at 65500 pixels a side, WebP at 16383: write a .png instead.",
        ) from error
