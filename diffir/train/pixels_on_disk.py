"""Pixels of many pictures in one file without a name: a hundred photographs take gigabytes.

They are mapped, not read: pages that were looked at count as this process's memory until they are
forgotten, and can be looked at again.
"""

from __future__ import annotations

import mmap
import tempfile
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]


@contextmanager
def space_told(folder: Path) -> Iterator[None]:
    """What is inside keeps decoded pictures in a folder of the cache, and says so where it cannot.

    Raises:
        OutputError: it could not.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot keep decoded pictures in {folder}: {error.strerror or error}",
            hint="Free some space, or name another folder in DIFFIR_CACHE.",
        ) from error


def on_disk(pictures: Iterable[Pixels], folder: Path) -> list[Pixels]:
    """The same pictures, read only, mapped from a file that is gone with the last array over it.

    One file, and one open handle, for all of them: systems allow a process a few hundred.

    Args:
        pictures: one or more, `(H,W,C)`; asked for one by one.
        folder: where there is space; made if missing.

    Raises:
        OutputError: there is no space for them.
    """
    shapes: list[tuple[int, ...]] = []
    with space_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    with file:
        for pixels in pictures:
            with space_told(folder):
                file.write(np.ascontiguousarray(pixels).data)
            shapes.append(pixels.shape)
        with space_told(folder):
            file.flush()
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    kept, start = [], 0
    for shape in shapes:
        kept.append(np.frombuffer(mapping, np.uint8, prod(shape), start).reshape(shape))
        start += prod(shape)
    return kept


def forget(pixels: Pixels) -> None:
    """Give back the memory that looking at pictures took: at all of the file that this one is in.

    Args:
        pixels: a picture of `on_disk`, or a part of one; with other arrays nothing happens.
    """
    owner: object = pixels
    while isinstance(owner, np.ndarray):
        owner = owner.base
    mapping = owner.obj if isinstance(owner, memoryview) else None
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
