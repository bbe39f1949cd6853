"""An ablation as Markdown for readers, JSON for programs, and a plot for each question."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from diffir.ablation.comparison import ALL, compare, sentences, told
from diffir.ablation.plot import draw_plot
from diffir.evaluate.metrics import METRICS
from diffir.evaluate.report import versions
from diffir.pictures.atomic_file import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from diffir.ablation.cells import CellResult, Plan
    from diffir.ablation.comparison import Comparison, Row
    from diffir.ablation.witnesses import Figures


@dataclass(frozen=True)
class Report:
    """What was run, what came of each cell by its name, the unrestored figures, the command."""

    plan: Plan
    results: Mapping[str, CellResult]
    unrestored: Figures
    command: str

    def comparisons(self) -> list[Comparison]:
        """One for each question.

        Raises:
            DataError: no seed of a question is complete.
        """
        return [
            compare(self.plan, question, self.results, self.unrestored)
            for question in self.plan.questions
        ]

    def markdown(self) -> str:
        """A section for each question: the plain reading, the table, what each task says."""
        parts = [self._about()]
        for comparison in self.comparisons():
            name = comparison.question.name
            parts += [
                f"## {name}: {comparison.question.asks}",
                f"Trained by {', '.join(comparison.stages)}; "
                f"{len(comparison.seeds)} seed{'s' if len(comparison.seeds) > 1 else ''}.",
                "\n".join(f"- {sentence}" for sentence in sentences(comparison)),
                f"![Differences to the default]({self._plot_name(comparison)})",
                _table(comparison),
                _by_task(comparison),
            ]
        about = ", ".join(f"{package} {number}" for package, number in versions().items())
        return "\n\n".join([*parts, f"`{self.command}`", f"{about}."]) + "\n"

    def json(self) -> str:
        """Everything, with each seed's figures."""
        table: dict[str, Any] = {
            "command": self.command,
            "recipe": self.plan.recipe.name,
            "budget": asdict(self.plan.budget),
            "versions": versions(),
            "unrestored": self.unrestored,
            "cells": [asdict(result) for result in self.results.values()],
            "questions": [_as_json(comparison) for comparison in self.comparisons()],
        }
        return json.dumps(table, indent=1) + "\n"

    def write(self, folder: Path) -> None:
        """Write report.md, report.json and the plots, in place of older ones."""
        files = {"report.md": self.markdown().encode(), "report.json": self.json().encode()}
        for comparison in self.comparisons():
            drawn = BytesIO()
            draw_plot(comparison).quantize(32).save(drawn, "PNG", optimize=True)
            files[self._plot_name(comparison)] = drawn.getvalue()
        for name, data in files.items():
            write_atomically(folder / name, data, overwrite=True)

    def _plot_name(self, comparison: Comparison) -> str:
        return f"ablation-{comparison.question.name}.png"

    def _about(self) -> str:
        budget = self.plan.budget
        weights = self.plan.weights
        start = "fresh weights" if weights is None else f"{weights.name} where no variant differs"
        base = ", ".join(
            f"{task} {figures['psnr']:.2f} dB" for task, figures in self.unrestored.items()
        )
        return (
            f"Recipe {self.plan.recipe.name}, {budget.steps} steps of {budget.batch} crops of "
            f"{budget.crop}x{budget.crop} per stage and cell, learning rate "
            f"{budget.learning_rate:g}, precision {budget.precision}, from {start}. "
            f"Unrestored: {base}. "
            "Every difference is taken seed by seed; ± is the 95 % interval of Student's t. "
            "Of twenty intervals about nothing, one leaves out zero by chance."
        )


def _table(comparison: Comparison) -> str:
    metrics = list(comparison.rows[0].gains[ALL])
    heads = [f"{METRICS[m].heading}, to the default" for m in metrics]
    lines = [
        ["", "PSNR dB over unrestored", *heads, "parameters", "multiply-adds per pixel"],
        ["---", *["---:"] * (len(metrics) + 3)],
    ]
    lines += [_line(row, metrics) for row in comparison.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _line(row: Row, metrics: list[str]) -> list[str]:
    gaps = [
        told(row.differences[ALL][m], METRICS[m].digits + 1) if row.differences else "default"
        for m in metrics
    ]
    return [
        row.variant.label,
        told(row.gains[ALL]["psnr"], 3),
        *gaps,
        f"{row.parameters / 1e6:.2f} M",
        f"{row.multiply_adds / 1e3:.1f} k",
    ]


def _by_task(comparison: Comparison) -> str:
    tasks = [task for task in comparison.rows[0].gains if task != ALL]
    lines = [["PSNR dB, to the default", *tasks], ["---", *["---:"] * len(tasks)]]
    for row in comparison.rows:
        if row.differences:
            gaps = [told(row.differences[task]["psnr"], 3) for task in tasks]
            lines.append([row.variant.label, *gaps])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _as_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "question": comparison.question.name,
        "asks": comparison.question.asks,
        "stages": comparison.stages,
        "seeds": comparison.seeds,
        "reading": sentences(comparison),
        "rows": [asdict(row) for row in comparison.rows],
    }
