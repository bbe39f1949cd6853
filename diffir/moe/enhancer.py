"""The enhancer: cleans the degraded latent a little, so that CLIP sees the picture and not blocks.

    latent -> conv 3x3 -> 4 Restormer blocks -> conv 1x1 -> + latent

A Restormer block (Zamir et al., 2022) attends between channels, so its price grows with the area
alone. It learns in a training of its own that the method does not publish, and is frozen after.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.diffusion.layers import ChannelNorm

EXPANSION = 2.66


class ChannelAttention(nn.Module):
    """Attention between channels, after a depthwise 3x3 convolution ("MDTA")."""

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_depthwise = nn.Conv2d(
            3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False
        )
        self.proj = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B,C,h,w)` to the same shape."""
        query, key, value = (
            t.flatten(2).unflatten(1, (self.heads, -1))  # (B,heads,C/heads,h*w)
            for t in self.qkv_depthwise(self.qkv(x)).chunk(3, dim=1)
        )
        query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
        weights = (query @ key.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        out: Tensor = self.proj((weights @ value).reshape(x.shape))
        return out


class GatedFeedForward(nn.Module):
    """Two branches of a widened map, one gating the other ("GDFN")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = int(EXPANSION * channels)
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(
            2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False
        )
        self.proj = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B,C,h,w)` to the same shape."""
        gate, value = self.depthwise(self.expand(x)).chunk(2, dim=1)
        out: Tensor = self.proj(F.gelu(gate) * value)
        return out


class RestormerBlock(nn.Module):
    """Channel attention and gated feed-forward, each behind a norm and beside a skip."""

    def __init__(self, channels: int, *, heads: int = 1) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.attention = ChannelAttention(channels, heads=heads)
        self.norm2 = ChannelNorm(channels)
        self.feed_forward = GatedFeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        """`(B,C,h,w)` to the same shape."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.feed_forward(self.norm2(x))
        return out


class Enhancer(nn.Module):
    """Degraded latent to a cleaner one.

    Args:
        latent_channels: channels of the latent. width: of the blocks. blocks: how many.
    """

    def __init__(self, *, latent_channels: int, width: int, blocks: int = 4) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(latent_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(RestormerBlock(width) for _ in range(blocks))
        self.conv_out = nn.Conv2d(width, latent_channels, 1)

    def forward(self, latent: Tensor) -> Tensor:
        """`(B,C,h,w)` to the same shape."""
        x = self.conv_in(latent)
        for block in self.blocks:
            x = block(x)
        out: Tensor = latent + self.conv_out(x)
        return out
