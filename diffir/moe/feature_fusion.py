"""The compensator's network at one level: F(cat(f_enc, f_dec)) of the encoder's and decoder's maps.

    cat (2C) -> residual block 2C to C -> RRDB -> RRDB -> residual block -> C

StableSR's "controllable feature wrapping", re-derived; the dense blocks are those of ESRGAN (Wang
et al., 2018): five convolutions, each of which sees all before it, and a residual scale of 0.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESIDUAL_SCALE = 0.2
EPSILON = 1e-6
"""Of the group norms: the autoencoder's, not the U-Net's."""


class NormedBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), with a 1x1 convolution where widths differ."""

    def __init__(self, channels_in: int, channels: int, *, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps=EPSILON)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels, eps=EPSILON)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = (
            nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(B,Cin,h,w)` to `(B,C,h,w)`."""
        branch = self.conv1(F.silu(self.norm1(x)))
        branch = self.conv2(F.silu(self.norm2(branch)))
        out: Tensor = self.skip(x) + branch
        return out


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the input and all outputs before it."""

    def __init__(self, channels: int, *, growth: int) -> None:
        super().__init__()
        widths = [growth] * 4 + [channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + index * growth, width, 3, padding=1)
            for index, width in enumerate(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(B,C,h,w)` to the same shape."""
        seen = [x]
        for conv in self.convs[:-1]:
            seen.append(F.leaky_relu(conv(torch.cat(seen, dim=1)), 0.2))
        out: Tensor = x + RESIDUAL_SCALE * self.convs[-1](torch.cat(seen, dim=1))
        return out


class RRDB(nn.Module):
    """Residual in residual: three dense blocks and a skip over them."""

    def __init__(self, channels: int, *, growth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DenseBlock(channels, growth=growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """`(B,C,h,w)` to the same shape."""
        branch = x
        for block in self.blocks:
            branch = block(branch)
        return x + RESIDUAL_SCALE * branch


class FeatureFusion(nn.Module):
    """F of one level.

    Args:
        channels: C of both maps. growth: of the dense blocks. groups: of the group norms.
    """

    def __init__(self, channels: int, *, growth: int = 32, groups: int = 32) -> None:
        super().__init__()
        self.reduce = NormedBlock(2 * channels, channels, groups=groups)
        self.dense = nn.ModuleList(RRDB(channels, growth=growth) for _ in range(2))
        self.refine = NormedBlock(channels, channels, groups=groups)

    def forward(self, encoder_map: Tensor, decoder_map: Tensor) -> Tensor:
        """Two maps `(B,C,h,w)` to what is added to the decoder's."""
        x = self.reduce(torch.cat([encoder_map, decoder_map], dim=1))
        for block in self.dense:
            x = block(x)
        out: Tensor = self.refine(x)
        return out
