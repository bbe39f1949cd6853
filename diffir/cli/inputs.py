"""Which files a command works on: names, folders with all below them, and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffir.errors import ComponentError, PictureError
from diffir.host.manager import Host
from diffir.pictures.folder import files_below

PICTURE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".avif", ".jp2", ".tif", ".tiff", ".bmp", ".gif", ".heic")
)
"""What counts as a picture in a folder, beside the suffixes of the codecs."""


@dataclass(frozen=True)
class Item:
    """One file to work on.

    relative: its path below the folder or pattern that named it; output folders mirror it.
    """

    path: Path
    relative: Path

    def __str__(self) -> str:
        return str(self.path)


def expand(
    inputs: Sequence[str], *, suffixes: Collection[str] = PICTURE_SUFFIXES
) -> tuple[Item, ...]:
    """Find the files that the inputs name, each file once, in order of the inputs.

    Args:
        inputs: files, taken whatever their suffix; folders, searched with all folders below them;
            patterns such as "shots/**/*.jpg", for shells that pass them on. What is found in a
            folder or by a pattern is sorted; hidden files are left out.
        suffixes: what to take from folders, lower case, with the dot.

    Raises:
        PictureError: an input does not exist, may not be looked at, or nothing is found in it.
    """
    items: dict[Path, Item] = {}
    for text in inputs:
        try:
            found = list(_find(text, suffixes))
        except OSError as error:  # such as a name too long, or a folder that may not be entered
            raise PictureError(
                f"{text} cannot be looked at: {error.strerror}",
                hint="Check the name, and the permissions of the folders in it.",
            ) from error
        if not found:
            raise PictureError(f"no picture in {text}", hint=_where_else(text, suffixes))
        for item in found:
            items.setdefault(item.path.resolve(), item)
    return tuple(items.values())


def expand_each(
    inputs: Sequence[str], *, suffixes: Collection[str] = PICTURE_SUFFIXES
) -> tuple[tuple[Item, ...], dict[str, PictureError]]:
    """Find the files like `expand`; an input that names none has its error in the dictionary."""
    items: dict[Path, Item] = {}
    errors: dict[str, PictureError] = {}
    for text in inputs:
        try:
            found = expand([text], suffixes=suffixes)
        except PictureError as error:
            errors[text] = error
            continue
        for item in found:
            items.setdefault(item.path.resolve(), item)
    return tuple(items.values()), errors


def is_result(item: Item, output: Path) -> bool:
    """Whether a file was found in the output folder, below a folder that was named."""
    folder = item.path.absolute().parents[len(item.relative.parts) - 1].resolve()
    own, place = item.path.parent.resolve(), output.resolve()
    return place != folder and place.is_relative_to(folder) and own.is_relative_to(place)


def suffixes_of(host: Host) -> frozenset[str]:
    """The suffixes of pictures and of all codecs, those of plugins included."""
    known = set(PICTURE_SUFFIXES)
    for component in host.components("codec"):
        try:
            known.update(host.codec(component.name).spec.read_suffixes)
        except ComponentError:
            continue  # a codec that is not installed adds no suffix; `diffir list` tells of it
    return frozenset(known)


def _find(text: str, suffixes: Collection[str]) -> Iterator[Item]:
    path = Path(text)
    if path.is_dir():
        yield from _below(path, suffixes)
    elif path.exists():
        yield Item(path, Path(path.name))
    elif glob.has_magic(text):
        yield from _matching(text, suffixes)
    else:
        raise PictureError(
            f"there is no file or folder {text}", hint="Check the name, and the current folder."
        )


def _below(folder: Path, suffixes: Collection[str]) -> Iterator[Item]:
    if not os.access(folder, os.R_OK | os.X_OK):  # rglob would pass over it in silence
        raise PictureError(
            f"the folder {folder} cannot be read: permission denied",
            hint="Change its permissions, or run as a user who may read it.",
        )
    for path in files_below(folder, suffixes):
        yield Item(path, path.relative_to(folder))


def _matching(pattern: str, suffixes: Collection[str]) -> Iterator[Item]:
    root = _fixed_part(pattern)
    for path in sorted(Path(match) for match in glob.glob(pattern, recursive=True)):
        if path.is_file() and path.suffix.lower() in suffixes:
            yield Item(path, path.relative_to(root))


def _where_else(text: str, suffixes: Collection[str]) -> str:
    if glob.has_magic(text) and any(Path(match).is_dir() for match in glob.glob(text)):
        return f"It matches folders alone. For the pictures in them: '{text.rstrip('/')}/*'"
    return f"Looked for {', '.join(sorted(suffixes))}."


def _fixed_part(pattern: str) -> Path:
    parts = Path(pattern).parts[:-1]
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:fixed])
