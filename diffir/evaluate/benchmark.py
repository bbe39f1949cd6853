"""Runs trials and keeps their scores: the rows of a benchmark.

The row of the untouched degraded pictures stands beside each restored one, because many restorers
score below it. Pictures come one at a time and only scores are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from diffir.evaluate.protocol import NATIVE_RGB, as_8bit
from diffir.evaluate.trials import trials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from diffir.evaluate.metrics import Measure
    from diffir.evaluate.trials import Plan, Trial


@dataclass(frozen=True)
class Row:
    """The scores of one task, before or after restoration.

    fidelity: `None` is the row of the degraded pictures as they are.
    scores: by metric, one per picture, in the order of `Result.pictures`.
    bits_per_pixel: of the compressed files, mean; `None` where the codec does not tell.
    seconds: of the restorer per picture, mean; `None` in the row of the degraded pictures.
    """

    task: str
    fidelity: float | None
    scores: Mapping[str, tuple[float, ...]]
    bits_per_pixel: float | None
    seconds: float | None

    def mean(self, metric: str) -> float:
        """The mean over the pictures."""
        return fmean(self.scores[metric])


@dataclass(frozen=True)
class Result:
    """A whole benchmark: rows by task, the untouched one first, and what they were taken on."""

    protocol: str
    seed: int
    pictures: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]


def run(
    plan: Plan,
    measures: Mapping[str, Measure],
    *,
    watch: Callable[[Trial], None] | None = None,
    progress: bool = False,
) -> Result:
    """Run every task on every picture.

    Args:
        plan: pictures, tasks and the restorer.
        measures: by name, as `diffir.evaluate.metrics.load_metrics` gives them.
        watch: sees every trial once, for a sheet or a log.
        progress: show a bar on the standard error stream.

    Raises:
        DataError: pictures too small for a metric, or one that changed its size.
        PictureError: a file cannot be read.
        CodecError: a codec refused a picture.
    """
    scores = _Scores(plan, measures)
    for trial in _with_bar(trials(plan), len(plan.pictures) * len(plan.tasks), shown=progress):
        scores.add(trial)
        if watch is not None:
            watch(trial)
    names = tuple(path.name for path in plan.pictures)
    return Result(NATIVE_RGB.name, plan.seed, names, tuple(measures), scores.rows())


class _Scores:
    """Collects scores by task and fidelity while pictures come and go."""

    def __init__(self, plan: Plan, measures: Mapping[str, Measure]) -> None:
        self._measures = measures
        fidelities = (None, *dict.fromkeys(plan.fidelities)) if plan.restorer else (None,)
        self._scores: dict[tuple[str, float | None], dict[str, list[float]]] = {
            (task.name, fidelity): {name: [] for name in measures}
            for task in plan.tasks
            for fidelity in fidelities
        }
        self._bits: dict[str, list[float | None]] = {task.name: [] for task in plan.tasks}
        self._seconds: dict[str, list[float | None]] = {task.name: [] for task in plan.tasks}

    def add(self, trial: Trial) -> None:
        """Measure one trial."""
        self._bits[trial.task].append(trial.degraded.codec.bits_per_pixel)
        self._seconds[trial.task].append(trial.seconds)
        reference = as_8bit(trial.reference.pixels)
        for fidelity, picture in ((None, trial.degraded), *trial.restored.items()):
            kept = self._scores[trial.task, fidelity]
            for name, measure in self._measures.items():
                kept[name].append(measure(reference, as_8bit(picture.pixels)))

    def rows(self) -> tuple[Row, ...]:
        """One row per task and fidelity, in the order of the plan."""
        return tuple(
            Row(
                task,
                fidelity,
                {name: tuple(values) for name, values in scores.items()},
                _mean_or_none(self._bits[task]),
                None if fidelity is None else _mean_or_none(self._seconds[task]),
            )
            for (task, fidelity), scores in self._scores.items()
        )


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _with_bar(found: Iterator[Trial], total: int, *, shown: bool) -> Iterator[Trial]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not shown) as bar:
        row = bar.add_task("benchmark", total=total)
        for trial in found:
            yield trial
            bar.update(row, advance=1, description=f"{trial.path.name} {trial.task}")
