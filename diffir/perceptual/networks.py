"""The convolutional trunks whose features LPIPS and DISTS compare: AlexNet and VGG16.

Only the convolutions stand here: neither metric looks at the classifier. Each trunk returns five
feature maps, finest first, each taken after a ReLU.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Backbone = Literal["alex", "vgg"]


class AlexNet(nn.Module):
    """AlexNet's five convolutions, in the single-column form of Krizhevsky 2014 (1404.5997)."""

    channels = (64, 192, 384, 256, 256)
    smallest = 31
    """Rows and columns below which the last feature map would be empty."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, stride=4, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map `(B,3,H,W)`, normalized, to five maps of about H/4, H/8, H/16, H/16, H/16 rows."""
        maps = []
        for position, convolution in enumerate(self.convolutions):
            if position in (1, 2):
                image = F.max_pool2d(image, 3, stride=2)
            image = F.relu(convolution(image))
            maps.append(image)
        return tuple(maps)


class Vgg16(nn.Module):
    """VGG16's thirteen convolutions in five stages (Simonyan & Zisserman 2015, 1409.1556).

    Args:
        pool: makes the layer between two stages, given its channels; by default the network's own
            maximum of 2x2. DISTS puts an L2 pooling there.
    """

    channels = (64, 128, 256, 512, 512)
    smallest = 16
    depths = (2, 2, 3, 3, 3)

    def __init__(self, pool: Callable[[int], nn.Module] | None = None) -> None:
        super().__init__()
        widths = [3]
        for channels, depth in zip(self.channels, self.depths, strict=True):
            widths += [channels] * depth
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(come, go, 3, padding=1) for come, go in pairwise(widths)]
        )
        self.pools = nn.ModuleList(
            [pool(channels) if pool else nn.MaxPool2d(2) for channels in self.channels[:-1]]
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map `(B,3,H,W)`, normalized, to five maps of H, H/2, H/4, H/8 and H/16 rows."""
        return tuple(self.maps(image))

    def maps(self, image: Tensor) -> Iterator[Tensor]:
        """The same one after the other, for who does not need them all at once."""
        convolutions = iter(self.convolutions)
        for stage, depth in enumerate(self.depths):
            if stage:
                image = self.pools[stage - 1](image)
            for _ in range(depth):
                image = F.relu(next(convolutions)(image))
            yield image
