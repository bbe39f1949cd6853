"""Do no harm: what pressed a picture, and how much of what the model changes is let through.

    facts of the file or the user -> severity ------------> strength
    pixels, where there are none  -> degradation encoder ---'

A model that has learned to mend bad compression mends what is not broken, too. A lightly compressed
picture is changed less, and one that shows no trace of a codec hardly at all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from diffir.contracts.codec import CodecInfo
from diffir.restore.tensors import pad_to_multiple, to_image

if TYPE_CHECKING:
    from diffir.contracts.codec import Source
    from diffir.contracts.picture import Picture

LEFT_ALONE, IN_FULL = 0.03, 0.15
"""Severities: up to the first a picture is not changed, from the second on in full.

Measured with JPEG, WebP, AVIF and HEVC at qualities up to 95: see docs/experiments.md."""

GUESS_LEFT_ALONE, GUESS_IN_FULL = 0.15, 0.75
"""The same for severities that the degradation encoder saw in the pixels. It takes light
compression for heavier than it is, and of mending what is not broken half is better than all."""

LOOK_SIDE, LOOKS_PER_AXIS = 128, 4
"""Crops that the degradation encoder sees; as large as those that it learned from."""

LOOK_MULTIPLE = 32
"""What the sides of smaller ones are grown to."""


def strength_for(severity: float | None, *, guessed: bool = False) -> float:
    """Share of the model's changes to let through, in [0,1]; all where nothing is known.

    Args:
        severity: of the compression, in [0,1].
        guessed: the degradation encoder says so; nothing that is sure does.

    >>> strength_for(0.01), strength_for(0.9), strength_for(None)
    (0.0, 1.0, 1.0)
    """
    if severity is None:
        return 1.0
    low, high = (GUESS_LEFT_ALONE, GUESS_IN_FULL) if guessed else (LEFT_ALONE, IN_FULL)
    return float(np.clip((severity - low) / (high - low), 0, 1))


def crops_to_look_at(picture: Picture, multiple: int) -> torch.Tensor:
    """Up to 16 crops `(B,3,h,w)` in [0,1] from all over a picture, on the block grid.

    Args:
        picture: of any size; one smaller than a crop is taken whole.
        multiple: what the sides of the result are multiples of, by mirroring.
    """
    starts = [_starts(side) for side in (picture.height, picture.width)]
    crops = [
        pad_to_multiple(to_image(picture.pixels[y : y + LOOK_SIDE, x : x + LOOK_SIDE]), multiple)
        for y in starts[0]
        for x in starts[1]
    ]
    return torch.cat(crops)


def _starts(side: int) -> list[int]:
    most = max(0, side - LOOK_SIDE)
    count = min(LOOKS_PER_AXIS, 1 + most // LOOK_SIDE)
    return [int(start) // 8 * 8 for start in np.linspace(0, most, count)]


def is_known(model: torch.nn.Module, codec: CodecInfo) -> bool:
    """Whether a model's router knows this codec, were its severity known, too."""
    knows = getattr(model.get_submodule("router"), "knows", None)
    return knows is not None and bool(knows(replace(codec, severity=0.5)))


def what_is_told(model: torch.nn.Module, picture: Picture) -> CodecInfo:
    """What the router is told of a picture: what is known, completed by what the pixels show.

    A codec that the router does not know is restored as a relative, named by the recipe or else
    seen in the pixels, but as hard as the file says.
    A router need not be able to look (`identify`), nor to say what it knows (`knows`), nor whom it
    takes for whom (`relative`).
    """
    codec = picture.codec
    router = model.get_submodule("router")
    identify, knows = (getattr(router, verb, None) for verb in ("identify", "knows"))
    if identify is None or knows is None or knows(codec):
        return codec
    relative = getattr(router, "relative", lambda codec: None)(codec)
    if relative is not None and codec.severity is not None:
        facts: dict[str, Source] = {"name": "recipe", **_severity_of(codec)}
        return CodecInfo(relative, severity=codec.severity, sources=facts)
    parameter = next(model.parameters())
    crops = crops_to_look_at(picture, LOOK_MULTIPLE).to(parameter.device, parameter.dtype)
    seen: CodecInfo = identify(crops)
    if is_known(model, codec):
        sources: dict[str, Source] = {**codec.sources, "severity": "estimate"}
        return replace(codec, severity=seen.severity, sources=sources)
    if relative is not None:
        return replace(seen, name=relative, sources={**seen.sources, "name": "recipe"})
    if codec.severity is None:
        return seen
    return replace(seen, severity=codec.severity, sources={**seen.sources, **_severity_of(codec)})


def _severity_of(codec: CodecInfo) -> dict[str, Source]:
    """Where a codec's severity came from."""
    return {name: source for name, source in codec.sources.items() if name == "severity"}
