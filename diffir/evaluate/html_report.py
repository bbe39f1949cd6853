"""A benchmark's result as one HTML file: no network, no scripts of others, pictures inside.

Result, curves -> tables -> <table>      Gallery -> sliders, worst tiles -> <figure>
                              '-- page/report.html, .css, .js --'-> text
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from PIL import Image

from diffir.evaluate.gallery import LARGEST, WEBP_QUALITY, data_uri
from diffir.evaluate.report import left_out, taken_how, versions
from diffir.evaluate.tables import curve_table, difference_table, picture_tables, score_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diffir.evaluate.benchmark import Result
    from diffir.evaluate.curves import Curve
    from diffir.evaluate.gallery import Figure, Gallery
    from diffir.evaluate.tables import Cell, Table
    from diffir.evaluate.worst_tiles import WorstTile

MOST_PICTURE_ROWS = 3000


@dataclass(frozen=True)
class Plot:
    """A drawn curve, and what to say for those who do not see it."""

    image: Image.Image
    text: str


def to_html(
    result: Result,
    gallery: Gallery,
    *,
    title: str,
    command: str,
    curves: Sequence[Curve] = (),
    plots: Sequence[Plot] = (),
) -> str:
    """The page.

    Args:
        result: of `diffir.evaluate.benchmark.run`.
        gallery: that has seen its trials.
        title: heads the page, such as "live1: moe-diffir-tiny".
        command: what was run.
        curves: rate-distortion curves of the same result.
        plots: pictures of them.
    """
    about = ", ".join(f"{name} {number}" for name, number in versions().items())
    page = {
        "title": escape(title),
        "style": _file("report.css"),
        "script": _file("report.js"),
        "how": escape(taken_how(result)),
        "failures": _failures(result),
        "means": _table(score_table(result)),
        "differences": _section("Differences", _table(difference_table(result))),
        "curves": _section("Rate and distortion", _curves(curves, plots)),
        "figures": _section("Before and after", _figures(gallery)),
        "tiles": _section("Worst tiles", _tiles(gallery.worst.found())),
        "pictures": _section("Each picture", _pictures(result)),
        "command": escape(command),
        "versions": escape(f"{about}."),
    }
    return Template(_file("report.html")).substitute(page)


def _file(name: str) -> str:
    return files("diffir.evaluate").joinpath("page", name).read_text(encoding="utf-8")


def _section(heading: str, content: str) -> str:
    if not content:
        return ""
    mark = heading.lower().replace(" ", "-")
    return (
        f'<section aria-labelledby="{mark}">\n<h2 id="{mark}">{heading}</h2>\n{content}\n</section>'
    )


def _failures(result: Result) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in left_out(result))
    return f"<p>Left out, because a restorer failed:</p><ul>{lines}</ul>" if lines else ""


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    head = "".join(
        f'<th scope="col"{" class=name" if column < table.names else ""}>{escape(text)}</th>'
        for column, text in enumerate(table.header)
    )
    about = f'<p class="quiet">{escape(table.about)}</p>\n' if table.about else ""
    body = "\n".join(_row(row, table.names) for row in table.rows)
    return (
        f'{about}<div class="wide" role="region" aria-label="table" tabindex="0"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: Sequence[Cell], names: int) -> str:
    words = "".join(f'<th scope="row">{escape(cell.text)}</th>' for cell in row[:names])
    figures = "".join(
        f"<td{' class=best' if cell.best else ''}>{escape(cell.text)}</td>" for cell in row[names:]
    )
    return f"<tr{' class=task' if row[0].text else ''}>{words}{figures}</tr>"


def _curves(curves: Sequence[Curve], plots: Sequence[Plot]) -> str:
    shown = [
        f'<figure><img class="plot" width="{plot.image.width}" height="{plot.image.height}" '
        f'alt="{escape(plot.text)}" src="{data_uri(plot.image, "PNG")}"></figure>'
        for plot in plots
    ]
    return "\n".join([*shown, _table(curve_table(curves))]).strip()


def _figures(gallery: Gallery) -> str:
    if not gallery.figures:
        return ""
    told = (
        f"Previews are WebP at quality {WEBP_QUALITY}, at their own size, cropped to the middle "
        f"where larger than {LARGEST} pixels."
    )
    if gallery.left_out:
        told += f" Left out: {gallery.left_out} other trials."
    shown = [_figure(figure, number) for number, figure in enumerate(gallery.figures)]
    return "\n".join([f'<p class="quiet">{told}</p>', *shown])


def _figure(figure: Figure, number: int) -> str:
    panels = "\n".join(
        f'<figure><img width="{figure.width}" height="{figure.height}" loading="lazy" '
        f'alt="{escape(figure.title)}: {escape(label)}" src="{uri}">'
        f"<figcaption>{escape(label)}</figcaption></figure>"
        for label, uri in figure.panels.items()
    )
    labels = list(figure.panels)
    title = escape(figure.title + (", the middle" if figure.cropped else ""))
    return (
        f'<figure class="compare">\n<figcaption>{title}</figcaption>\n'
        f'<div class="choices script">{_choice("Left", labels, 0)}'
        f"{_choice('Right', labels, min(1, len(labels) - 1))}"
        f'<label><input type="checkbox"> three times as large</label></div>\n<div>'
        f'<div class="stack" data-width="{figure.width}" data-height="{figure.height}">\n'
        f"{panels}\n</div></div>\n"
        f'<label class="slide"><span class="quiet">Border between left and right</span>'
        f'<input type="range" min="0" max="100" value="50" id="slide-{number}"></label>\n</figure>'
    )


def _choice(side: str, labels: Sequence[str], chosen: int) -> str:
    options = "".join(
        f'<option value="{index}"{" selected" if index == chosen else ""}>{escape(label)}</option>'
        for index, label in enumerate(labels)
    )
    return f"<label>{side} <select>{options}</select></label>"


def _tiles(found: Mapping[str, Sequence[WorstTile]]) -> str:
    parts = []
    for measure, tiles in found.items():
        parts.append(f"<h3>By {escape(measure)}</h3>")
        parts.append(f'<div class="tiles">{"".join(map(_tile, tiles))}</div>')
    if not parts:
        return ""
    told = (
        "Tiles of 64x64 that a restorer left farther from the original than they were, the worst "
        "of each restored picture, the worst of these first: as compressed, restored, original. "
        "Pixels as they are, enlarged."
    )
    return "\n".join([f'<p class="quiet">{told}</p>', *parts])


def _tile(tile: WorstTile) -> str:
    panels = {"as compressed": tile.degraded, "restored": tile.restored, "original": tile.original}
    place = f"{tile.picture}, {tile.task}, {tile.version.label}"
    images = "".join(
        f'<img alt="{label}" src="{data_uri(Image.fromarray(pixels), "PNG")}">'
        for label, pixels in panels.items()
    )
    caption = f"{place}, at {tile.left}, {tile.top}: {tile.measure} {tile.harm:+.4g}"
    return f"<figure><div>{images}</div><figcaption>{escape(caption)}</figcaption></figure>"


def _pictures(result: Result) -> str:
    parts, rows = [], 0
    for task, table in picture_tables(result):
        if rows + len(table.rows) > MOST_PICTURE_ROWS:
            parts.append('<p class="quiet">Further tasks are in report.json alone.</p>')
            break
        rows += len(table.rows)
        parts.append(f"<details><summary>{escape(task)}</summary>{_table(table)}</details>")
    return "\n".join(parts)
