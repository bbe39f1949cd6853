"""Pixels of many pictures, kept in a file without a name: a hundred photographs take gigabytes."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def on_disk(pixels: NDArray[np.uint8], folder: Path) -> NDArray[np.uint8]:
    """The same pixels, read only, mapped from a file that is gone with the last array over it.

    Args:
        pixels: `(H,W,C)`.
        folder: where there is space; made if missing.

    Raises:
        OutputError: there is no space for them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(np.ascontiguousarray(pixels).data)
            file.flush()
            return np.asarray(np.memmap(file, np.uint8, "r", shape=pixels.shape))
    except OSError as error:
        raise OutputError(
            f"cannot keep decoded pictures in {folder}: {error.strerror or error}",
            hint="Free some space, or name another folder in DIFFIR_CACHE.",
        ) from error
