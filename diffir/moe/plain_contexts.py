"""Contexts that do not look at the picture: what the visual-to-text adapter is compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LearnedTokens(nn.Module):
    """Tokens that are learned, and the same for every picture.

    Args:
        width: token width D.
        learned: number of tokens L.
    """

    def __init__(self, *, width: int, learned: int = 16) -> None:
        super().__init__()
        # Not at zero: equal tokens would get equal gradients, and stay equal.
        self.learned = nn.Parameter(0.1 * torch.randn(1, learned, width))

    def condition(self, image: Tensor, latent: Tensor) -> Tensor:
        """See `diffir.contracts.interfaces.Conditioner.condition`."""
        return self.learned.repeat(len(image), 1, 1)


class NoContext(nn.Module):
    """One token of zeros, from which cross-attention can read nothing.

    Args:
        width: token width D.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = width

    def condition(self, image: Tensor, latent: Tensor) -> Tensor:
        """See `diffir.contracts.interfaces.Conditioner.condition`."""
        return image.new_zeros(len(image), 1, self.width)
