"""Views of an image, turned and mirrored: the mean of what a model makes of them is nearer.

    image -> view -> model -> back -.
          -> view -> model -> back -+-> mean

A model that learned from pictures in all positions errs differently in each; part of that cancels
(geometric self-ensemble: Lim et al., EDSR, 2017, section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class View:
    """One of the eight positions of a square.

    transposed: rows become columns. turned: by half a turn. mirrored: left and right change places.
    In that order.
    """

    transposed: bool = False
    turned: bool = False
    mirrored: bool = False

    def of(self, image: Tensor) -> Tensor:
        """`(B,C,H,W)` as seen in this position: `(B,C,W,H)` where it is transposed."""
        seen = image.transpose(-2, -1) if self.transposed else image
        return self._flipped(seen)

    def back(self, seen: Tensor) -> Tensor:
        """The inverse of `of`."""
        upright = self._flipped(seen)
        return upright.transpose(-2, -1) if self.transposed else upright

    def _flipped(self, image: Tensor) -> Tensor:
        """Half a turn and mirroring: each undoes itself, and one does not mind the other."""
        image = image.flip(-2, -1) if self.turned else image
        return image.flip(-1) if self.mirrored else image


VIEWS = tuple(
    View(transposed, turned, mirrored)
    for mirrored in (False, True)
    for turned in (False, True)
    for transposed in (False, True)
)
"""All eight, the picture itself first. Then transposed: codecs treat rows and columns alike, so
such pictures were learned from. Mirrored ones come last: what predicts from above and from the left
leaves other traces there."""

VIEWS_WHERE_FAITHFUL = len(VIEWS)
"""Taken where only the error counts, by measurement: see docs/experiments.md."""


def first_views(count: int) -> tuple[View, ...]:
    """The first of the eight, the picture itself among them.

    Raises:
        ValueError: none, or more than there are.
    """
    if not 1 <= count <= len(VIEWS):
        raise ValueError(f"views must be in 1..{len(VIEWS)}, got {count}")
    return VIEWS[:count]
