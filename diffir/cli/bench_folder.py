"""The folder that `diffir bench --out` fills: reports, a sheet, plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from diffir.evaluate.curves import Curve
    from diffir.evaluate.sheet import Strip
    from diffir.evaluate.trials import Trial

MOST_STRIPS = 12
"""A sheet with more rows than that is not looked at."""


class BenchFolder:
    """Collects what the reports show while trials come and go, and writes it in the end.

    Args:
        folder: made where it is not there.
        plots: metrics whose curves are to be drawn.
        overwrite: whether old reports may be replaced.

    Raises:
        OutputError: a report is there already.
    """

    def __init__(self, folder: Path, *, plots: Iterable[str] = (), overwrite: bool = False) -> None:
        from diffir.pictures.atomic_file import check_free

        self._folder = folder
        self._plots = tuple(plots)
        self._strips: list[Strip] = []
        self._first: Path | None = None
        for name in ("report.md", "report.json", "sheet.png", *map(_plot_name, self._plots)):
            check_free(folder / name, overwrite=overwrite)

    def watch(self, trial: Trial) -> None:
        """Keep what is shown of a trial: the first picture's for the sheet."""
        from diffir.evaluate.sheet import trial_strip

        self._first = self._first or trial.path
        if trial.path == self._first and len(self._strips) < MOST_STRIPS:
            self._strips.append(trial_strip(trial))

    def write(self, markdown: str, json: str, curves: Sequence[Curve]) -> None:
        """Write all files, each whole or not at all."""
        from diffir.errors import DataError
        from diffir.evaluate.curves import draw_metric
        from diffir.evaluate.sheet import draw_sheet

        self._save("report.md", markdown.encode())
        self._save("report.json", json.encode())
        self._save("sheet.png", _png(draw_sheet(self._strips)))
        for metric in self._plots:
            try:
                plot = draw_metric(curves, metric)
            except DataError:
                continue  # every picture came back exactly: there is a table, and no curve
            self._save(_plot_name(metric), _png(plot))

    def _save(self, name: str, data: bytes) -> None:
        from diffir.pictures.atomic_file import write_atomically

        write_atomically(self._folder / name, data, overwrite=True)


def _plot_name(metric: str) -> str:
    return f"curve-{metric}.png"


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
