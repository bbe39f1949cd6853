"""A benchmark's result as Markdown for readers and as JSON for programs.

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
from diffir.evaluate.fid import ENOUGH
from diffir.evaluate.tables import curve_table, difference_table, score_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.evaluate.benchmark import Result
    from diffir.evaluate.curves import Curve
    from diffir.evaluate.tables import Table

FID_DOUBT = f"FID of fewer than {ENOUGH} pictures is too high and mostly noise: do not rank by it."
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


def taken_how(result: Result) -> str:
    """Protocol, number of pictures and seed, in sentences."""
    how = result.protocol
    count = len(result.pictures)
    doubt = f" {FID_DOUBT}" if result.rows[0].fid is not None and count < ENOUGH else ""
    return f"Protocol {how.name}: {how.summary}. {count} pictures, seed {result.seed}.{doubt}"


def left_out(result: Result) -> list[str]:
    """One line for each restorer that failed at a task: where, what, and what to do about it."""
    lines = []
    for one in result.failures:
        told = f"{one.message} ({one.hint})" if one.hint else one.message
        # A program's last words are lines of their own.
        lines.append(f"{one.restorer}, {one.task}, {one.picture}: {' '.join(told.split())}")
    return lines


def to_markdown(result: Result, *, command: str, curves: Sequence[Curve] = ()) -> str:
    """A table with one block per task; in each, the best figure of a column is bold.

    Args:
        result: of `diffir.evaluate.benchmark.run`.
        command: what was run, so that it can be run again.
        curves: rate-distortion curves of the same result.
    """
    about = ", ".join(f"{name} {number}" for name, number in versions().items())
    failed = [f"- {line}" for line in left_out(result)]
    return "\n".join(
        [
            taken_how(result),
            "",
            *_markdown(score_table(result)),
            *_markdown(difference_table(result)),
            *_markdown(curve_table(curves)),
            *(["Left out, because a restorer failed:", "", *failed, ""] if failed else []),
            f"`{command}`",
            "",
            f"{about}.",
            "",
        ]
    )


def to_json(result: Result, *, model: str, command: str, curves: Sequence[Curve] = ()) -> str:
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
                **({} if row.fid is None else {"fid": row.fid}),
                "mean": {name: row.mean(name) for name in result.metrics},
                "per_picture": {name: list(row.scores[name]) for name in result.metrics},
            }
            for row in result.rows
        ],
        "differences": [asdict(one) for one in result.differences],
        "curves": [asdict(curve) for curve in curves],
        "failures": [asdict(failure) for failure in result.failures],
    }
    return json.dumps(_finite(content), indent=2, allow_nan=False) + "\n"


def _markdown(table: Table) -> list[str]:
    if not table.rows:
        return []
    rule = ["---"] * table.names + ["---:"] * (len(table.header) - table.names)
    texts = [[(cell.text.replace("|", "\\|"), cell.best) for cell in row] for row in table.rows]
    rows = [[f"**{text}**" if best else text for text, best in row] for row in texts]
    lines = [f"| {' | '.join(cells)} |" for cells in (table.header, rule, *rows)]
    return [*([table.about, ""] if table.about else []), *lines, ""]


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
