"""The pictures of an HTML report: a few trials whole, and the worst tiles, as bytes to embed.

trials -> evenly chosen ones -> original, as compressed, each version -> WebP, cropped if large
       -> WorstTiles -> PNG
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from diffir.evaluate.contenders import AS_COMPRESSED
from diffir.evaluate.protocol_pixels import as_8bit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffir.contracts.codec import Pixels
    from diffir.evaluate.trials import Trial
    from diffir.evaluate.worst_tiles import WorstTiles

MOST_FIGURES = 12
MOST_BYTES = 12 * 2**20
LARGEST = 768
WEBP_QUALITY = 90
ORIGINAL = "original"


@dataclass(frozen=True)
class Figure:
    """One trial to look at.

    panels: data URIs by label, of one size: as compressed, each restored version, the original.
    cropped: only the middle is shown.
    """

    title: str
    width: int
    height: int
    cropped: bool
    panels: Mapping[str, str]


class Gallery:
    """Keeps what an HTML report shows while trials come and go.

    Args:
        total: trials that will come; those that are shown are spread over them evenly.
        worst: tiles to look for.
        most_bytes: of all figures together.
    """

    def __init__(self, total: int, worst: WorstTiles, *, most_bytes: int = MOST_BYTES) -> None:
        gaps = max(1, MOST_FIGURES - 1)
        self._chosen = {round(step * (total - 1) / gaps) for step in range(MOST_FIGURES)}
        self._seen = 0
        self._bytes_left = most_bytes
        self.figures: list[Figure] = []
        self.worst = worst

    @property
    def left_out(self) -> int:
        """How many trials are not shown."""
        return self._seen - len(self.figures)

    def add(self, trial: Trial) -> None:
        """Look at one trial; nothing of it is kept but what is shown."""
        self.worst.add(trial)
        if self._seen in self._chosen and self._bytes_left > 0:
            figure = _figure(trial)
            self._bytes_left -= sum(map(len, figure.panels.values()))
            self.figures.append(figure)
        self._seen += 1


def data_uri(image: Image.Image, image_format: str, **options: int) -> str:
    """A picture as text that a page can hold: `data:image/png;base64,...`."""
    file = BytesIO()
    image.save(file, image_format, **options)
    kind = image_format.lower()
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _figure(trial: Trial) -> Figure:
    versions = {AS_COMPRESSED.label: trial.degraded}
    versions |= {version.label: picture for version, picture in trial.restored.items()}
    versions[ORIGINAL] = trial.reference
    panels = {label: _middle(as_8bit(picture.pixels)) for label, picture in versions.items()}
    height, width = panels[ORIGINAL].shape[:2]
    cropped = (height, width) != (trial.reference.height, trial.reference.width)
    uris = {
        label: data_uri(Image.fromarray(pixels), "WEBP", quality=WEBP_QUALITY)
        for label, pixels in panels.items()
    }
    return Figure(f"{trial.name}, {trial.task}", width, height, cropped, uris)


def _middle(pixels: Pixels) -> Pixels:
    height, width = (min(LARGEST, side) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
