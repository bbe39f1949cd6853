"""Before-and-after sheets: the same crop of several pictures side by side, at whole-number zoom.

Pixels are repeated, never interpolated, so that a sheet shows what the restorer made and not what
a filter made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from diffir.errors import DataError
from diffir.evaluate.protocol_pixels import as_8bit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from diffir.contracts.codec import Pixels
    from diffir.contracts.picture import Picture
    from diffir.evaluate.trials import Trial

_MARGIN = 8
_LABEL_HEIGHT = 20
_PAPER = (255, 255, 255)
_INK = (20, 20, 20)


@dataclass(frozen=True, eq=False)
class Strip:
    """One row of a sheet: pictures of one size, by label, the degraded one first.

    center: row and column of the crop's middle; `None` takes the window in which the first and the
    last picture differ most.
    """

    panels: Mapping[str, Picture]
    center: tuple[int, int] | None = None


def draw_sheet(strips: Sequence[Strip], *, crop: int = 192, zoom: int = 2) -> Image.Image:
    """Draw strips below each other on white paper, each panel under its label.

    Args:
        strips: one or more.
        crop: side of the square window, in pixels of the pictures; smaller pictures are shown
            whole.
        zoom: how often each pixel is repeated in both directions.

    Raises:
        DataError: nothing to draw, pictures of several sizes in one strip, or crop or zoom < 1.
    """
    if not strips or crop < 1 or zoom < 1:
        raise DataError(
            f"expected one strip or more, crop and zoom of 1 or more, got {len(strips)} strips, "
            f"crop {crop}, zoom {zoom}",
            hint="Usual values are crop 192 and zoom 1 or 2.",
        )
    drawn = [_draw_strip(strip, crop, zoom) for strip in strips]
    sheet = Image.new("RGB", (max(s.width for s in drawn), sum(s.height for s in drawn)), _PAPER)
    top = 0
    for strip_image in drawn:
        sheet.paste(strip_image, (0, top))
        top += strip_image.height
    return sheet


def trial_strip(trial: Trial) -> Strip:
    """The strip of one benchmark trial: degraded, each restored version, original."""
    bits = trial.degraded.codec.bits_per_pixel
    degraded = trial.task if bits is None else f"{trial.task}, {bits:.2f} bpp"
    restored = {version.label: picture for version, picture in trial.restored.items()}
    return Strip({degraded: trial.degraded, **restored, "original": trial.reference})


def _draw_strip(strip: Strip, crop: int, zoom: int) -> Image.Image:
    pixels = {label: as_8bit(picture.pixels) for label, picture in strip.panels.items()}
    sizes = {panel.shape for panel in pixels.values()}
    if len(sizes) != 1:
        raise DataError(
            f"a strip needs pictures of one size, got {sorted(sizes) or 'no pictures'}",
            hint="Compare a picture with its own restoration.",
        )
    rows, columns = _window(list(pixels.values()), strip.center, crop)
    height = (rows.stop - rows.start) * zoom
    width = (columns.stop - columns.start) * zoom
    image = Image.new(
        "RGB",
        (_MARGIN + (width + _MARGIN) * len(pixels), height + _LABEL_HEIGHT + _MARGIN),
        _PAPER,
    )
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13)
    for position, (label, panel) in enumerate(pixels.items()):
        left = _MARGIN + position * (width + _MARGIN)
        text = _fitted(draw, label, width=width, font=font)
        draw.text((left, 3), text, fill=_INK, font=font)
        enlarged = panel[rows, columns].repeat(zoom, axis=0).repeat(zoom, axis=1)
        image.paste(Image.fromarray(enlarged), (left, _LABEL_HEIGHT))
    return image


def _fitted(
    draw: ImageDraw.ImageDraw,
    label: str,
    *,
    width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> str:
    shown = label
    while len(shown) > 1 and draw.textlength(shown, font=font) > width:
        shown = shown[:-2] + "…"
    return shown


def _window(panels: list[Pixels], center: tuple[int, int] | None, crop: int) -> tuple[slice, slice]:
    height, width = panels[0].shape[:2]
    rows, columns = min(crop, height), min(crop, width)
    if center is None:
        difference = np.abs(panels[0].astype(np.int16) - panels[-1]).sum(2)
        top, left = _strongest(difference, rows, columns)
    else:
        top = min(max(center[0] - rows // 2, 0), height - rows)
        left = min(max(center[1] - columns // 2, 0), width - columns)
    return slice(top, top + rows), slice(left, left + columns)


def _strongest(weight: NDArray[np.int64], rows: int, columns: int) -> tuple[int, int]:
    """Top and left of the window with the greatest sum, by a summed-area table."""
    table = np.pad(weight.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = table[rows:, columns:] - table[:-rows, columns:]
    sums = sums - (table[rows:, :-columns] - table[:-rows, :-columns])
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(top), int(left)
