"""What a codec does to pictures: a table of rate and distortion, its curve, and its artefacts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from diffir.contracts.picture import Picture
from diffir.errors import DataError
from diffir.evaluate.rate_distortion import measure_rate, rate_table, usual_qualities
from diffir.evaluate.rate_plot import draw_rate_plot
from diffir.evaluate.sheet import Strip, draw_sheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from diffir.contracts.codec import Codec, Pixels

PLOT, SHEET = "rate-distortion.png", "artefacts.png"
MOST_STRIPS = 3
SIDE = 192
"""Of the pictures that are made where none are given."""


@dataclass(frozen=True)
class Portrait:
    """table: Markdown. files: the plot and the sheet as PNG files, by name."""

    table: str
    files: Mapping[str, bytes]

    def section(self, *, name: str, about: str) -> str:
        """The part of a README; the files lie in `pictures` beside it."""
        shown = ""
        if PLOT in self.files:
            shown = f"\n![PSNR over bits per pixel, beside JPEG](pictures/{PLOT})\n"
        return (
            f"## What `{name}` does to pictures\n\nOver {about}: the mean of the bits per pixel, "
            f"and the PSNR of the mean squared error.\n\n{self.table}{shown}\n"
            f"![the benchmark's levels beside the original](pictures/{SHEET})\n"
        )


def draw_portrait(
    codec: Codec, pictures: Sequence[Pixels], *, compared_with: Codec | None = None
) -> Portrait:
    """Measure a codec at its usual qualities, and draw.

    Args:
        codec: of any kind.
        pictures: `(H,W,3) uint8` each, one or more.
        compared_with: a second curve in the plot.

    Raises:
        CodecError: the codec refused a picture.
        DataError: no picture.
    """
    points = measure_rate(codec, pictures, usual_qualities(codec))
    curves = {codec.spec.name: points}
    if compared_with is not None:
        usual = usual_qualities(compared_with)
        curves[compared_with.spec.name] = measure_rate(compared_with, pictures, usual)
    files = {SHEET: _png(draw_sheet([_strip(codec, p) for p in pictures[:MOST_STRIPS]], crop=128))}
    with suppress(DataError):  # without loss there is a table, and no curve
        files[PLOT] = _png(draw_rate_plot(curves))
    return Portrait(rate_table(points, label=codec.spec.scale.label), files)


def made_pictures() -> list[Pixels]:
    """Two of soft colors with grain, and a page of text and shapes: always the same three."""
    from diffir.testing.sample_pictures import scene
    from diffir.train.synthetic import synthetic_picture

    page = synthetic_picture(SIDE, np.random.default_rng(7))
    return [scene(SIDE, SIDE), scene(SIDE, SIDE, seed=1), page]


def _strip(codec: Codec, pixels: Pixels) -> Strip:
    panels = {}
    for level in codec.spec.levels:
        data = codec.encode(pixels, level)
        bits = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
        panels[f"{codec.spec.name}-{level:g}, {bits:.2f} bpp"] = Picture(codec.decode(data))
    return Strip({**panels, "original": Picture(pixels)})


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
