"""Stable Diffusion's autoencoder, the encoder half: a latent of 4 channels at 1/8 of the size.

    image (B,3,H,W) -> conv_in -> level 0 -> level 1 --feature 0--> level 2 --feature 1--> level 3
                                   /1         /2 (256)               /4 (512)              /8 (512)
                       -> middle -> conv_out -> quant_conv -> mean, log variance -> latent

The network and its names are those of diffusers. Features are taken after the residual blocks of
levels 1 and 2, before they are downsampled: what the compensator of the decoder fuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.models.autoencoders.vae import Encoder
from torch import Tensor, nn

from diffir.contracts.interfaces import Encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALE = 0.18215
"""Brings the latent to about unit variance (Rombach et al., 2022)."""
NOISE_SEED = 42
"""Of the posterior's draw in use: the published test's."""
TAPS = (1, 2)
"""Levels whose maps are kept, finest first."""


class KLEncoder(nn.Module):
    """Image to latent and feature maps.

    Args:
        widths: channels at 1, 1/2, 1/4 and 1/8 of the picture's size.
        blocks: residual blocks per level.
        latent_channels: channels of the latent.
        groups: of every group norm.
        scale: factor of the latent.
        sample: draw the latent from the posterior, as the published code does, in place of its
            mean. In use the same picture gets the same latent; in training torch's own generator
            is asked.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        blocks: int,
        latent_channels: int,
        groups: int = 32,
        scale: float = SCALE,
        sample: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(
            out_channels=latent_channels,
            down_block_types=("DownEncoderBlock2D",) * len(widths),
            block_out_channels=tuple(widths),
            layers_per_block=blocks,
            norm_num_groups=groups,
        )
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)
        self.grid = 2 ** (len(widths) - 1)
        self.scale = scale
        self.sample = sample
        self.values_per_pixel = 8.0 * widths[0]
        """Four maps of the decoder's last level, where it is twice as wide as here."""

    def encode(self, image: Tensor) -> Encoded:
        """Encode `(B,3,H,W)` in [0,1]; H and W multiples of `grid`.

        Raises:
            ValueError: a side is not a multiple of `grid`.
        """
        if image.shape[-1] % self.grid or image.shape[-2] % self.grid:
            raise ValueError(f"sides must be multiples of {self.grid}, got {tuple(image.shape)}")
        x = self.encoder.conv_in(2 * image - 1)
        features = []
        for level, block in enumerate(self.encoder.down_blocks):
            for resnet in block.resnets:
                x = resnet(x, temb=None)
            if level in TAPS:
                features.append(x)
            for downsampler in block.downsamplers or ():
                x = downsampler(x)
        x = self.encoder.conv_act(self.encoder.conv_norm_out(self.encoder.mid_block(x)))
        mean, log_variance = self.quant_conv(self.encoder.conv_out(x)).chunk(2, dim=1)
        if self.sample:
            deviation = torch.exp(0.5 * log_variance.clamp(-30, 20))
            mean = mean + deviation * self._noise(mean).to(mean)
        return Encoded(image, self.scale * mean, tuple(features))

    def _noise(self, mean: Tensor) -> Tensor:
        """On the CPU, where every device draws the same."""
        if self.training:
            return torch.randn(mean.shape)
        return torch.randn(mean.shape[1:], generator=torch.Generator().manual_seed(NOISE_SEED))
