"""Runs trials and keeps their scores: the rows of a benchmark.

The row of the untouched degraded pictures stands beside each restored one, because many restorers
score below it. Pictures come one at a time and only scores are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING

from diffir.errors import DataError
from diffir.evaluate.bootstrap import differences
from diffir.evaluate.contenders import AS_COMPRESSED, Version
from diffir.evaluate.metrics import METRICS
from diffir.evaluate.protocol_pixels import as_8bit
from diffir.evaluate.trials import trials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from diffir.evaluate.bootstrap import Difference
    from diffir.evaluate.fid import FidScores
    from diffir.evaluate.metrics import Measure
    from diffir.evaluate.protocol import Protocol
    from diffir.evaluate.trials import Plan, Trial


@dataclass(frozen=True)
class Row:
    """The scores of one task, before or after restoration.

    version: who made the pictures; `AS_COMPRESSED` is the row of the degraded ones as they are.
    scores: by metric, one per picture, in the order of `Result.pictures`.
    bits_per_pixel: of the compressed files, mean; `None` where the codec does not tell.
    seconds: of the restorer per picture, mean; `None` in the row of the degraded pictures.
    fid: of all its pictures from their originals, where it was asked for.
    """

    task: str
    version: Version
    scores: Mapping[str, tuple[float, ...]]
    bits_per_pixel: float | None
    seconds: float | None
    fid: float | None = None

    def mean(self, metric: str) -> float:
        """The mean over the pictures."""
        return fmean(self.scores[metric])


@dataclass(frozen=True)
class Failure:
    """A restorer that could not do a task, at the first picture where it could not: no row."""

    restorer: str
    task: str
    picture: str
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Result:
    """A whole benchmark: rows by task, the untouched one first, and what they were taken on."""

    protocol: Protocol
    seed: int
    pictures: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def blocks(self) -> tuple[tuple[Row, ...], ...]:
        """The rows of each task."""
        return tuple(tuple(rows) for _, rows in groupby(self.rows, key=lambda row: row.task))

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """As `diffir.evaluate.bootstrap.differences`; every report asks for them."""
        return differences(self)


def run(
    plan: Plan,
    measures: Mapping[str, Measure],
    *,
    fid: FidScores | None = None,
    watch: Callable[[Trial], None] | None = None,
    progress: bool = False,
) -> Result:
    """Run every task on every picture.

    Args:
        plan: pictures, tasks, restorers and the protocol.
        measures: by name, as `diffir.evaluate.metrics.load_metrics` gives them.
        fid: to take FID of each row, too.
        watch: sees every trial once, for a sheet or a log.
        progress: show a bar on the standard error stream.

    Raises:
        DataError: pictures too small for a metric, told before any is degraded; a task that
            changed their size; or what was kept is of something else.
        OutputError: what is to be kept cannot be written.
        PictureError: a file cannot be read.
        CodecError: a codec refused a picture.
    """
    _check_pictures(plan, measures)
    scores = _Scores(plan, measures)
    for trial in _with_bar(trials(plan), len(plan.pictures) * len(plan.tasks), shown=progress):
        scores.add(trial)
        if fid is not None:
            fid.add(trial)
        if watch is not None:
            watch(trial)
    rows, failures = scores.rows(), tuple(scores.failures)
    if fid is not None:
        rows = tuple(replace(row, fid=fid.distance(row.task, row.version)) for row in rows)
    return Result(plan.protocol, plan.seed, plan.names, tuple(measures), rows, failures)


def _check_pictures(plan: Plan, measures: Iterable[str]) -> None:
    """Read every picture once: hours of work must not end at one that cannot be measured."""
    largest = max((METRICS[name] for name in measures), key=lambda m: m.smallest, default=None)
    for index, name in enumerate(plan.names):
        _, reference = plan.reference(index)
        if largest is not None and min(reference.pixels.shape[:2]) < largest.smallest:
            raise DataError(
                f"{name}: {largest.heading} needs {largest.smallest}x{largest.smallest} pixels or "
                f"more, got {reference.width}x{reference.height}",
                hint="Leave it out, or ask for other --metrics.",
            )


class _Scores:
    """Collects scores by task and version while pictures come and go."""

    def __init__(self, plan: Plan, measures: Mapping[str, Measure]) -> None:
        self._measures = measures
        made = [Version(one.name, f) for one in plan.contenders for f in one.fidelities]
        self._scores: dict[tuple[str, Version], dict[str, list[float]]] = {
            (task.name, version): {name: [] for name in measures}
            for task in plan.tasks
            for version in dict.fromkeys((AS_COMPRESSED, *made))
        }
        self._bits: dict[str, list[float | None]] = {task.name: [] for task in plan.tasks}
        self._seconds: dict[tuple[str, Version], list[float]] = {}
        self.failures: list[Failure] = []

    def add(self, trial: Trial) -> None:
        """Measure one trial."""
        self._bits[trial.task].append(trial.degraded.codec.bits_per_pixel)
        for version, seconds in trial.seconds.items():
            self._seconds.setdefault((trial.task, version), []).append(seconds)
        for restorer, error in trial.failures.items():
            failure = Failure(restorer, trial.task, trial.name, error.message, error.hint)
            self.failures.append(failure)
        reference = as_8bit(trial.reference.pixels)
        for version, picture in ((AS_COMPRESSED, trial.degraded), *trial.restored.items()):
            kept = self._scores[trial.task, version]
            for name, measure in self._measures.items():
                kept[name].append(measure(reference, as_8bit(picture.pixels)))

    def rows(self) -> tuple[Row, ...]:
        """One row per task and version, in the order of the plan, less those of the failed."""
        failed = {(failure.task, failure.restorer) for failure in self.failures}
        return tuple(
            Row(
                task,
                version,
                {name: tuple(values) for name, values in scores.items()},
                _mean_or_none(self._bits[task]),
                None if version.restorer is None else fmean(self._seconds[task, version]),
            )
            for (task, version), scores in self._scores.items()
            if (task, version.restorer) not in failed
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
            bar.update(row, advance=1, description=f"{trial.name} {trial.task}")
