"""The decoder compensator: what the latent lost comes from the degraded picture's own features.

    latent -> level 1/8 -> level 1/4 -----> level 1/2 -----> faithful head -> + degraded image
                             ^      |          ^      |
                      feature 1     |    feature 0    |
                                    v                 v
                            detail 1/4 --------> detail 1/2 -> rich head ---> + faithful

Expert prompts act on the latent's map and on the encoder's maps before they are fused, chosen by
what the router made of the degradation. The coarsest level has the latent alone, as in the method,
which fuses at two levels: with the encoder's map beside it the decoder learned to do without the
prior. Without fusion it decodes from the latent alone, which is how the autoencoder is trained.

The two estimates are the ends of the fidelity dial. Detail has levels of its own, and looks at the
faithful ones without being able to change them: when both shared a trunk, looking good cost the
faithful estimate a third of its gain.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.contracts.interfaces import Decoded, Encoded, Routing
from diffir.diffusion.autoencoder import DecoderLevels
from diffir.diffusion.expert_kernels import ExpertBlock
from diffir.moe.detail import DetailLevels
from diffir.moe.prompted_level import PromptedLevel
from diffir.moe.simpler_prompts import map_prompts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
    """Decoder of the method, with expert prompts, a faithful and a rich head.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the picture's size, as in the encoder.
        blocks: residual blocks per level, in that order; one number means all levels.
        latent_channels: channels of the latent.
        degradation_width: width of `Routing.degradation`.
        experts, top_k: basic prompts N per map, and how many take part, K.
        detail_blocks: residual blocks per level of the rich estimate.
        noise_planes: of the noise that the rich estimate draws grain from; 0 leaves it out.
        kernel_experts: further kernels of each convolution of the faithful estimate's finest level.
        mixture: "moe", or what stands in its place: see `diffir.moe.simpler_prompts`.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        blocks: int | Sequence[int],
        latent_channels: int,
        degradation_width: int,
        experts: int = 7,
        top_k: int = 3,
        detail_blocks: int = 3,
        noise_planes: int = 0,
        kernel_experts: int = 0,
        mixture: str = "moe",
    ) -> None:
        super().__init__()
        prompts = partial(
            map_prompts,
            mixture=mixture,
            degradation_width=degradation_width,
            experts=experts,
            top_k=top_k,
        )
        level = partial(PromptedLevel, degradation_width=degradation_width)
        self.trunk = DecoderLevels(
            widths=widths,
            blocks=blocks,
            latent_channels=latent_channels,
            finer=level,
            finest=partial(level, experts=kernel_experts),
        )
        self.prompts = nn.ModuleList(prompts(width) for width in reversed(widths))
        self.fusions = nn.ModuleList(Fusion(width) for width in reversed(widths[:-1]))
        self.faithful_head = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.latent_head = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.detail = DetailLevels(
            widths=list(reversed(widths[:-1])),
            blocks=detail_blocks,
            prompts=prompts,
            level=level,
            noise_planes=noise_planes,
        )
        nn.init.normal_(self.faithful_head.weight, std=1e-3)

    def decode(self, latent: Tensor, encoded: Encoded, routing: Routing) -> Decoded:
        """See `diffir.contracts.interfaces.Decoder.decode`."""
        maps = self._trunk(latent, encoded.features, routing.degradation)
        faithful = self._faithful(maps, encoded)
        detail = self.detail(maps[1:], routing.degradation)
        # Detached: what makes the rich estimate pretty must not make the faithful one wrong.
        return Decoded(faithful, faithful.detach() + detail)

    def decode_faithful(self, latent: Tensor, encoded: Encoded, routing: Routing) -> Tensor:
        """The faithful estimate alone, at less than the price of both."""
        return self._faithful(self._trunk(latent, encoded.features, routing.degradation), encoded)

    def rich_parameters(self) -> Iterator[nn.Parameter]:
        """Those that the rich estimate has and the faithful one has not."""
        yield from self.detail.parameters()

    def kernel_parameters(self) -> Iterator[nn.Parameter]:
        """Those of expert kernels and of their gates; none without experts."""
        for block in self.trunk.levels[-1].children():
            if isinstance(block, ExpertBlock):
                yield from block.own_parameters().values()

    def reconstruct(self, latent: Tensor) -> Tensor:
        """Decode from the latent alone, `(B,C,h,w)` to `(B,3,H,W)`: trains the autoencoder."""
        return 0.5 + F.pixel_shuffle(self.latent_head(self._trunk(latent, None, None)[-1]), 2)

    def _faithful(self, maps: Sequence[Tensor], encoded: Encoded) -> Tensor:
        return encoded.image + F.pixel_shuffle(self.faithful_head(maps[-1]), 2)

    def _trunk(
        self, latent: Tensor, features: Sequence[Tensor] | None, degradation: Tensor | None
    ) -> list[Tensor]:
        """The levels' maps, coarsest first."""
        x = self.prompts[0](self.trunk.from_latent(latent), degradation)
        maps = [self.trunk.levels[0](x)]
        for index, fusion in enumerate(self.fusions):
            x = self.trunk.ups[index](maps[-1])
            if features is not None:
                x = fusion(self.prompts[1 + index](features[-2 - index], degradation), x)
            maps.append(self.trunk.levels[1 + index](x, degradation))
        return maps
