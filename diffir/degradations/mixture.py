"""One of several degradations, drawn anew for each picture: the training diet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.interfaces import Degradation
    from diffir.contracts.picture import Picture


class Mixture:
    """Draw a degradation by weight.

    Args:
        weighted: pairs of (weight, degradation); weights need not sum to 1.

    Raises:
        ComponentError: a weight is negative or not finite, or none is above 0.
    """

    def __init__(self, weighted: Sequence[tuple[float, Degradation]]) -> None:
        self.degradations = tuple(degradation for _, degradation in weighted)
        weights = np.array([weight for weight, _ in weighted], dtype=np.float64)
        if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
            raise ComponentError(
                f"expected weights of 0 or more, one of them above 0, got {weights.tolist()}",
                hint="Give pairs such as (3, heavy), (1, light).",
            )
        self.shares = weights / weights.sum()

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Degrade with the one that `rng` draws."""
        return self.draw(rng).degrade(picture, rng)

    def draw(self, rng: np.random.Generator) -> Degradation:
        """One of the degradations, for as many pictures as are wanted."""
        return self.degradations[int(rng.choice(len(self.degradations), p=self.shares))]
