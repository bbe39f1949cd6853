"""Rate-distortion curves as a picture, drawn with Pillow: PSNR or another figure over the bits.

The axis of bits doubles from line to line: codecs are compared at a factor of size, not at a
difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from diffir.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from diffir.evaluate.rate_distortion import RatePoint

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WIDTH, HEIGHT = 640, 400
SMOOTH = 3
"""Drawn so much larger, then shrunk: Pillow's lines have hard edges."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 16, 48
_PAPER, _INK, _GRID = (255, 255, 255), (20, 20, 20), (225, 225, 225)
_COLORS = (
    *((196, 54, 22), (110, 110, 110), (36, 96, 167), (58, 133, 61), (139, 80, 160)),
    *((176, 124, 10), (20, 140, 150), (90, 60, 30), (220, 110, 160)),
)
_MOST_LINES = 8


@dataclass(frozen=True)
class Upright:
    """The upright axis: its heading, whether good curves rise, and what lies between its lines.

    step: `None` takes 1, 2 or 5 times a power of ten, so that there are at most 8 lines.
    """

    heading: str
    rising: bool = True
    step: float | None = None


@dataclass(frozen=True)
class _Axes:
    """Where numbers lie on the paper. low, high: whole powers of two, and whole steps."""

    bits_low: int
    bits_high: int
    low: int
    high: int
    step: float

    def place(self, bits: float, value: float) -> tuple[float, float]:
        across = (math.log2(bits) - self.bits_low) / (self.bits_high - self.bits_low)
        up = (value / self.step - self.low) / (self.high - self.low)
        x = _LEFT + across * (WIDTH - _LEFT - _RIGHT)
        y = HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)
        return SMOOTH * x, SMOOTH * y


def draw_rate_plot(curves: Mapping[str, Sequence[RatePoint]]) -> Image.Image:
    """Draw PSNR for each codec, by name, 640x400; the first stands out by its width.

    Points without loss have no place on the axis and are left out.

    Raises:
        DataError: no point is left.
    """
    places = {name: [(p.bits_per_pixel, p.psnr) for p in curves[name]] for name in curves}
    return draw_curves(places, Upright("PSNR dB", step=5))


def draw_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]], upright: Upright
) -> Image.Image:
    """Draw (bits per pixel, figure) of each curve, by name, 640x400; the first one wider.

    Points that are not finite are left out.

    Raises:
        DataError: no point is left.
    """
    shown = {
        name: sorted(place for place in places if math.isfinite(place[1]))
        for name, places in curves.items()
    }
    shown = {name: places for name, places in shown.items() if places}
    axes = _axes([place for places in shown.values() for place in places], upright.step)
    image = Image.new("RGB", (SMOOTH * WIDTH, SMOOTH * HEIGHT), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13 * SMOOTH)
    _draw_grid(draw, axes, font)
    _draw_headings(draw, upright, font)
    for index, (name, places) in enumerate(shown.items()):
        color = _COLORS[index % len(_COLORS)]
        points = [axes.place(*place) for place in places]
        draw.line(points, fill=color, width=SMOOTH * (3 if index == 0 else 2), joint="curve")
        for x, y in points:
            size = SMOOTH * (4 if index == 0 else 3)
            draw.ellipse((x - size, y - size, x + size, y + size), fill=color)
        row = SMOOTH * (_TOP + 8 + 18 * index)
        corner, anchor = _free_corner(upright)
        draw.text((corner, row), name, fill=color, font=font, anchor=anchor)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _free_corner(upright: Upright) -> tuple[int, str]:
    """Where names do not lie on curves: left above rising ones, right above falling ones."""
    if upright.rising:
        return SMOOTH * (_LEFT + 12), "la"
    return SMOOTH * (WIDTH - _RIGHT - 12), "ra"


def _axes(places: Iterable[tuple[float, float]], step: float | None) -> _Axes:
    found = list(places)
    if not found:
        raise DataError(
            "nothing to draw: every picture came back exactly",
            hint="A lossless codec has a rate, but no distortion.",
        )
    logs, values = [math.log2(bits) for bits, _ in found], [value for _, value in found]
    step = step or _nice_step(max(values) - min(values))
    low, floor = math.floor(min(logs)), math.floor(min(values) / step)
    ceiling = max(floor + 1, math.ceil(max(values) / step))
    return _Axes(low, max(low + 1, math.ceil(max(logs))), floor, ceiling, step)


def _nice_step(span: float) -> float:
    power = 10.0 ** math.floor(math.log10(span or 1)) / 10
    return next(s * power for s in (1, 2, 5, 10, 20) if span / (s * power) <= _MOST_LINES - 2)


def _draw_grid(draw: ImageDraw.ImageDraw, axes: _Axes, font: Font) -> None:
    for power in range(axes.bits_low, axes.bits_high + 1):
        foot, head = (axes.place(2.0**power, end * axes.step) for end in (axes.low, axes.high))
        draw.line((foot, head), fill=_GRID, width=SMOOTH)
        below = (foot[0], foot[1] + 9 * SMOOTH)
        draw.text(below, f"{2.0**power:g}", fill=_INK, font=font, anchor="mt")
    for line in range(axes.low, axes.high + 1):
        left, right = (
            axes.place(2.0**power, line * axes.step) for power in (axes.bits_low, axes.bits_high)
        )
        draw.line((left, right), fill=_GRID, width=SMOOTH)
        beside = (left[0] - 6 * SMOOTH, left[1])
        draw.text(beside, f"{line * axes.step:.6g}", fill=_INK, font=font, anchor="rm")


def _draw_headings(draw: ImageDraw.ImageDraw, upright: Upright, font: Font) -> None:
    middle = SMOOTH * (_LEFT + (WIDTH - _LEFT - _RIGHT) / 2)
    draw.text((middle, SMOOTH * (HEIGHT - 4)), "bits per pixel", fill=_INK, font=font, anchor="mb")
    right, left = SMOOTH * (WIDTH - _RIGHT - 6), SMOOTH * (_LEFT + 6)
    place, anchor = (right, "rt") if upright.rising else (left, "lt")
    draw.text((place, SMOOTH * (_TOP + 8)), upright.heading, fill=_INK, font=font, anchor=anchor)
