"""Residual blocks whose convolutions have kernels of their own for each codec.

    degradation -> gate g     x + conv2(relu(conv1(x))),   kernel = W + sum of g_i W_i

Conditionally parameterized convolutions (Yang et al., CondConv, NeurIPS 2019) as residual experts:
a kernel is mixed once per picture, then convolved as any other, so that experts cost memory and no
time. The gate is a softmax over codec and severity, which are the same everywhere in a picture.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from diffir.diffusion.layers import ResidualBlock

if TYPE_CHECKING:
    from torch import Tensor


class ExpertConv(nn.Conv2d):
    """3x3 convolution of C to C channels with N further kernels, each a row, at zero at first."""

    def __init__(self, channels: int, experts: int) -> None:
        super().__init__(channels, channels, 3, padding=1)
        self.experts = nn.Parameter(torch.zeros(experts, self.weight.numel()))

    def forward(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        """`x (B,C,h,w)`, `gates (B,N)` to the shape of `x`; without gates no expert takes part."""
        if gates is None:
            return super().forward(x)
        batch, channels, height, width = x.shape
        kernels = self.weight + (gates @ self.experts).reshape(-1, *self.weight.shape)
        if batch == 1:
            return F.conv2d(x, kernels[0], self.bias, padding=1)
        # Each picture is a group: one convolution, as fast as with one kernel for all of them.
        groups = x.reshape(1, batch * channels, height, width)
        mixed = F.conv2d(
            groups.contiguous(memory_format=torch.channels_last),
            kernels.flatten(0, 1),
            None if self.bias is None else self.bias.repeat(batch),
            padding=1,
            groups=batch,
        )
        return mixed.reshape(x.shape)


class ExpertBlock(ResidualBlock):
    """`ResidualBlock` with expert kernels in both convolutions, and one gate for the two.

    Args:
        channels: channels C of the map. experts: further kernels N.
        degradation_width: width D of the degradation embedding that the gate looks at.
    """

    conv1: ExpertConv
    conv2: ExpertConv

    def __init__(self, channels: int, *, experts: int, degradation_width: int) -> None:
        super().__init__(channels, partial(ExpertConv, experts=experts))
        # Not at zero: experts with equal shares would get equal gradients, and stay equal.
        self.gate = nn.Linear(degradation_width, experts)

    def forward(self, x: Tensor, degradation: Tensor | None = None) -> Tensor:
        """`x (B,C,h,w)`, `degradation (B,D)` to the shape of `x`; without it experts are idle."""
        gates = None if degradation is None else self.gate(degradation).softmax(dim=-1)
        residual: Tensor = self.conv2(F.relu(self.conv1(x, gates)), gates)
        return x + residual

    def become_identity(self) -> None:
        """See `ResidualBlock`."""
        super().become_identity()
        nn.init.zeros_(self.conv2.experts)

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """By name, what the block has beside a `ResidualBlock`."""
        own = ("conv1.experts", "conv2.experts", "gate.")
        return {name: p for name, p in self.named_parameters() if name.startswith(own)}
