"""The decoder compensator: what the latent lost comes from the degraded picture's own features.

    latent -> level 1/8 -> level 1/4 -> level 1/2 -> trunk --> faithful head -> + degraded image
                             ^            ^                `-> rich blocks, rich head -> + faithful
                      fuse feature 1  feature 0

The coarsest level has the latent alone, as in the method, which fuses at two levels: with the
encoder's map beside it the decoder learned to do without the prior, and no prompt mattered. Without
fusion it decodes from the latent alone, which is how the autoencoder is trained. Two heads give
the two ends of the fidelity dial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.contracts.interfaces import Decoded, Encoded
from diffir.diffusion.autoencoder import DecoderLevels
from diffir.diffusion.layers import stack

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fusion(nn.Module):
    """Merges the encoder's map with the decoder's: f_enc + gain * f_dec + F(cat(f_enc, f_dec)).

    The method adds F to a decoder that is already good. Here the decoder is learned from scratch,
    so the encoder's map leads at first and the decoder's fades in: training starts at the identity
    and not at noise. F is a 1x1 and a 3x3 convolution; the level's blocks follow.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((channels, 1, 1), 0.1))
        self.reduce = nn.Conv2d(2 * channels, channels, 1)
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.mix.weight.mul_(0.1)

    def forward(self, encoder_map: Tensor, decoder_map: Tensor) -> Tensor:
        """Two maps `(B,C,h,w)` to one."""
        reduced = self.reduce(torch.cat([encoder_map, decoder_map], dim=1))
        fused: Tensor = encoder_map + self.gain * decoder_map + self.mix(F.relu(reduced))
        return fused


class CompensatedDecoder(nn.Module):
    """Decoder of the method, with a faithful and a rich head.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the picture's size, as in the encoder.
        blocks: residual blocks per level.
        latent_channels: channels of the latent.
        rich_blocks: residual blocks before the rich head.
    """

    def __init__(
        self, *, widths: Sequence[int], blocks: int, latent_channels: int, rich_blocks: int = 2
    ) -> None:
        super().__init__()
        self.trunk = DecoderLevels(widths=widths, blocks=blocks, latent_channels=latent_channels)
        self.fusions = nn.ModuleList(Fusion(width) for width in reversed(widths[:-1]))
        self.faithful_head = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.rich_blocks = stack(widths[0], rich_blocks)
        self.rich_head = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.latent_head = nn.Conv2d(widths[0], 12, 3, padding=1)
        for head in (self.faithful_head, self.rich_head):
            nn.init.normal_(head.weight, std=1e-3)

    def decode(self, latent: Tensor, encoded: Encoded) -> Decoded:
        """See `diffir.contracts.interfaces.Decoder.decode`."""
        trunk = self._trunk(latent, encoded.features)
        faithful = encoded.image + F.pixel_shuffle(self.faithful_head(trunk), 2)
        detail = F.pixel_shuffle(self.rich_head(self.rich_blocks(trunk)), 2)
        # Detached: what makes the rich estimate pretty must not make the faithful one wrong.
        return Decoded(faithful, faithful.detach() + detail)

    def reconstruct(self, latent: Tensor) -> Tensor:
        """Decode from the latent alone, `(B,C,h,w)` to `(B,3,H,W)`: trains the autoencoder."""
        return 0.5 + F.pixel_shuffle(self.latent_head(self._trunk(latent, None)), 2)

    def _trunk(self, latent: Tensor, features: Sequence[Tensor] | None) -> Tensor:
        x: Tensor = self.trunk.levels[0](self.trunk.from_latent(latent))
        for index, fusion in enumerate(self.fusions):
            x = self.trunk.ups[index](x)
            if features is not None:
                x = fusion(features[-2 - index], x)
            x = self.trunk.levels[1 + index](x)
        return x
