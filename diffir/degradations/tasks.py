"""Degradations by name, as the benchmark, training and the command line ask for them.

    jpeg-10, hevc-42      a codec and a level on its own scale, any level
    double-jpeg           a degradation that a plugin registered
    method                the 21 tasks of MoE-DiffIR, in its order

A codec's benchmark levels are tasks without being registered one by one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.degradations.codec_degradation import CodecDegradation
from diffir.errors import ComponentError, UnknownComponentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from diffir.contracts.codec import CodecSpec
    from diffir.contracts.interfaces import Degradation
    from diffir.contracts.picture import Picture
    from diffir.host.manager import Host

logger = logging.getLogger("diffir")

METHOD = "method"
METHOD_TASKS = tuple(
    f"{codec}-{level}"
    for codec, levels in (
        ("jpeg", (10, 15, 20)),
        ("vvc", (47, 42, 37)),
        ("hevc", (47, 42, 37)),
        ("webp", (1, 5, 10)),
        ("cheng2020-psnr", (1, 2, 3)),
        ("cheng2020-ssim", (1, 2, 3)),
        ("generative", (1, 2, 3)),
    )
    for level in levels
)
"""Three levels of seven codecs, of which four come with diffir-vvc and diffir-learned."""


@dataclass(frozen=True)
class Task:
    """One named degradation."""

    name: str
    degradation: Degradation

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """As `diffir.contracts.interfaces.Degradation.degrade`."""
        return self.degradation.degrade(picture, rng)

    @property
    def codec_degradation(self) -> CodecDegradation | None:
        """The degradation, where it is one codec, whose compressed bytes can be had too."""
        return self.degradation if isinstance(self.degradation, CodecDegradation) else None


def tasks(host: Host) -> tuple[Task, ...]:
    """One task for each codec and each of its benchmark levels, heaviest compression first.

    Codecs that cannot be loaded are passed over, with a warning in the log "diffir".
    """
    return tuple(
        Task(f"{name}-{level:g}", CodecDegradation(host.codec(name), [level]))
        for name, spec in _loadable_codecs(host)
        for level in spec.levels
    )


def select_tasks(host: Host, names: Sequence[str]) -> tuple[Task, ...]:
    """The tasks of these names, of which "method" stands for `METHOD_TASKS`; all without any.

    Raises:
        As `find_task`.
    """
    if not names:
        return tasks(host)
    singles = [one for name in names for one in (METHOD_TASKS if name == METHOD else (name,))]
    return tuple(find_task(host, name) for name in dict.fromkeys(singles))


def find_task(host: Host, name: str) -> Task:
    """The task of that name: a registered degradation, or a codec and any level of its scale.

    Raises:
        UnknownComponentError: there is none; the hint names the nearest ones.
        CodecError: the codec has no such level.
        ComponentError: it is registered, and cannot be loaded.
    """
    registered = [component.name for component in host.components("degradation")]
    if name in registered:
        return Task(name, host.create("degradation", name))
    codec, _, level = name.rpartition("-")
    if codec in [component.name for component in host.components("codec")]:
        quality = _number(level)
        if quality is not None:
            return Task(name, CodecDegradation(host.codec(codec), [quality]))
    if name in METHOD_TASKS:
        raise UnknownComponentError(
            f"task '{name}' of the method needs the codec '{codec}', which is not installed",
            hint="Install the plugins diffir-vvc and diffir-learned: see plugins/README.md.",
        )
    known = [*(task.name for task in tasks(host)), *registered]
    raise host.unknown("task", name, known)


def _loadable_codecs(host: Host) -> list[tuple[str, CodecSpec]]:
    found = []
    for component in host.components("codec"):
        try:
            found.append((component.name, host.codec(component.name).spec))
        except ComponentError as error:
            logger.warning("%s is passed over: %s", component, error)
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
