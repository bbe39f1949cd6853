"""DISTS, the structure and texture distance of Ding et al. 2020 (2004.07728).

Features of a VGG16 whose pooling is an L2 norm under a Hann window are compared by their means
(texture) and their covariances (structure) over the whole map, in the manner of SSIM; learned
weights mix the terms. Resampled texture costs little, lost structure much. Images are compared at
native size: the authors' optional resize to 256 rows is not done, as in the published restoration
figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.perceptual.image_pairs import check_pair
from diffir.perceptual.networks import Vgg16
from diffir.perceptual.weights import load_weights, metric_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_STABILITY = 1e-6


class L2Pooling(nn.Module):
    """The root of the mean square under a 3x3 Hann window, every second pixel."""

    window: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        edge = torch.tensor([0.25, 0.5, 0.25], device="cpu")  # whatever the rest is built on
        window = torch.outer(edge, edge).expand(channels, 1, 3, 3).clone()
        self.register_buffer("window", window, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B,C,h,w)` to `(B,C,ceil(h/2),ceil(w/2))`."""
        channels = features.shape[1]
        power = F.conv2d(features.square(), self.window, stride=2, padding=1, groups=channels)
        return (power + 1e-12).sqrt()


class Dists(nn.Module):
    """DISTS between two batches of images, differentiable with respect to both; frozen.

    Args:
        weights: a safetensors file with `alpha` and `beta`; by default the fetched one.
        trunk_weights: a safetensors file with VGG16 under `trunk.`; by default LPIPS's.

    Raises:
        CheckpointError: the weights are missing, damaged, or another metric's.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *, weights: Path | None = None, trunk_weights: Path | None = None) -> None:
        super().__init__()
        mixing = _Mixing(3 + sum(Vgg16.channels))
        load_weights(mixing, weights or metric_weights("dists"))
        self.mixing = mixing
        with torch.device("meta"):  # its weights come from a file, and take no memory until then
            self.trunk = Vgg16(L2Pooling)
        load_weights(self.trunk, trunk_weights or metric_weights("lpips-vgg"), prefix="trunk.")
        self.register_buffer("mean", _per_channel(0.485, 0.456, 0.406), persistent=False)
        self.register_buffer("deviation", _per_channel(0.229, 0.224, 0.225), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances `(B,)` between `a` and `b`, `(B,3,H,W)` floats in [0,1].

        Raises:
            DataError: the shapes differ, are not `(B,3,H,W)`, or are too small for the trunk.
        """
        check_pair(a, b, smallest=self.trunk.smallest, metric="DISTS")
        return self.compare(self._maps(a), self._maps(b))  # no more than one map of each at once

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """What is compared: the image and five maps, to be kept where one image meets several."""
        return tuple(self._maps(image))

    def compare(self, a: Iterable[Tensor], b: Iterable[Tensor]) -> Tensor:
        """Return the distances `(B,)` between two results of `features`."""
        likenesses = (_likeness(of_a, of_b) for of_a, of_b in zip(a, b, strict=True))
        texture, structure = zip(*likenesses, strict=True)
        likeness: Tensor = self.mixing(torch.cat(texture, 1), torch.cat(structure, 1))
        return 1 - likeness

    def _maps(self, image: Tensor) -> Iterator[Tensor]:
        yield image
        yield from self.trunk.maps((image - self.mean) / self.deviation)


class _Mixing(nn.Module):
    """The learned share of every channel's texture and structure; together they sum to 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, texture: Tensor, structure: Tensor) -> Tensor:
        """Map two `(B,C)` to one likeness `(B,)`."""
        total = self.alpha.sum() + self.beta.sum()
        return (texture @ self.alpha + structure @ self.beta) / total


def _per_channel(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)


def _likeness(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Texture and structure of each channel, `(B,C)`, 1 where equal."""
    a, b = a.float().flatten(2), b.float().flatten(2)
    mean_a, mean_b = a.mean(2, keepdim=True), b.mean(2, keepdim=True)
    variances = (a - mean_a).square().mean(2) + (b - mean_b).square().mean(2)
    covariance = ((a - mean_a) * (b - mean_b)).mean(2)
    means = (mean_a * mean_b).squeeze(2)
    squares = (mean_a.square() + mean_b.square()).squeeze(2)
    texture = (2 * means + _STABILITY) / (squares + _STABILITY)
    structure = (2 * covariance + _STABILITY) / (variances + _STABILITY)
    return texture, structure
