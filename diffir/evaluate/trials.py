"""One task on one picture: degrade it, restore it, keep all beside the original.

    path -> source -> task.degrade -> view -> degraded -> each contender -> restored
               '-------------------> view -> reference

Pictures are read one at a time; what is not kept by the caller is gone with the next trial.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from diffir.errors import DataError, DiffirError
from diffir.evaluate.contenders import Version
from diffir.evaluate.protocol import NATIVE_RGB
from diffir.evaluate.protocol_pixels import as_8bit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

    from diffir.contracts.picture import Picture
    from diffir.evaluate import protocol as protocols
    from diffir.evaluate.contenders import Contender
    from diffir.evaluate.kept_pictures import KeptPictures, Made


class Task(Protocol):
    """A named degradation."""

    @property
    def name(self) -> str:
        """Such as "jpeg-10"."""
        ...

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """As `diffir.contracts.interfaces.Degradation.degrade`."""
        ...


@dataclass(frozen=True)
class Plan:
    """What to run: every task on every picture.

    pictures: files of clean pictures, each once. contenders: none measures the degraded pictures
    alone. protocol: how figures are taken. seed: of the levels and shifts drawn. kept: where
    restored pictures are kept, and taken from if they are there; None keeps none.

    Raises:
        DataError: no picture, no task, or two tasks or two contenders of one name.
    """

    pictures: Sequence[Path]
    tasks: Sequence[Task]
    contenders: Sequence[Contender] = ()
    protocol: protocols.Protocol = NATIVE_RGB
    seed: int = 0
    kept: KeptPictures | None = None

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
        restorers = [one.name for one in self.contenders]
        if len(set(restorers)) < len(restorers):
            raise DataError(
                f"expected restorers of different names, got {', '.join(restorers)}",
                hint="Rows are told apart by these names: choose others.",
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the pictures, in reports: of their files, with folders where two are alike."""
        names = tuple(path.name for path in self.pictures)
        if len(set(names)) == len(names):
            return names
        above = Path(os.path.commonpath([path.absolute().parent for path in self.pictures]))
        return tuple(path.absolute().relative_to(above).as_posix() for path in self.pictures)

    def reference(self, index: int) -> tuple[Picture, Picture]:
        """A picture as it is degraded, and as it is compared.

        Raises:
            PictureError: its file cannot be read.
        """
        from diffir.pictures.reading import read

        with named(self.names[index]):
            source = self.protocol.reference(read(self.pictures[index]))
            return source, self.protocol.view(source)


@contextmanager
def named(what: str) -> Iterator[None]:
    """Errors from inside begin with what they are about, where they do not name it."""
    try:
        yield
    except DiffirError as error:
        if what in error.message:
            raise
        raise type(error)(f"{what}: {error.message}", hint=error.hint) from error


@dataclass(frozen=True, eq=False)
class Trial:
    """One task on one picture. All pictures have 8 bits and one size.

    name: of the picture, as `Plan.names` has it. restored: by who made them. seconds: by who made
    them, of the run that they came of, on the wall clock.
    failures: by contender that could not do it; it is not asked again for this task.
    """

    task: str
    name: str
    reference: Picture
    degraded: Picture
    restored: Mapping[Version, Picture] = field(default_factory=dict)
    seconds: Mapping[Version, float] = field(default_factory=dict)
    failures: Mapping[str, DiffirError] = field(default_factory=dict)


def trials(plan: Plan) -> Iterator[Trial]:
    """Every task on the first picture, then every task on the second, and so on.

    Raises:
        PictureError: a file cannot be read.
        CodecError: a codec refused a picture.
        DataError: a degradation changed the size, or what was kept is of something else.
        OutputError: what is to be kept cannot be written.
    """
    protocol = plan.protocol
    left_out: set[tuple[str, str]] = set()
    for index, name in enumerate(plan.names):
        source, reference = plan.reference(index)
        for task in plan.tasks:
            rng = protocol.random(plan.seed, task=task.name, picture=index)
            with named(f"{name}, {task.name}"):
                degraded = task.degrade(source, rng)
                _check_size(degraded, source)
            trial = Trial(task.name, name, reference, protocol.view(degraded))
            asked = [one for one in plan.contenders if (task.name, one.name) not in left_out]
            trial = _restored(trial, asked, plan.kept)
            left_out.update((task.name, name) for name in trial.failures)
            yield trial


def _restored(trial: Trial, contenders: Sequence[Contender], kept: KeptPictures | None) -> Trial:
    restored: dict[Version, Picture] = {}
    seconds: dict[Version, float] = {}
    failures: dict[str, DiffirError] = {}
    for contender in contenders:
        what = trial.task, trial.name, trial.degraded, contender
        made = None if kept is None else kept.find(*what)
        if made is None:
            try:
                made = _made(trial.degraded, contender)
            except DiffirError as error:
                failures[contender.name] = error
                continue
            if kept is not None:
                kept.keep(*what, made)
        restored |= {version: picture for version, (picture, _) in made.items()}
        seconds |= {version: took for version, (_, took) in made.items()}
    return replace(trial, restored=restored, seconds=seconds, failures=failures)


def _made(degraded: Picture, contender: Contender) -> dict[Version, Made]:
    """What a contender makes, in 8 bits, and how many seconds the run took that it came of."""
    made: dict[Version, Made] = {}
    start = time.perf_counter()
    for pictures in contender.restore(degraded):
        took = time.perf_counter() - start
        for fidelity, picture in pictures.items():
            _check_size(picture, degraded)
            inside = picture.with_pixels(as_8bit(picture.pixels))
            made[Version(contender.name, fidelity)] = inside, took
        start = time.perf_counter()
    return made


def _check_size(picture: Picture, expected: Picture) -> None:
    if picture.pixels.shape != expected.pixels.shape:
        raise DataError(
            f"expected {expected.width}x{expected.height} pixels, "
            f"got {picture.width}x{picture.height}",
            hint="Degradations and restorers keep the size of a picture.",
        )
