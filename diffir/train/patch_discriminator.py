"""A patch discriminator: which patch of a restored image gives itself away?

A small convolutional net with spectral norm (Miyato et al., 2018) and the hinge loss, after
PatchGAN (Isola et al., 2017). It also sees the degraded image, so that a patch is judged as a
restoration of that image, and blocks that the codec left are what it finds first.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Degraded and candidate image, each `(B,3,H,W)`, to one score per patch `(B,1,H/8,W/8)`."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [6, width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for fine, coarse in itertools.pairwise(widths):
            layers += [
                spectral_norm(nn.Conv2d(fine, coarse, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.2),
            ]
        layers.append(spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, degraded: Tensor, candidate: Tensor) -> Tensor:
        """Scores: above 0 for real, below for restored."""
        scores: Tensor = self.layers(torch.cat([degraded, candidate], dim=1) - 0.5)
        return scores

    def loss(self, degraded: Tensor, clean: Tensor, restored: Tensor) -> Tensor:
        """The discriminator's hinge loss; `restored` is detached here."""
        real = F.relu(1 - self(degraded, clean)).mean()
        fake = F.relu(1 + self(degraded, restored.detach())).mean()
        return real + fake

    def generator_loss(self, degraded: Tensor, restored: Tensor) -> Tensor:
        """What the model is charged for being found out."""
        score: Tensor = -self(degraded, restored).mean()
        return score
