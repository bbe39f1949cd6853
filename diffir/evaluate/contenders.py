"""Who restores in a benchmark, and under which names their pictures stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from diffir.evaluate.protocol_pixels import as_8bit, is_gray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from diffir.contracts.picture import Picture


@dataclass(frozen=True)
class Version:
    """Who made a picture: nobody (as compressed), or a restorer, with its dial where it has one."""

    restorer: str | None = None
    fidelity: float | None = None

    @property
    def label(self) -> str:
        """Such as "as compressed", "moe-diffir-tiny, fidelity 1", "fbcnn"."""
        if self.restorer is None:
            return "as compressed"
        return self.restorer if self.fidelity is None else f"{self.restorer}, {self._dial}"

    @property
    def _dial(self) -> str:
        return f"fidelity {str(self.fidelity).removesuffix('.0')}"


AS_COMPRESSED = Version()


class Contender(Protocol):
    """A restorer that takes part; a `DiffirError` of its leaves it out and ends nothing else."""

    @property
    def name(self) -> str:
        """Once in a benchmark."""
        ...

    @property
    def about(self) -> str:
        """What it is, beyond its name: two that could make different pictures differ in it."""
        ...

    @property
    def fidelities(self) -> Sequence[float | None]:
        """The settings of its dial that are measured; (None,) without a dial."""
        ...

    def restore(self, picture: Picture) -> Iterator[Mapping[float | None, Picture]]:
        """The restored picture at each of `fidelities`, those of one run together."""
        ...


class Estimates(Protocol):
    """What one run of a restorer found; the fidelity is chosen afterwards."""

    def at(self, fidelity: float) -> Picture:
        """The restored picture: 0 is the richest, 1 the most faithful."""
        ...


class Restorer(Protocol):
    """Restores one picture; `diffir.Restorer` is one."""

    def views_at(self, fidelity: float) -> int:
        """How many views a picture restored at that fidelity takes."""
        ...

    def estimate(self, picture: Picture, *, views: int) -> Estimates:
        """Run the model on so many views."""
        ...


@dataclass(frozen=True)
class Dialed:
    """A restorer with a dial, measured at each of the fidelities as people would get it there.

    Those that take equally many views come of one run.
    """

    name: str
    restorer: Restorer
    fidelities: Sequence[float]
    about: str

    def restore(self, picture: Picture) -> Iterator[Mapping[float | None, Picture]]:
        """The restored picture at each fidelity."""
        for views in dict.fromkeys(map(self.restorer.views_at, self.fidelities)):
            estimates = self.restorer.estimate(picture, views=views)
            dialed = (f for f in self.fidelities if self.restorer.views_at(f) == views)
            yield {fidelity: estimates.at(fidelity) for fidelity in dialed}


@dataclass(frozen=True)
class Undialed:
    """A restorer that makes one picture of one picture.

    Where the picture is gray, the three channels of what comes back are averaged.
    """

    name: str
    make: Callable[[Picture], Picture]
    about: str
    fidelities: Sequence[None] = (None,)

    def restore(self, picture: Picture) -> Iterator[Mapping[float | None, Picture]]:
        """The one restored picture."""
        restored = self.make(picture)
        pixels = as_8bit(restored.pixels)
        if picture.gray and not is_gray(pixels):
            mean = np.rint(pixels.mean(axis=2, keepdims=True)).astype(np.uint8)
            restored = restored.with_pixels(np.repeat(mean, 3, axis=2))
        yield {None: restored}
