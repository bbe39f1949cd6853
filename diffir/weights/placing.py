"""Puts the tensors of one file where another wants them, and tells what did not fit.

Every name of the source ends in exactly one of: placed, dropped with a reason, unexpected. Every
name that is wanted ends in exactly one of: placed, missing, misshapen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Dropped:
    """Why a tensor is left out on purpose."""

    reason: str


@dataclass(frozen=True)
class Misfit:
    """A tensor whose shape is not the one that is wanted."""

    source: str
    target: str
    expected: Shape
    found: Shape

    def __str__(self) -> str:
        return f"{self.target} should be {self.expected}, {self.source} is {self.found}"


@dataclass
class Placement:
    """What became of every name.

    tensors: by the target's names. origins: target to source. dropped: source to reason.
    unexpected, missing: names of the source, and of the target.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    misshapen: list[Misfit] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every name that is wanted got its tensor."""
        return not self.missing and not self.misshapen


def place(
    sources: Mapping[str, Tensor],
    rename: Callable[[str], str | Dropped | None],
    wanted: Mapping[str, Shape],
) -> Placement:
    """Rename every tensor and hold it against what is wanted, by name and shape.

    Args:
        sources: tensors by their name in the file.
        rename: a name of the file to the target's; `Dropped` to leave it out, `None` if unknown.
        wanted: shapes by the target's names.
    """
    placement = Placement()
    for source, tensor in sources.items():
        target = rename(source)
        if isinstance(target, Dropped):
            placement.dropped[source] = target.reason
        elif target is None or target not in wanted or target in placement.origins:
            placement.unexpected.append(source)
        else:
            _put(placement, source, target, tensor, wanted[target])
    placement.missing = [name for name in wanted if name not in placement.origins]
    return placement


def _put(placement: Placement, source: str, target: str, tensor: Tensor, shape: Shape) -> None:
    found = tuple(tensor.shape)
    placement.origins[target] = source
    if found == shape:
        placement.tensors[target] = tensor
    elif _without_ones(found) == _without_ones(shape):
        placement.tensors[target] = tensor.reshape(shape)
    else:
        placement.misshapen.append(Misfit(source, target, shape, found))


def _without_ones(shape: Shape) -> Shape:
    """A 1x1 convolution and a linear layer have the same numbers, `(1,1,D)` and `(D)` as well."""
    return tuple(side for side in shape if side != 1)
