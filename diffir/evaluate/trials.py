"""One task on one picture: degrade it, restore it, keep both beside the original.

    path -> reference -> task.degrade -> degraded -> restorer.estimate -> .at(fidelity) -> restored

Pictures are read one at a time; what is not kept by the caller is gone with the next trial.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from diffir.errors import DataError
from diffir.evaluate.protocol import NATIVE_RGB, as_8bit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from diffir.contracts.picture import Picture


class Task(Protocol):
    """A named degradation."""

    @property
    def name(self) -> str:
        """Such as "jpeg-10"."""
        ...

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """As `diffir.contracts.interfaces.Degradation.degrade`."""
        ...


class Estimates(Protocol):
    """What one run of a restorer found; the fidelity is chosen afterwards."""

    def at(self, fidelity: float) -> Picture:
        """The restored picture: 0 is the richest, 1 the most faithful."""
        ...


class Restorer(Protocol):
    """Restores one picture; `diffir.Restorer` is one."""

    def estimate(self, picture: Picture) -> Estimates:
        """Run the model once."""
        ...


@dataclass(frozen=True)
class Plan:
    """What to run: every task on every picture.

    pictures: files of clean pictures. restorer: `None` measures the degraded pictures alone.
    fidelities: at which the restored pictures are taken, from one run.

    Raises:
        DataError: no picture, no task, or two tasks of one name.
    """

    pictures: Sequence[Path]
    tasks: Sequence[Task]
    restorer: Restorer | None
    fidelities: Sequence[float] = (1.0,)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.pictures:
            raise DataError(
                "expected one picture or more, got none",
                hint="Give clean pictures, such as those of LIVE1.",
            )
        names = [task.name for task in self.tasks]
        if not names or len(set(names)) < len(names):
            raise DataError(
                f"expected one task or more, each once, got {', '.join(names) or 'none'}",
                hint="Name tasks such as jpeg-10 or webp-5.",
            )


@dataclass(frozen=True, eq=False)
class Trial:
    """One task on one picture. All pictures have 8 bits and one size.

    restored: by fidelity, empty without a restorer. seconds: what the restorer took for all of
    them, on the wall clock; `None` without a restorer.
    """

    task: str
    path: Path
    reference: Picture
    degraded: Picture
    restored: Mapping[float, Picture]
    seconds: float | None


def trials(plan: Plan) -> Iterator[Trial]:
    """Every task on the first picture, then every task on the second, and so on.

    Raises:
        PictureError: a file cannot be read.
        CodecError: a codec refused a picture.
        DataError: a degradation or the restorer changed the size.
    """
    from diffir.pictures.reading import read

    for index, path in enumerate(plan.pictures):
        reference = NATIVE_RGB.reference(read(path))
        for task in plan.tasks:
            rng = NATIVE_RGB.random(plan.seed, task=task.name, picture=index)
            degraded = task.degrade(reference, rng)
            restored, seconds = _restore(plan, degraded)
            for picture in (degraded, *restored.values()):
                _check_size(picture, reference, f"{path.name}, {task.name}")
            yield Trial(task.name, path, reference, degraded, restored, seconds)


def _restore(plan: Plan, degraded: Picture) -> tuple[dict[float, Picture], float | None]:
    if plan.restorer is None:
        return {}, None
    start = time.perf_counter()
    estimates = plan.restorer.estimate(degraded)
    restored = {fidelity: estimates.at(fidelity) for fidelity in plan.fidelities}
    seconds = time.perf_counter() - start
    return {
        fidelity: picture.with_pixels(as_8bit(picture.pixels))
        for fidelity, picture in restored.items()
    }, seconds


def _check_size(picture: Picture, reference: Picture, place: str) -> None:
    if picture.pixels.shape != reference.pixels.shape:
        raise DataError(
            f"{place}: expected {reference.width}x{reference.height} pixels, "
            f"got {picture.width}x{picture.height}",
            hint="Degradations and restorers keep the size of a picture.",
        )
