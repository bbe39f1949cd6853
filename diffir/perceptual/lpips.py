"""LPIPS version 0.1, the learned perceptual distance of Zhang et al. 2018 (1801.03924).

The features of a fixed trunk are scaled to unit length along the channels; their squared
differences are weighed per channel by learned weights, averaged over the map, and summed over the
five maps. 0 is equal; the larger, the more different. AlexNet is the backbone that published
figures use; VGG16 is the sharper witness, and the slower one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from diffir.errors import UnknownComponentError
from diffir.perceptual.image_pairs import check_pair
from diffir.perceptual.networks import AlexNet, Vgg16
from diffir.perceptual.weights import load_weights, metric_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffir.perceptual.networks import Backbone
    from diffir.perceptual.weights import MetricName

_BACKBONES: dict[Backbone, tuple[type[AlexNet] | type[Vgg16], MetricName]] = {
    "alex": (AlexNet, "lpips-alex"),
    "vgg": (Vgg16, "lpips-vgg"),
}


class Lpips(nn.Module):
    """LPIPS between two batches of images, differentiable with respect to both.

    Its parameters are frozen and float32. Under autocast the features are half precision; what
    follows them stays float32.

    Args:
        backbone: "alex" or "vgg".
        weights: a safetensors file; by default the one that `diffir fetch-metrics` has made.

    Raises:
        UnknownComponentError: there is no such backbone.
        CheckpointError: the weights are missing, damaged, or another metric's.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone = "alex", *, weights: Path | None = None) -> None:
        super().__init__()
        if backbone not in _BACKBONES:
            raise UnknownComponentError(
                f"LPIPS has no backbone called '{backbone}'",
                hint=f"Known: {', '.join(_BACKBONES)}.",
            )
        trunk, stored = _BACKBONES[backbone]
        self.backbone = backbone
        with torch.device("meta"):  # its weights come from a file, and take no memory until then
            self.trunk = trunk()
        self.linear = nn.ParameterList([torch.zeros(width) for width in self.trunk.channels])
        # The mean and deviation of ImageNet on [-1,1], rounded as the authors' code has them.
        self.register_buffer("shift", _per_channel(-0.030, -0.088, -0.188), persistent=False)
        self.register_buffer("scale", _per_channel(0.458, 0.448, 0.450), persistent=False)
        load_weights(self, weights or metric_weights(stored))
        self.requires_grad_(False).eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances `(B,)` between `a` and `b`, `(B,3,H,W)` floats in [0,1].

        Raises:
            DataError: the shapes differ, are not `(B,3,H,W)`, or are too small for the trunk.
        """
        check_pair(a, b, smallest=self.trunk.smallest, metric=f"LPIPS-{self.backbone}")
        return self.compare(self.features(a), self.features(b))

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """What is compared: five maps `(B,C,h,w)`, to be kept where one image meets several."""
        features: tuple[Tensor, ...] = self.trunk((2 * image - 1 - self.shift) / self.scale)
        return features

    def compare(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Return the distances `(B,)` between two results of `features`."""
        distances = []
        for of_a, of_b, weight in zip(a, b, self.linear, strict=True):
            difference = (_unit_length(of_a) - _unit_length(of_b)).square()
            distances.append(torch.einsum("bchw,c->bhw", difference, weight).float().mean((1, 2)))
        return torch.stack(distances).sum(0)


def _per_channel(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)


def _unit_length(features: Tensor) -> Tensor:
    features = features.float()
    # vector_norm has a gradient where all features are 0; the root of a sum of squares has none.
    length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (length + 1e-10)
