"""A benchmark's result as a Markdown table for readers and as JSON for programs.

Writing files is the command line's business: both functions return text.
"""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import diffir
from diffir.evaluate.bootstrap import LEVEL, RESAMPLES, differences
from diffir.evaluate.contenders import AS_COMPRESSED
from diffir.evaluate.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.evaluate.benchmark import Result, Row
    from diffir.evaluate.bootstrap import Interval
    from diffir.evaluate.metrics import Metric

_PACKAGES = ("av", "kornia", "numpy", "pillow", "torch")


def versions() -> dict[str, str]:
    """The versions that figures depend on: Python, diffir, and the packages that hold codecs."""
    found = {"python": platform.python_version(), "diffir": diffir.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def to_markdown(result: Result, *, command: str) -> str:
    """A table with one block per task; in each, the best figure of a column is bold.

    Args:
        result: of `diffir.evaluate.benchmark.run`.
        command: what was run, so that it can be run again.
    """
    headings = [_heading(METRICS[name]) for name in result.metrics]
    header = ["task", "picture", *headings, "bpp", "s/picture"]
    lines = [_line(header), _line(["---", "---", *["---:"] * (len(header) - 2)])]
    for rows in result.blocks:
        lines += _block(rows, result.metrics)
    about = ", ".join(f"{name} {number}" for name, number in versions().items())
    return "\n".join(
        [
            f"Protocol {result.protocol.name}: {result.protocol.summary}. "
            f"{len(result.pictures)} pictures, seed {result.seed}.",
            "",
            *lines,
            "",
            *_differences(result),
            *_left_out(result),
            f"`{command}`",
            "",
            f"{about}.",
            "",
        ]
    )


def to_json(result: Result, *, model: str, command: str) -> str:
    """Everything, with each picture's scores; figures that are not finite are null."""
    content: dict[str, Any] = {
        "protocol": result.protocol.name,
        "model": model,
        "command": command,
        "seed": result.seed,
        "versions": versions(),
        "pictures": list(result.pictures),
        "metrics": list(result.metrics),
        "rows": [
            {
                "task": row.task,
                "restorer": row.version.restorer,
                "fidelity": row.version.fidelity,
                "bits_per_pixel": row.bits_per_pixel,
                "seconds": row.seconds,
                "mean": {name: _finite(row.mean(name)) for name in result.metrics},
                "per_picture": {
                    name: [_finite(score) for score in row.scores[name]] for name in result.metrics
                },
            }
            for row in result.rows
        ],
        "differences": [asdict(one) for one in differences(result)],
        "failures": [asdict(failure) for failure in result.failures],
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _block(rows: Sequence[Row], metrics: tuple[str, ...]) -> list[str]:
    lines = []
    for row in rows:
        untouched = row.version == AS_COMPRESSED
        cells = [row.task if untouched else "", row.version.label]
        for name in metrics:
            text = _figure(row.mean(name), name)
            cells.append(f"**{text}**" if _is_best(row, rows, name) else text)
        cells.append(_optional(row.bits_per_pixel if untouched else None, 3))
        cells.append(_optional(row.seconds, 2))
        lines.append(_line(cells))
    return lines


def _is_best(row: Row, rows: Sequence[Row], metric: str) -> bool:
    means = [other.mean(metric) for other in rows]
    best = max if METRICS[metric].more_is_better else min
    return len(rows) > 1 and row.mean(metric) == best(means)


def _heading(metric: Metric) -> str:
    return f"{metric.heading} {'↑' if metric.more_is_better else '↓'}"


def _differences(result: Result) -> list[str]:
    found = differences(result)
    if not found:
        return []
    header = ["task", "difference", *(_heading(METRICS[name]) for name in result.metrics)]
    lines = [_line(header), _line(["---", "---", *["---:"] * len(result.metrics)])]
    for one in found:
        gaps = [_gap(one.intervals[name], name) for name in result.metrics]
        lines.append(_line([one.task, f"{one.version.label} − {one.minus.label}", *gaps]))  # noqa: RUF001
    return [
        f"Differences of the means, ± half of their {LEVEL:.0%} interval (paired bootstrap over "
        f"the pictures, {RESAMPLES} resamples); in parentheses where the interval holds 0:",
        "",
        *lines,
        "",
    ]


def _gap(interval: Interval | None, metric: str) -> str:
    if interval is None:
        return ""
    digits = METRICS[metric].digits
    text = f"{interval.mean:+.{digits}f} ± {interval.half_width:.{digits}f}"
    return f"({text})" if interval.holds_zero else text


def _left_out(result: Result) -> list[str]:
    told = [f"- {one.restorer}, {one.task}: {one.message}" for one in result.failures]
    return ["Left out, because a restorer failed:", "", *told, ""] if told else []


def _figure(value: float, metric: str) -> str:
    return f"{value:.{METRICS[metric].digits}f}"


def _optional(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
