"""Rate-distortion curves of a benchmark: each codec alone, and with each restorer behind it.

jpeg at 10, 15, 20, 41, 60, 80 -> rows -> (bits per pixel, mean score) of each version
                                       -> BD-rate and BD-score against the codec alone
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.errors import CodecError
from diffir.evaluate.bjontegaard import bd_quality, bd_rate
from diffir.evaluate.contenders import AS_COMPRESSED
from diffir.evaluate.metrics import METRICS
from diffir.evaluate.rate_distortion import usual_qualities
from diffir.evaluate.rate_plot import Upright, draw_curves

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL import Image

    from diffir.evaluate.benchmark import Result
    from diffir.evaluate.contenders import Version
    from diffir.host.manager import Host


@dataclass(frozen=True)
class Sweep:
    """A codec and the qualities of its curve, on its own scale."""

    codec: str
    qualities: tuple[float, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks that make the curve."""
        return tuple(f"{self.codec}-{quality:g}" for quality in self.qualities)


@dataclass(frozen=True)
class Curve:
    """One codec, one version, one metric.

    points: (bits per pixel, score), means over the pictures, in the order of the sweep.
    bd_rate: percent of bits more than the codec alone at an equal score, negative where bits are
    saved. bd_score: score more than the codec alone at equal bits. Both are `None` for the codec
    alone, and where they are not defined: see `diffir.evaluate.bjontegaard`.
    """

    codec: str
    version: Version
    metric: str
    points: tuple[tuple[float, float], ...]
    bd_rate: float | None = None
    bd_score: float | None = None

    @property
    def label(self) -> str:
        """Such as "jpeg" or "jpeg + moe-diffir-tiny, fidelity 1"."""
        alone = self.version == AS_COMPRESSED
        return self.codec if alone else f"{self.codec} + {self.version.label}"


def parse_sweep(text: str, host: Host) -> Sweep:
    """`jpeg` with its usual qualities, or `jpeg:5,10,20,40` with these.

    Raises:
        ComponentError: there is no such codec, or it cannot be loaded.
        CodecError: a quality is not a number.
    """
    name, _, listed = text.partition(":")
    codec = host.codec(name)
    if not listed:
        return Sweep(name, usual_qualities(codec))
    try:
        return Sweep(name, tuple(dict.fromkeys(float(part) for part in listed.split(","))))
    except ValueError as error:
        raise CodecError(
            f"expected qualities such as {name}:10,20,40,80, got '{text}'",
            hint="Separate numbers by commas.",
        ) from error


def parse_sweeps(texts: Iterable[str], host: Host) -> list[Sweep]:
    """One sweep for each codec, of all qualities that were named for it, heaviest first.

    Raises:
        ComponentError, CodecError: as `parse_sweep`.
    """
    found: dict[str, Sweep] = {}
    for text in texts:
        sweep = parse_sweep(text, host)
        if (before := found.get(sweep.codec)) is not None:
            both = {*before.qualities, *sweep.qualities}
            severity = host.codec(sweep.codec).spec.scale.severity
            sweep = Sweep(sweep.codec, tuple(sorted(both, key=severity, reverse=True)))
        found[sweep.codec] = sweep
    return list(found.values())


def curves_of(result: Result, sweeps: Sequence[Sweep]) -> tuple[Curve, ...]:
    """The curves of a result that has the tasks of the sweeps: by codec, metric, version.

    A version is left out where it lacks a task, or the codec does not tell bits per pixel.
    """
    rows = {(row.task, row.version): row for row in result.rows}
    versions = dict.fromkeys(row.version for row in result.rows)
    found = []
    for sweep in sweeps:
        rates = [rows[task, AS_COMPRESSED].bits_per_pixel for task in sweep.tasks]
        whole = [v for v in versions if all((task, v) in rows for task in sweep.tasks)]
        known = tuple(rate for rate in rates if rate is not None)
        if len(known) < len(rates):
            continue
        for metric in result.metrics:
            alone: Curve | None = None
            for version in whole:
                scores = [rows[task, version].mean(metric) for task in sweep.tasks]
                points = tuple(zip(known, scores, strict=True))
                curve = _compared(Curve(sweep.codec, version, metric, points), alone)
                alone = alone or curve
                found.append(curve)
    return tuple(found)


def draw_metric(curves: Sequence[Curve], metric: str) -> Image.Image:
    """The curves of one metric, of all codecs and versions, as a plot of 640x400.

    Raises:
        DataError: no point is finite.
    """
    how = METRICS[metric]
    points = {curve.label: curve.points for curve in curves if curve.metric == metric}
    return draw_curves(points, Upright(how.heading, rising=how.more_is_better))


def _compared(curve: Curve, alone: Curve | None) -> Curve:
    if alone is None:
        return curve
    better = METRICS[curve.metric].more_is_better
    return Curve(
        curve.codec,
        curve.version,
        curve.metric,
        curve.points,
        bd_rate(alone.points, curve.points, more_is_better=better),
        bd_quality(alone.points, curve.points, more_is_better=better),
    )
