"""Pictures that photographs do not show: rendered text, flat graphics, smooth gradients.

Screenshots and slides suffer most from compression; a model that never saw a letter bends it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?()+-=%&@#/"


def synthetic_picture(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw `(side,side,3) uint8`: a gradient, with shapes on it, with text on it, by chance."""
    canvas = Image.fromarray(_gradient(side, rng))
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(0, 7))):
        _shape(draw, side, rng)
    if rng.random() < 0.7:
        for _ in range(int(rng.integers(1, 9))):
            _text(draw, side, rng)
    return np.asarray(canvas)


def _gradient(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A bilinear blend of four corner colors; equal corners make a flat page."""
    corners = rng.uniform(0, 255, (2, 2, 3))
    if rng.random() < 0.4:
        corners[:] = rng.choice([0.0, 255.0, corners[0, 0, 0]])
    t = np.linspace(0, 1, side)[:, None]
    left = corners[0, 0] * (1 - t) + corners[1, 0] * t  # (side,3)
    right = corners[0, 1] * (1 - t) + corners[1, 1] * t
    u = np.linspace(0, 1, side)[None, :, None]
    plane = left[:, None] * (1 - u) + right[:, None] * u
    dithered = plane + rng.uniform(-0.5, 0.5, plane.shape)
    return np.asarray(dithered.round().clip(0, 255), dtype=np.uint8)


def _color(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return red, green, blue


def _shape(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    x, y = (int(v) for v in rng.integers(-side // 4, side, 2))
    width, height = (int(v) for v in rng.integers(2, side // 2 + 2, 2))
    box = (x, y, x + width, y + height)
    kind = int(rng.integers(4))
    if kind == 0:
        draw.rectangle(box, fill=_color(rng))
    elif kind == 1:
        draw.ellipse(box, fill=_color(rng))
    elif kind == 2:
        draw.line(box, fill=_color(rng), width=int(rng.integers(1, 6)))
    else:
        draw.polygon([(x, y), (x + width, y), (x, y + height)], fill=_color(rng))


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _text(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    count = int(rng.integers(3, 24))
    words = "".join(rng.choice([*LETTERS, *"     "], size=count))
    place = (float(rng.integers(-8, side // 2)), float(rng.integers(-4, side)))
    draw.text(place, words, fill=_color(rng), font=_font(int(rng.integers(8, 40))))
