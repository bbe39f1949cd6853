"""Curves as a picture, drawn with Pillow: numbers over numbers, on straight axes; x begins at 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from diffir.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 640, 400
SMOOTH = 3
"""Drawn so much larger, then shrunk: Pillow's lines have hard edges."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 32, 48
_PAPER, _INK, _GRID = (255, 255, 255), (20, 20, 20), (225, 225, 225)
_COLORS = ((196, 54, 22), (36, 96, 167), (58, 133, 61), (139, 80, 160), (110, 110, 110))
_STEPS = (1.0, 2.0, 2.5, 5.0)


@dataclass(frozen=True)
class _Axis:
    """From `low` to `high`, a line every `step`."""

    low: float
    high: float
    step: float

    @property
    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.step)
        return [self.low + self.step * index for index in range(count + 1)]

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


def draw_lines(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, across: str, up: str
) -> Image.Image:
    """Draw a curve for each name through its points (x, y), 640x400.

    Args:
        curves: by name.
        across: what the lower axis is of.
        up: what the other one is of.

    Raises:
        DataError: no point, or one that is not finite.
    """
    points = [point for places in curves.values() for point in places]
    if not points or not all(math.isfinite(value) for point in points for value in point):
        raise DataError("nothing to draw: expected finite numbers", hint="Train for longer.")
    axes = _axis([x for x, _ in points] + [0.0]), _axis([y for _, y in points])
    image = Image.new("RGB", (SMOOTH * WIDTH, SMOOTH * HEIGHT), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13 * SMOOTH)
    _draw_grid(draw, axes, font)
    for index, (name, places) in enumerate(curves.items()):
        color = _COLORS[index % len(_COLORS)]
        line = [_place(axes, *place) for place in sorted(places)]
        draw.line(line, fill=color, width=2 * SMOOTH, joint="curve")
        for x, y in line:
            draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill=color)
        row = SMOOTH * (_TOP + 8 + 18 * index)
        corner = (SMOOTH * (WIDTH - _RIGHT - 6), row)
        draw.text(corner, name, fill=color, font=font, anchor="rt")
    draw.text((SMOOTH * 6, SMOOTH * 6), up, fill=_INK, font=font)
    foot = (SMOOTH * (_LEFT + WIDTH - _RIGHT) / 2, SMOOTH * (HEIGHT - 4))
    draw.text(foot, across, fill=_INK, font=font, anchor="mb")
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _axis(values: Sequence[float]) -> _Axis:
    low, high = min(values), max(values)
    raw = (high - low or abs(high) or 1.0) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next((unit * one for one in _STEPS if unit * one >= raw), 10 * unit)
    floor, ceiling = step * math.floor(low / step), step * math.ceil(high / step)
    return _Axis(floor, max(ceiling, floor + step), step)


def _place(axes: tuple[_Axis, _Axis], x: float, y: float) -> tuple[float, float]:
    right = _LEFT + axes[0].share(x) * (WIDTH - _LEFT - _RIGHT)
    down = HEIGHT - _BOTTOM - axes[1].share(y) * (HEIGHT - _TOP - _BOTTOM)
    return SMOOTH * right, SMOOTH * down


def _draw_grid(
    draw: ImageDraw.ImageDraw,
    axes: tuple[_Axis, _Axis],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    across, up = axes
    for x in across.ticks:
        foot, head = _place(axes, x, up.low), _place(axes, x, up.high)
        draw.line((foot, head), fill=_GRID, width=SMOOTH)
        draw.text((foot[0], foot[1] + 9 * SMOOTH), f"{x:g}", fill=_INK, font=font, anchor="mt")
    for y in up.ticks:
        left, right = _place(axes, across.low, y), _place(axes, across.high, y)
        draw.line((left, right), fill=_GRID, width=SMOOTH)
        draw.text((left[0] - 18, left[1]), f"{y:.4g}", fill=_INK, font=font, anchor="rm")
