"""The folder that `diffir bench --out` fills: reports, a sheet, plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from diffir.cli.inputs import Item, is_result

if TYPE_CHECKING:
    from PIL import Image

    from diffir.evaluate.benchmark import Result
    from diffir.evaluate.curves import Curve
    from diffir.evaluate.html_report import Plot
    from diffir.evaluate.sheet import Strip
    from diffir.evaluate.trials import Trial
    from diffir.evaluate.worst_tiles import TileMeasure

MOST_STRIPS = 12
"""A sheet with more rows than that is not looked at."""

SHEET = "sheet.png"
REPORTS = ("report.md", "report.json", "report.html", SHEET)

RESTORED = "restored"
"""Of the folder in it for pictures that are kept."""


def is_ours(item: Item, out: Path) -> bool:
    """Whether a file was found where earlier runs left theirs, below a folder that was named."""
    if is_result(item, out) or is_result(item, out / RESTORED):
        return True
    drawn = item.path.name == SHEET or item.path.match(_plot_name("*"))
    return drawn and item.path.parent.resolve() == out.resolve()


@dataclass(frozen=True)
class Texts:
    """What was made of a result already, and what heads the page."""

    markdown: str
    json: str
    title: str
    command: str


class BenchFolder:
    """Collects what the reports show while trials come and go, and writes it in the end.

    Args:
        folder: made where it is not there.
        plots: metrics whose curves are to be drawn.
        overwrite: whether old reports may be replaced.

    Raises:
        OutputError: a report is there already, or nothing can be written there.
    """

    def __init__(self, folder: Path, *, plots: Iterable[str] = (), overwrite: bool = False) -> None:
        from diffir.pictures.atomic_file import check_free, check_writable

        self._folder = folder
        self._plots = tuple(plots)
        self._strips: list[Strip] = []
        self._first: str | None = None
        for name in (*REPORTS, *map(_plot_name, self._plots)):
            check_free(folder / name, overwrite=overwrite)
        check_writable(folder)

    def expect(self, trials: int, *, lpips: bool, device: str) -> None:
        """Prepare for so many trials; `lpips` looks for the tiles that it finds worst, too."""
        from diffir.evaluate.gallery import Gallery
        from diffir.evaluate.worst_tiles import WorstTiles, lpips_of_tiles, squared_error

        measures: dict[str, TileMeasure] = {"squared error": squared_error}
        if lpips:
            measures["LPIPS-Alex"] = lpips_of_tiles(device)
        self._gallery = Gallery(trials, WorstTiles(measures))

    def watch(self, trial: Trial) -> None:
        """Keep what is shown of a trial: the first picture's for the sheet."""
        from diffir.evaluate.sheet import trial_strip

        self._gallery.add(trial)
        self._first = self._first or trial.name
        if trial.name == self._first and len(self._strips) < MOST_STRIPS:
            self._strips.append(trial_strip(trial))

    def write(self, result: Result, texts: Texts, curves: Sequence[Curve]) -> None:
        """Write all files, each whole or not at all."""
        from diffir.evaluate.html_report import to_html
        from diffir.evaluate.sheet import draw_sheet

        plots = self._draw(curves)
        page = to_html(
            result,
            self._gallery,
            title=texts.title,
            command=texts.command,
            curves=curves,
            plots=list(plots.values()),
        )
        for name, text in zip(REPORTS, (texts.markdown, texts.json, page), strict=False):
            self._save(name, text.encode(errors="replace"))  # of names that are not UTF-8
        self._save(SHEET, _png(draw_sheet(self._strips)))
        for metric, plot in plots.items():
            self._save(_plot_name(metric), _png(plot.image))

    def _draw(self, curves: Sequence[Curve]) -> dict[str, Plot]:
        from diffir.errors import DataError
        from diffir.evaluate.curves import draw_metric
        from diffir.evaluate.html_report import Plot
        from diffir.evaluate.metrics import METRICS

        plots = {}
        for metric in self._plots:
            # Where every picture came back exactly there is a table, and no curve.
            with suppress(DataError):
                text = f"{METRICS[metric].heading} over bits per pixel; the figures stand below"
                plots[metric] = Plot(draw_metric(curves, metric), text)
        return plots

    def _save(self, name: str, data: bytes) -> None:
        from diffir.pictures.atomic_file import write_atomically

        write_atomically(self._folder / name, data, overwrite=True)


def _plot_name(metric: str) -> str:
    return f"curve-{metric}.png"


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
