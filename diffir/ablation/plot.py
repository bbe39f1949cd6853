"""A question's answer as a picture, drawn with Pillow: differences to the default, with intervals.

One panel for each metric. The line is the default; a dot is a mean over seeds, its bar the 95 %
interval. A bar that crosses the line says that the seeds do not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from diffir.ablation.comparison import ALL
from diffir.evaluate.metrics import METRICS
from diffir.evaluate.student import Mean

if TYPE_CHECKING:
    from diffir.ablation.comparison import Comparison, Row

PANEL, LABELS, ROW = 220, 190, 26
SMOOTH = 3
"""Drawn so much larger, then shrunk: Pillow's lines have hard edges."""

_TOP, _BOTTOM, _PAD = 34, 30, 22
_PAPER, _INK, _GRID = (255, 255, 255), (20, 20, 20), (225, 225, 225)
_CLEAR, _OPEN = (196, 54, 22), (110, 110, 110)


@dataclass(frozen=True)
class _Panel:
    """One metric's axis: `left` in pixels, `most` the value at either end."""

    metric: str
    left: float
    most: float

    def across(self, value: float) -> float:
        half = PANEL / 2 - _PAD
        return self.left + PANEL / 2 + half * value / self.most


def draw_plot(comparison: Comparison) -> Image.Image:
    """Draw a question's rows top down, in its order; red where the interval leaves out zero."""
    metrics = list(comparison.rows[0].gains[ALL])
    size = LABELS + PANEL * len(metrics), _TOP + ROW * len(comparison.rows) + _BOTTOM
    image = Image.new("RGB", (SMOOTH * size[0], SMOOTH * size[1]), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12 * SMOOTH)
    for index, row in enumerate(comparison.rows):
        middle = SMOOTH * (_TOP + ROW * (index + 0.5))
        draw.text((SMOOTH * 8, middle), row.variant.label, fill=_INK, font=font, anchor="lm")
    for place, metric in enumerate(metrics):
        panel = _Panel(metric, LABELS + PANEL * place, _most(comparison, metric))
        _draw_axis(draw, panel, len(comparison.rows), font)
        for index, row in enumerate(comparison.rows):
            _draw_dot(draw, panel, row, SMOOTH * (_TOP + ROW * (index + 0.5)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _most(comparison: Comparison, metric: str) -> float:
    """How far from zero the longest bar ends, and a little more."""
    gaps = [row.differences[ALL][metric] for row in comparison.rows if row.differences]
    return 1.05 * max([1e-6, *(abs(gap.value) + (gap.half_width or 0) for gap in gaps)])


def _draw_axis(
    draw: ImageDraw.ImageDraw,
    panel: _Panel,
    rows: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    top, foot = SMOOTH * _TOP, SMOOTH * (_TOP + ROW * rows)
    for value in (-panel.most, 0.0, panel.most):
        x = SMOOTH * panel.across(value)
        draw.line((x, top, x, foot), fill=_INK if value == 0 else _GRID, width=SMOOTH)
        text = "0" if value == 0 else f"{value:+.2g}"
        draw.text((x, foot + 6 * SMOOTH), text, fill=_INK, font=font, anchor="mt")
    shown = METRICS[panel.metric]
    better = "right" if shown.more_is_better else "left"
    middle = SMOOTH * (panel.left + PANEL / 2)
    heading = f"{shown.heading}, {better} is better"
    draw.text((middle, top - 10 * SMOOTH), heading, fill=_INK, font=font, anchor="mb")


def _draw_dot(draw: ImageDraw.ImageDraw, panel: _Panel, row: Row, y: float) -> None:
    gap = row.differences[ALL][panel.metric] if row.differences else Mean(0.0, None)
    color = _CLEAR if gap.clear else _OPEN if row.differences else _INK
    if gap.half_width is not None:
        ends = (panel.across(gap.value + sign * gap.half_width) for sign in (-1, 1))
        left, right = (SMOOTH * end for end in ends)
        draw.line((left, y, right, y), fill=color, width=2 * SMOOTH)
    x, size = SMOOTH * panel.across(gap.value), 4 * SMOOTH
    draw.ellipse((x - size, y - size, x + size, y + size), fill=color)
