"""The denoiser: a small conditional U-Net over the latent.

    latent, t ->  level 0 (h,w) --------------------------------> level 0 -> v
                    level 1 (h/2,w/2) + context --------> level 1 + context
                      level 2 (h/4,w/4) + context -> middle -> level 2 + context

Prompts enter the first middle block and every block of the way up, as in the method; the way down
sees none. Context tokens enter by cross-attention at all but the finest level. The network
predicts v (Salimans & Ho, 2022), or noise, as its training and the recipe's sampler say.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.diffusion.layers import ChannelNorm, CrossAttention, timestep_embedding, upsample
from diffir.diffusion.prompt_injection import PromptInjection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class UNetBlock(nn.Module):
    """Residual block with time embedding and, where `prompt_width` is given, prompt injection."""

    def __init__(
        self, channels_in: int, channels: int, *, time_width: int, prompt_width: int | None = None
    ) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.time = nn.Linear(time_width, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = (
            nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        )
        self.injection = (
            PromptInjection(channels, prompt_width=prompt_width) if prompt_width else None
        )
        # The branch starts at a tenth: `gain` scales what the injection has normalized.
        self.gain = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def forward(self, x: Tensor, time: Tensor, prompt: Tensor | None = None) -> Tensor:
        """`(B,Cin,h,w)` to `(B,C,h,w)`."""
        branch = self.conv1(F.silu(self.norm(x))) + self.time(time)[:, :, None, None]
        branch = self.conv2(F.silu(branch))
        if self.injection is not None:
            if prompt is None:
                raise ValueError("this block injects a prompt, but none was given")
            branch = self.injection(branch, prompt)
        out: Tensor = self.skip(x) + self.gain * branch
        return out


@dataclass(frozen=True, eq=False)
class Descent:
    """What the way down leaves: `time (B,D)`, and one map per level, finest first."""

    time: Tensor
    skips: tuple[Tensor, ...]


class UNet(nn.Module):
    """Predicts v from a noisy latent, its timestep, prompts and context.

    Args:
        latent_channels: channels of the latent.
        widths: channels per level, finest first.
        blocks: residual blocks per level on the way down; the way up has as many.
        prompt_width: channels `D` of the prompt maps.
        context_width: width `D` of the context tokens.
    """

    def __init__(
        self,
        *,
        latent_channels: int,
        widths: Sequence[int],
        blocks: int,
        prompt_width: int,
        context_width: int,
    ) -> None:
        super().__init__()
        self.time_width = time_width = widths[0]
        self.levels = len(widths)
        self.time = nn.Sequential(
            nn.Linear(time_width, time_width), nn.SiLU(), nn.Linear(time_width, time_width)
        )
        self.conv_in = nn.Conv2d(latent_channels, widths[0], 3, padding=1)

        def block(channels_in: int, channels: int, *, prompted: bool) -> UNetBlock:
            width = prompt_width if prompted else None
            return UNetBlock(channels_in, channels, time_width=time_width, prompt_width=width)

        self.down_blocks = nn.ModuleList(
            nn.ModuleList(block(width, width, prompted=False) for _ in range(blocks))
            for width in widths
        )
        self.downsamplers = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
            for fine, coarse in itertools.pairwise(widths)
        )
        self.mid_blocks = nn.ModuleList(
            [block(widths[-1], widths[-1], prompted=p) for p in (True, False)]
        )
        # The first block of the way up takes the skip map of its level, by concatenation.
        self.up_blocks = nn.ModuleList(
            nn.ModuleList(
                block(2 * width if i == 0 else width, width, prompted=True) for i in range(blocks)
            )
            for width in widths
        )
        self.upsamplers = nn.ModuleList(
            upsample(coarse, fine) for fine, coarse in itertools.pairwise(widths)
        )
        self.down_attentions, self.up_attentions = (
            nn.ModuleList(CrossAttention(w, context_width=context_width) for w in widths[1:])
            for _ in range(2)
        )
        self.norm_out = ChannelNorm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], latent_channels, 3, padding=1)
        nn.init.normal_(self.conv_out.weight, std=0.01)

    def forward(
        self, latent: Tensor, timesteps: Tensor, prompts: Sequence[Tensor], context: Tensor
    ) -> Tensor:
        """Return v, of the shape of `latent`.

        Args:
            latent: `(B,C,h,w)`; h and w multiples of `2**(levels-1)`.
            timesteps: `(B,)` in 0..999.
            prompts: one map `(B,D,h/2^l,w/2^l)` per level, finest first.
            context: `(B,L,D)`.
        """
        return self.climb(self.descend(latent, timesteps, context), prompts, context)

    def descend(self, latent: Tensor, timesteps: Tensor, context: Tensor) -> Descent:
        """The way down, which sees no prompts: the same for every mixture of experts."""
        time = self.time(timestep_embedding(timesteps, self.time_width).to(latent.dtype))
        x = self.conv_in(latent)
        skips = []
        for level, blocks in enumerate(self.down_blocks):
            if level:
                x = self.downsamplers[level - 1](x)
            for down_block in cast("nn.ModuleList", blocks):
                x = down_block(x, time)
            if level:
                x = self.down_attentions[level - 1](x, context)
            skips.append(x)
        return Descent(time, tuple(skips))

    def climb(self, descent: Descent, prompts: Sequence[Tensor], context: Tensor) -> Tensor:
        """The middle and the way up, where prompts act: v."""
        time, skips = descent.time, descent.skips
        x = self.mid_blocks[0](skips[-1], time, prompts[-1])
        x = self.mid_blocks[1](x, time)
        for level in reversed(range(self.levels)):
            x = torch.cat([x, skips[level]], dim=1)
            for up_block in cast("nn.ModuleList", self.up_blocks[level]):
                x = up_block(x, time, prompts[level])
            if level:
                x = self.up_attentions[level - 1](x, context)
                x = self.upsamplers[level - 1](x)
        v: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return v

    def prepare(self, prompts: Sequence[Tensor]) -> Sequence[Tensor]:
        """The prompts themselves: what they do here costs next to nothing."""
        return prompts

    def steering_parameters(self) -> Iterator[nn.Parameter]:
        """Of the entrances for prompts and context."""
        for module in self.modules():
            if isinstance(module, (PromptInjection, CrossAttention)):
                yield from module.parameters()
