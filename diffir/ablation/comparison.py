"""Variants beside the default: means over seeds, paired differences, and what these say."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from diffir.ablation.cells import Cell
from diffir.ablation.questions import DEFAULT
from diffir.errors import DataError
from diffir.evaluate.metrics import METRICS
from diffir.evaluate.student import Mean, difference, mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diffir.ablation.cells import CellResult, Plan
    from diffir.ablation.questions import Question, Variant
    from diffir.ablation.witnesses import Figures

ALL = "all"
"""In place of a task's name: the mean over the tasks."""


@dataclass(frozen=True)
class Row:
    """A variant's figures, by task ("all" is their mean) and metric.

    gains: over the unrestored crops. differences: to the default, seed by seed; empty for the
    default itself. multiply_adds: per pixel.
    """

    variant: Variant
    parameters: int
    multiply_adds: float
    gains: Mapping[str, Mapping[str, Mean]]
    differences: Mapping[str, Mapping[str, Mean]]


@dataclass(frozen=True)
class Comparison:
    """A question's rows, in its order, and the seeds that all of them have."""

    question: Question
    stages: tuple[str, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]


def compare(
    plan: Plan, question: Question, results: Mapping[str, CellResult], unrestored: Figures
) -> Comparison:
    """Put a question's cells side by side.

    Args:
        plan: what was run.
        question: one of its own.
        results: by the name of the cell; seeds that lack one are left out.
        unrestored: figures of the degraded crops as they are.

    Raises:
        DataError: no seed is complete.
    """
    stages = plan.stages(question)
    runs = {
        variant.name: [results.get(Cell(variant, stages, seed).name) for seed in plan.seeds]
        for variant in question.variants
    }
    whole = [
        i for i in range(len(plan.seeds)) if all(kept[i] is not None for kept in runs.values())
    ]
    if not whole:
        raise DataError(
            f"no seed has all variants of '{question.name}'", hint="Let the run go on for longer."
        )
    kept = {name: [found[i] for i in whole] for name, found in runs.items()}
    figures = {
        name: [_with_mean(r.figures) for r in found if r is not None]
        for name, found in kept.items()
    }
    base = _with_mean(unrestored)
    rows = []
    for variant in question.variants:
        first = kept[variant.name][0]
        assert first is not None
        own, default = figures[variant.name], figures[DEFAULT]
        rows.append(
            Row(
                variant,
                first.parameters,
                first.multiply_adds,
                {t: {m: mean([f[t][m] - base[t][m] for f in own]) for m in base[t]} for t in base},
                _differences(own, default) if variant.name != DEFAULT else {},
            )
        )
    return Comparison(question, stages, tuple(plan.seeds[i] for i in whole), tuple(rows))


def sentences(comparison: Comparison) -> list[str]:
    """What the intervals of the mean over all tasks say, one plain sentence for each metric."""
    return [_sentence(comparison, metric) for metric in comparison.rows[0].gains[ALL]]


def _sentence(comparison: Comparison, metric: str) -> str:
    shown = METRICS[metric]
    found: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
    for row in comparison.rows:
        if not row.differences:
            continue
        gap = row.differences[ALL][metric]
        better = (gap.value > 0) == shown.more_is_better
        verdict = ("better" if better else "worse") if gap.clear else "open"
        figure = f" ({told(gap, shown.digits + 1)})" if gap.clear else ""
        found[verdict].append(row.variant.label + figure)
    default = next(row.variant.label for row in comparison.rows if not row.differences)
    parts = [
        f"{verdict} than {default}: {', '.join(found[verdict])}"
        for verdict in ("better", "worse")
        if found[verdict]
    ]
    if found["open"]:
        one = len(comparison.seeds) == 1
        verdict = "one seed has no interval" if one else "no difference outside the interval"
        parts.append(f"{verdict}: {', '.join(found['open'])}")
    return f"{shown.heading}: {'; '.join(parts)}."


def told(found: Mean, digits: int) -> str:
    """`+0.123 ± 0.045`; one seed has no interval."""
    width = "" if found.half_width is None else f" ± {found.half_width:.{digits}f}"
    return f"{found.value:+.{digits}f}{width}"


def _with_mean(figures: Figures) -> Figures:
    metrics = next(iter(figures.values()))
    return {**figures, ALL: {m: fmean(of_task[m] for of_task in figures.values()) for m in metrics}}


def _differences(own: Sequence[Figures], default: Sequence[Figures]) -> dict[str, dict[str, Mean]]:
    return {
        task: {
            metric: difference([f[task][metric] for f in own], [f[task][metric] for f in default])
            for metric in metrics
        }
        for task, metrics in own[0].items()
    }
