"""What a benchmark's report tells, as tables of text: Markdown and HTML render the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.evaluate.bootstrap import LEVEL, RESAMPLES
from diffir.evaluate.contenders import AS_COMPRESSED
from diffir.evaluate.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffir.evaluate.benchmark import Result, Row
    from diffir.evaluate.bootstrap import Interval
    from diffir.evaluate.curves import Curve


@dataclass(frozen=True)
class Cell:
    """One text; `best` stands out."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells below a header; the first `names` columns are words, the others figures.

    about: a sentence that stands before the table, or nothing.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    names: int = 2
    about: str = ""


def score_table(result: Result) -> Table:
    """One block per task; in each, the best figure of a column stands out."""
    fid = ("FID ↓",) if result.rows[0].fid is not None else ()
    header = ("task", "picture", *map(heading, result.metrics), *fid, "bpp", "s/picture")
    rows = [_score_row(row, rows, result.metrics) for rows in result.blocks for row in rows]
    return Table(header, tuple(rows))


def difference_table(result: Result) -> Table:
    """Every difference of two rows of a task, with its interval; no rows for a single picture."""
    rows = []
    for one in result.differences:
        who = f"{one.version.label} − {one.minus.label}"  # noqa: RUF001
        gaps = [Cell(_gap(one.intervals[name], name)) for name in result.metrics]
        rows.append((Cell(one.task), Cell(who), *gaps))
    about = (
        f"Differences of the means, ± half of their {LEVEL:.0%} interval (paired bootstrap over "
        f"the pictures, {RESAMPLES} resamples); in parentheses where the interval holds 0:"
    )
    return Table(("task", "difference", *map(heading, result.metrics)), tuple(rows), about=about)


def curve_table(curves: Sequence[Curve]) -> Table:
    """What each restorer saves on a codec's whole curve."""
    rows = []
    for curve in curves:
        if curve.version != AS_COMPRESSED:
            rate = "" if curve.bd_rate is None else f"{curve.bd_rate:+.1f} %"
            digits = METRICS[curve.metric].digits
            score = "" if curve.bd_score is None else f"{curve.bd_score:+.{digits}f}"
            names = (curve.label, METRICS[curve.metric].heading)
            rows.append((*map(Cell, names), Cell(rate), Cell(score)))
    about = (
        "Bits and score against the codec alone (Bjontegaard, by PCHIP over the logarithm of the "
        "bits; points are means over the pictures). BD-rate: bits more at an equal score. "
        "BD-score: score more at equal bits. Empty where curves do not overlap, do not "
        "rise throughout, or have fewer than 4 points."
    )
    return Table(("curve", "by", "BD-rate", "BD-score"), tuple(rows), about=about)


def picture_tables(result: Result) -> Iterator[tuple[str, Table]]:
    """The scores of every picture, one table for each task; the best of a picture stands out."""
    header = ("picture", "version", *map(heading, result.metrics))
    for rows in result.blocks:
        lines = [
            (Cell(picture if row is rows[0] else ""), Cell(row.version.label), *cells)
            for index, picture in enumerate(result.pictures)
            for row, cells in zip(rows, _picture_cells(rows, result.metrics, index), strict=True)
        ]
        yield rows[0].task, Table(header, tuple(lines))


def heading(metric: str) -> str:
    """The metric's column, with the way that is better."""
    how = METRICS[metric]
    return f"{how.heading} {'↑' if how.more_is_better else '↓'}"


def figure(value: float, metric: str) -> str:
    """A score with the metric's digits."""
    return f"{value:.{METRICS[metric].digits}f}"


def _score_row(row: Row, rows: Sequence[Row], metrics: Sequence[str]) -> tuple[Cell, ...]:
    untouched = row.version == AS_COMPRESSED
    means = {name: [other.mean(name) for other in rows] for name in metrics}
    figures = [_score_cell(row.mean(name), means[name], name) for name in metrics]
    return (
        Cell(row.task if untouched else ""),
        Cell(row.version.label),
        *figures,
        *_fid_cell(row, rows),
        Cell(_optional(row.bits_per_pixel if untouched else None, 3)),
        Cell(_optional(row.seconds, 2)),
    )


def _fid_cell(row: Row, rows: Sequence[Row]) -> list[Cell]:
    if row.fid is None:
        return []
    best = min(other.fid for other in rows if other.fid is not None)
    return [Cell(f"{row.fid:.2f}", best=len(rows) > 1 and row.fid == best)]


def _picture_cells(rows: Sequence[Row], metrics: Sequence[str], index: int) -> list[list[Cell]]:
    """One list for each row: the scores of picture number `index`."""
    scores = {name: [row.scores[name][index] for row in rows] for name in metrics}
    return [
        [_score_cell(row.scores[name][index], scores[name], name) for name in metrics]
        for row in rows
    ]


def _score_cell(score: float, rivals: Sequence[float], metric: str) -> Cell:
    best = (max if METRICS[metric].more_is_better else min)(rivals)
    return Cell(figure(score, metric), best=len(rivals) > 1 and score == best)


def _gap(interval: Interval | None, metric: str) -> str:
    if interval is None:
        return ""
    digits = METRICS[metric].digits
    text = f"{interval.mean:+.{digits}f} ± {interval.half_width:.{digits}f}"
    return f"({text})" if interval.holds_zero else text


def _optional(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
