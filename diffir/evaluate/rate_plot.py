"""Rate-distortion curves as a picture, drawn with Pillow: PSNR over bits per pixel.

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

WIDTH, HEIGHT = 640, 400
SMOOTH = 3
"""Drawn so much larger, then shrunk: Pillow's lines have hard edges."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 16, 48
_PAPER, _INK, _GRID = (255, 255, 255), (20, 20, 20), (225, 225, 225)
_COLORS = ((196, 54, 22), (110, 110, 110), (36, 96, 167), (58, 133, 61), (139, 80, 160))


@dataclass(frozen=True)
class _Axes:
    """Where numbers lie on the paper. low, high: whole powers of two, and whole 5 dB."""

    bits_low: int
    bits_high: int
    psnr_low: int
    psnr_high: int

    def place(self, bits: float, psnr: float) -> tuple[float, float]:
        across = (math.log2(bits) - self.bits_low) / (self.bits_high - self.bits_low)
        up = (psnr - self.psnr_low) / (self.psnr_high - self.psnr_low)
        x = _LEFT + across * (WIDTH - _LEFT - _RIGHT)
        y = HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)
        return SMOOTH * x, SMOOTH * y


def draw_rate_plot(curves: Mapping[str, Sequence[RatePoint]]) -> Image.Image:
    """Draw a curve for each codec, by name, 640x400; the first stands out by its width.

    Points without loss have no place on the axis and are left out.

    Raises:
        DataError: no point is left.
    """
    shown = {
        name: sorted((p.bits_per_pixel, p.psnr) for p in points if math.isfinite(p.psnr))
        for name, points in curves.items()
    }
    shown = {name: places for name, places in shown.items() if places}
    axes = _axes([place for places in shown.values() for place in places])
    image = Image.new("RGB", (SMOOTH * WIDTH, SMOOTH * HEIGHT), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13 * SMOOTH)
    _draw_grid(draw, axes, font)
    for index, (name, places) in enumerate(shown.items()):
        color = _COLORS[index % len(_COLORS)]
        points = [axes.place(*place) for place in places]
        draw.line(points, fill=color, width=SMOOTH * (3 if index == 0 else 2), joint="curve")
        for x, y in points:
            size = SMOOTH * (4 if index == 0 else 3)
            draw.ellipse((x - size, y - size, x + size, y + size), fill=color)
        row = SMOOTH * (_TOP + 8 + 18 * index)
        draw.text((SMOOTH * (_LEFT + 12), row), name, fill=color, font=font)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _axes(places: Iterable[tuple[float, float]]) -> _Axes:
    found = list(places)
    if not found:
        raise DataError(
            "nothing to draw: every picture came back exactly",
            hint="A lossless codec has a rate, but no distortion.",
        )
    logs, psnrs = [math.log2(bits) for bits, _ in found], [psnr for _, psnr in found]
    low, floor = math.floor(min(logs)), 5 * math.floor(min(psnrs) / 5)
    return _Axes(
        low,
        max(low + 1, math.ceil(max(logs))),
        floor,
        max(floor + 5, 5 * math.ceil(max(psnrs) / 5)),
    )


def _draw_grid(
    draw: ImageDraw.ImageDraw, axes: _Axes, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    for power in range(axes.bits_low, axes.bits_high + 1):
        foot, head = axes.place(2.0**power, axes.psnr_low), axes.place(2.0**power, axes.psnr_high)
        draw.line((foot, head), fill=_GRID, width=SMOOTH)
        below = (foot[0], foot[1] + 9 * SMOOTH)
        draw.text(below, f"{2.0**power:g}", fill=_INK, font=font, anchor="mt")
    for psnr in range(axes.psnr_low, axes.psnr_high + 1, 5):
        left = axes.place(2.0**axes.bits_low, psnr)
        right = axes.place(2.0**axes.bits_high, psnr)
        draw.line((left, right), fill=_GRID, width=SMOOTH)
        beside = (left[0] - 6 * SMOOTH, left[1])
        draw.text(beside, str(psnr), fill=_INK, font=font, anchor="rm")
    middle = SMOOTH * (_LEFT + (WIDTH - _LEFT - _RIGHT) / 2)
    draw.text((middle, SMOOTH * (HEIGHT - 4)), "bits per pixel", fill=_INK, font=font, anchor="mb")
    corner = (SMOOTH * (WIDTH - _RIGHT - 6), SMOOTH * (_TOP + 8))
    draw.text(corner, "PSNR dB", fill=_INK, font=font, anchor="rt")
