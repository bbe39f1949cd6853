"""The autoencoder's two halves: pixels to a latent on an 8-times coarser grid, and back.

    image (B,3,H,W)
      | fold 2x2 pixels into channels
      v
    (B,w0,H/2,W/2) --feature 0--> | /2 --> (B,w1,H/4,W/4) --feature 1--> | /2 --> (B,w2,H/8,W/8)
                                                                 --feature 2--> latent (B,C,H/8,W/8)

The finest level works at half resolution: a 3x3 convolution there costs a quarter, and 4:2:0
chroma has no finer detail. The encoder is shared by clean and degraded images.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from diffir.contracts.interfaces import Encoded
from diffir.diffusion.layers import stack, upsample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GRID = 8
"""Pixels per latent position, on each axis."""
MAPS_ALIVE = 13
"""Feature maps of the finest level that are alive at once: 612 bytes per pixel were measured."""


class Encoder(nn.Module):
    """Image to latent and feature maps.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the picture's size.
        blocks: residual blocks per level.
        latent_channels: channels of the latent.
    """

    grid = GRID

    def __init__(self, *, widths: Sequence[int], blocks: int, latent_channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(stack(width, blocks) for width in widths)
        self.downs = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
            for fine, coarse in itertools.pairwise(widths)
        )
        self.to_latent = nn.Conv2d(widths[-1], latent_channels, 3, padding=1)

    @property
    def values_per_pixel(self) -> float:
        """The finest level dominates: maps of its width at half resolution."""
        return MAPS_ALIVE * self.stem.out_channels / 4

    def encode(self, image: Tensor) -> Encoded:
        """Encode `(B,3,H,W)` in [0,1]; H and W multiples of `GRID`.

        Raises:
            ValueError: a side is not a multiple of `GRID`.
        """
        if image.shape[-1] % GRID or image.shape[-2] % GRID:
            raise ValueError(f"sides must be multiples of {GRID}, got {tuple(image.shape)}")
        x = self.stem(F.pixel_unshuffle(image - 0.5, 2))
        features = []
        for index, level in enumerate(self.levels):
            x = level(x if index == 0 else self.downs[index - 1](x))
            features.append(x)
        # Root-mean-square norm over channels: unit variance at every position, without a stored
        # scale factor that would go stale when the encoder is trained further.
        latent = F.rms_norm(self.to_latent(x).permute(0, 2, 3, 1), (self.to_latent.out_channels,))
        return Encoded(image, latent.permute(0, 3, 1, 2), tuple(features))


class DecoderLevels(nn.Module):
    """Latent to the decoder's feature maps, coarsest first: the mirror of `Encoder`.

    `levels[i]` and `ups[i]` are used one by one by the decoder that owns this, so that it can put
    something between them.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the picture's size, as in the encoder.
        blocks: residual blocks per level, in the order of the widths; one number means all levels.
        latent_channels: channels of the latent.
        finer: makes a level that is not the coarsest, of so many channels and blocks.
        finest: makes the last level; by default as the other finer ones.

    Raises:
        ValueError: `blocks` are not one per width.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        blocks: int | Sequence[int],
        latent_channels: int,
        finer: Callable[[int, int], nn.Module] = stack,
        finest: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        coarse_first = list(reversed(widths))
        depths = [blocks] * len(widths) if isinstance(blocks, int) else list(reversed(blocks))
        if len(depths) != len(widths):
            raise ValueError(f"blocks: expected one per width, {len(widths)}, got {len(depths)}")
        self.from_latent = nn.Conv2d(latent_channels, coarse_first[0], 3, padding=1)
        makers = [stack, *[finer] * (len(widths) - 2), finest or finer][: len(widths)]
        self.levels = nn.ModuleList(
            make(width, depth)
            for make, width, depth in zip(makers, coarse_first, depths, strict=True)
        )
        self.ups = nn.ModuleList(
            upsample(coarse, fine) for coarse, fine in itertools.pairwise(coarse_first)
        )
