"""Layers that more than one part of the prior is built from: plain torch, channels-last friendly.

No layer takes statistics over the picture plane: a tile is treated as it would be inside the whole
picture, which keeps tiles free of seams. `GroupNorm`, the usual choice, does not allow that.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each position of a `(B,C,H,W)` map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """`(B,C,H,W)` to the same shape."""
        rows = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(rows, (x.shape[1],), self.weight, self.bias)
        return normed.permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalization (Lim et al., EDSR, 2017).

    The second convolution starts small, so that a deep stack starts as the identity.

    Args:
        channels: channels C of the map.
        convolution: makes a 3x3 convolution of C to C channels; by default torch's.
    """

    def __init__(
        self, channels: int, convolution: Callable[[int], nn.Conv2d] | None = None
    ) -> None:
        super().__init__()
        made = convolution or partial(nn.Conv2d, channels, kernel_size=3, padding=1)
        self.conv1, self.conv2 = made(channels), made(channels)
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B,C,H,W)` to the same shape."""
        residual: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + residual

    def become_identity(self) -> None:
        """Pass everything through, until it learns: for a block that joins a trained model."""
        nn.init.zeros_(self.conv2.weight)
        if self.conv2.bias is not None:
            nn.init.zeros_(self.conv2.bias)


def stack(channels: int, blocks: int) -> nn.Sequential:
    """`blocks` residual blocks one after the other."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))


def upsample(channels_in: int, channels_out: int) -> nn.Sequential:
    """Twice the size by sub-pixel convolution: `(B,Cin,h,w)` to `(B,Cout,2h,2w)`."""
    return nn.Sequential(nn.Conv2d(channels_in, 4 * channels_out, 1), nn.PixelShuffle(2))


def timestep_embedding(timesteps: Tensor, width: int) -> Tensor:
    """Sines and cosines of a timestep `(B,)`: `(B,width)` (Vaswani et al., 2017; as in DDPM)."""
    half = width // 2
    exponents = torch.arange(half, device=timesteps.device, dtype=torch.float32) / half
    angles = timesteps.float()[:, None] * torch.exp(-math.log(10_000) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class CrossAttention(nn.Module):
    """Each position of a map looks at the context tokens; added to the map."""

    def __init__(self, channels: int, *, context_width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = ChannelNorm(channels)
        self.to_query = nn.Conv2d(channels, channels, 1, bias=False)
        self.to_key_value = nn.Linear(context_width, 2 * channels, bias=False)
        self.to_out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.to_out.weight)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """`x (B,C,h,w)`, `context (B,L,D)`; returns the shape of `x`."""
        batch, channels, height, width = x.shape
        query = self.to_query(self.norm(x)).flatten(2).transpose(1, 2)
        key, value = self.to_key_value(context).chunk(2, dim=-1)
        query, key, value = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (query, key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B,heads,h*w,C/heads)
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        attended: Tensor = self.to_out(mixed)
        return x + attended
