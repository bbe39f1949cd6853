"""Stable Diffusion's U-Net as the denoiser, frozen, with prompts injected.

    latent, t -> conv_in -> down_blocks.0..3 -> mid_block -> up_blocks.0..3 -> conv_out
                              + context          + context      + context
                                                 + prompts 3    + prompts 3, 2, 1, 0

The network and its names are those of diffusers' `UNet2DConditionModel`. Its blocks are walked
here, because prompts act inside of them: after a residual block's second convolution, before its
skip is added. Without a site this computes what diffusers does; a test holds it.

A prompt map is chosen by the U-Net level that a block stands on, never by its width: a picture of
any shape will do whose sides are multiples of 64 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diffir.diffusion.spade import Spade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SITES = ("down", "mid.0", "mid.1", "up")


@dataclass(frozen=True, eq=False)
class Descent:
    """What the way down leaves: time `(B,D)`, and the maps for the way up, coarsest last."""

    time: Tensor
    skips: tuple[Tensor, ...]


class Modulations(tuple[Tensor, ...]):
    """Scale and shift maps, one per site, in the order of `PromptedUNet.injections`."""


class PromptedUNet(nn.Module):
    """Predicts noise or v from a noisy latent, its timestep, prompts and context.

    Args:
        latent_channels: channels of the latent.
        widths: channels per level, finest first.
        blocks: residual blocks per level on the way down; one more on the way up.
        head_width: channels of an attention head, as Stable Diffusion 2.x counts.
        heads: heads of every attention, whatever its width, as 1.x counts: give one of the two.
        prompt_width: channels `D` of the prompt maps.
        context_width: width `D` of the context tokens.
        groups: of every group norm.
        hidden: width of the injections' shared convolution.
        sites: where prompts act, of `SITES`: "down" and "up" are all residual blocks of that half.
        descent_gradients: let gradients pass the way down. Off, context learns by the middle and
            the way up alone, at about half the memory.

    Raises:
        ValueError: a site that is not known; both or neither of `heads` and `head_width`.
    """

    def __init__(
        self,
        *,
        latent_channels: int,
        widths: Sequence[int],
        blocks: int,
        head_width: int | None = None,
        heads: int | None = None,
        prompt_width: int,
        context_width: int,
        groups: int = 32,
        hidden: int = 128,
        sites: Sequence[str] = ("mid.0", "up"),
        descent_gradients: bool = True,
    ) -> None:
        super().__init__()
        unknown = sorted(set(sites) - set(SITES))
        if unknown:
            raise ValueError(f"sites must be of {', '.join(SITES)}, got {', '.join(unknown)}")
        if (heads is None) is (head_width is None):
            raise ValueError("expected heads or head_width, one of the two")
        self.levels = len(widths)
        self.descent_gradients = descent_gradients
        self.checkpointing = False
        self.unet = UNet2DConditionModel(
            in_channels=latent_channels,
            out_channels=latent_channels,
            down_block_types=("CrossAttnDownBlock2D",) * (self.levels - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (self.levels - 1),
            block_out_channels=tuple(widths),
            layers_per_block=blocks,
            # Their name for the number of heads.
            attention_head_dim=heads or tuple(width // (head_width or 1) for width in widths),
            cross_attention_dim=context_width,
            use_linear_projection=True,
            norm_num_groups=groups,
        )
        self.injections = nn.ModuleDict(
            {
                site: Spade(width, prompt_width=prompt_width, hidden=hidden, groups=groups)
                for site, _, width in self._residual_blocks()
                if _is_chosen(site, sites)
            }
        )

    def forward(
        self, latent: Tensor, timesteps: Tensor, prompts: Sequence[Tensor], context: Tensor
    ) -> Tensor:
        """See `diffir.diffusion.backbone.Denoiser`."""
        prepared = self.prepare(prompts)
        return self.climb(self.descend(latent, timesteps, context, prepared), prepared, context)

    def prepare(self, prompts: Sequence[Tensor]) -> Modulations:
        """Scale and shift at each site: they depend on the prompts, and on no timestep."""
        if isinstance(prompts, Modulations):
            return prompts
        levels = {site: level for site, level, _ in self._residual_blocks()}
        return Modulations(
            self._run(cast("Spade", injection).maps, prompts[levels[site]])
            for site, injection in self.injections.items()
        )

    def descend(
        self,
        latent: Tensor,
        timesteps: Tensor,
        context: Tensor,
        prompts: Sequence[Tensor] | None = None,
    ) -> Descent:
        """The way down; it needs prompts only where "down" is among the sites."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.descent_gradients):
            maps = self._by_site(prompts)
            time = self.unet.time_embedding(self.unet.get_time_embed(latent, timesteps))
            x = self.unet.conv_in(latent)
            skips = [x]
            for level, block in enumerate(self.unet.down_blocks):
                for index in range(len(block.resnets)):
                    x = self._unit(block, index, f"down_{level}_{index}", x, time, context, maps)
                    skips.append(x)
                for downsampler in block.downsamplers or ():
                    x = downsampler(x)
                    skips.append(x)
        return Descent(time, tuple(skips))

    def climb(self, descent: Descent, prompts: Sequence[Tensor], context: Tensor) -> Tensor:
        """The middle and the way up."""
        maps, time, skips = self._by_site(prompts), descent.time, list(descent.skips)
        middle = self.unet.mid_block
        x = self._unit(middle, 0, "mid_0", skips[-1], time, context, maps)
        x = self._residual(middle.resnets[1], x, time, maps.get("mid_1"), "mid_1")
        for index, block in enumerate(self.unet.up_blocks):
            for position in range(len(block.resnets)):
                x = torch.cat([x, skips.pop()], dim=1)
                x = self._unit(block, position, f"up_{index}_{position}", x, time, context, maps)
            for upsampler in block.upsamplers or ():
                x = upsampler(x)
        out: Tensor = self.unet.conv_out(self.unet.conv_act(self.unet.conv_norm_out(x)))
        return out

    def steering_parameters(self) -> Iterator[nn.Parameter]:
        """Of the injections; the prior's cross-attention stays as it is, as in the method."""
        yield from self.injections.parameters()

    def _residual_blocks(self) -> Iterator[tuple[str, int, int]]:
        """Site, level and width of each residual block."""
        for level, block in enumerate(self.unet.down_blocks):
            for index, resnet in enumerate(block.resnets):
                yield f"down_{level}_{index}", level, resnet.out_channels
        for index, resnet in enumerate(self.unet.mid_block.resnets):
            yield f"mid_{index}", self.levels - 1, resnet.out_channels
        for place, block in enumerate(self.unet.up_blocks):
            for index, resnet in enumerate(block.resnets):
                yield f"up_{place}_{index}", self.levels - 1 - place, resnet.out_channels

    def _by_site(self, prompts: Sequence[Tensor] | None) -> dict[str, Tensor]:
        if prompts is None:
            if any(site.startswith("down_") for site in self.injections):
                raise ValueError("prompts act on the way down here, but none were given")
            return {}
        return dict(zip(self.injections, self.prepare(prompts), strict=True))

    def _unit(
        self,
        block: Any,
        index: int,
        site: str,
        x: Tensor,
        time: Tensor,
        context: Tensor,
        maps: dict[str, Tensor],
    ) -> Tensor:
        """A residual block, and the attention that follows it where the level has one."""
        attentions = getattr(block, "attentions", None)

        def unit(x: Tensor, time: Tensor, context: Tensor, modulation: Tensor | None) -> Tensor:
            x = self._residual(block.resnets[index], x, time, modulation, site)
            if attentions:
                x = attentions[index](x, encoder_hidden_states=context, return_dict=False)[0]
            return x

        return self._run(unit, x, time, context, maps.get(site))

    def _residual(
        self, block: Any, x: Tensor, time: Tensor, modulation: Tensor | None, site: str
    ) -> Tensor:
        """As diffusers' `ResnetBlock2D.forward`, with the injection before the skip is added."""
        branch = block.conv1(block.nonlinearity(block.norm1(x)))
        branch = branch + block.time_emb_proj(block.nonlinearity(time))[:, :, None, None]
        branch = block.conv2(block.dropout(block.nonlinearity(block.norm2(branch))))
        if modulation is not None:
            branch = self.injections[site](branch, modulation)
        skip = x if block.conv_shortcut is None else block.conv_shortcut(x)
        out: Tensor = skip + branch
        return out

    def _run(self, function: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
        """Call it; with `checkpointing` its inside is computed anew on the way back."""
        if self.checkpointing and torch.is_grad_enabled():
            result: Tensor = checkpoint(function, *inputs, use_reentrant=False)
            return result
        return function(*inputs)


def _is_chosen(site: str, sites: Sequence[str]) -> bool:
    """Whether "up_0_1" is among "up", "mid_0" among "mid.0"."""
    return site.partition("_")[0] in sites or site.replace("_", ".", 1) in sites
