"""Small pictures that compress as photos do, made from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels

ODD_SIZES = ((1, 1), (1, 2), (2, 1), (3, 5), (17, 16), (33, 47))
"""Heights and widths that encoders of blocks and of half-sized chroma find hard."""


def scene(height: int, width: int, *, seed: int = 0) -> Pixels:
    """Soft color, an edge and some grain, `(H,W,3) uint8`, C-contiguous."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16
    waves = [np.sin(x + phase) + np.cos(y * (1 + phase)) for phase in rng.uniform(0, 2, 3)]
    pixels = 128 + 45 * np.stack(waves, axis=2) + rng.normal(0, 8, (height, width, 3))
    pixels[height // 3 :, width // 2 :] += 40
    return np.ascontiguousarray(np.clip(pixels, 0, 255), dtype=np.uint8)


def gray_scene(height: int, width: int, *, seed: int = 0) -> Pixels:
    """The same with three equal channels."""
    gray = scene(height, width, seed=seed)[:, :, :1]
    return np.ascontiguousarray(np.repeat(gray, 3, axis=2))
