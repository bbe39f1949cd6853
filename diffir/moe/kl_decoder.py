"""Stable Diffusion's decoder with the method's compensator, at two levels.

    latent -> post_quant_conv -> conv_in -> middle -> up 0 -> up 1 -> (+) -> up 2 -> (+) -> up 3
                                                       1/8     1/4     ^      1/2     ^      1
                                                          feature 1 ---'  feature 0 --'
              -> conv_out -> image

The compensator merges the encoder's maps of the degraded picture with the decoder's, after the
residual blocks of a level and before it is upsampled: f_dec + w F(cat(f_enc, f_dec)), with F a
residual block, two RRDBs and a residual block. The network's names are those of diffusers.

The two estimates are one and the same image. The autoencoder without the compensator could stand
for the rich one, but it is no more pleasing, only less true, and costs one decoder pass more: 6 %
of 50 steps. Who wants to trade turns `weight` down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.models.autoencoders.vae import Decoder
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diffir.contracts.interfaces import Decoded, Encoded, Routing
from diffir.moe.feature_fusion import FeatureFusion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCALE = 0.18215
"""As in `diffir.diffusion.kl_encoder`."""
FUSED = {1: 1, 2: 0}
"""Place of an up block to the encoder's feature map that is merged after it."""


class KLDecoder(nn.Module):
    """Latent to image.

    Args:
        widths: channels at 1, 1/2, 1/4 and 1/8 of the picture's size, as in the encoder.
        blocks: residual blocks per level of the encoder; the decoder has one more.
        latent_channels: channels of the latent.
        groups: of every group norm. growth: of the compensator's dense blocks.
        scale: factor of the latent. weight: w above; 0 is the autoencoder alone.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        blocks: int,
        latent_channels: int,
        groups: int = 32,
        growth: int = 32,
        scale: float = SCALE,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.decoder = Decoder(
            in_channels=latent_channels,
            up_block_types=("UpDecoderBlock2D",) * len(widths),
            block_out_channels=tuple(widths),
            layers_per_block=blocks,
            norm_num_groups=groups,
        )
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)
        self.fusions = nn.ModuleList(
            FeatureFusion(width, growth=growth, groups=groups) for width in widths[1:3]
        )
        self.scale = scale
        self.weight = weight
        self.checkpointing = False

    def decode(self, latent: Tensor, encoded: Encoded, routing: Routing) -> Decoded:
        """See `diffir.contracts.interfaces.Decoder.decode`."""
        image = self._walk(latent, encoded.features)
        return Decoded(image, image)

    def reconstruct(self, latent: Tensor) -> Tensor:
        """Decode from the latent alone, `(B,C,h,w)` to `(B,3,H,W)`."""
        return self._walk(latent, None)

    def learned_parameters(self) -> Iterator[nn.Parameter]:
        """Of the compensator; the autoencoder stays as it came."""
        yield from self.fusions.parameters()

    def _walk(self, latent: Tensor, features: Sequence[Tensor] | None) -> Tensor:
        x = self.decoder.conv_in(self.post_quant_conv(latent / self.scale))
        x = self.decoder.mid_block(x)
        for place, block in enumerate(self.decoder.up_blocks):
            for resnet in block.resnets:
                x = self._run(resnet, x, None)
            if features is not None and self.weight and place in FUSED:
                feature = FUSED[place]
                x = x + self.weight * self._run(self.fusions[feature], features[feature], x)
            for upsampler in block.upsamplers or ():
                x = upsampler(x)
        out: Tensor = self.decoder.conv_out(self.decoder.conv_act(self.decoder.conv_norm_out(x)))
        return (out + 1) / 2

    def _run(self, module: nn.Module, *inputs: Tensor | None) -> Tensor:
        """Call it; with `checkpointing` its inside is computed anew on the way back."""
        if self.checkpointing and torch.is_grad_enabled():
            kept: Tensor = checkpoint(module, *inputs, use_reentrant=False)
            return kept
        out: Tensor = module(*inputs)
        return out
