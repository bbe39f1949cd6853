"""Where prompts act: spatially adaptive scale and shift of a U-Net feature map.

SPADE (Park et al., 2019) as StableSR uses it, after the second convolution of a residual block and
before the skip is added, re-derived: out = norm(x) * (1 + gamma(prompt)) + beta(prompt).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from diffir.diffusion.layers import ChannelNorm


class PromptInjection(nn.Module):
    """Scales and shifts `(B,C,h,w)` by a prompt map `(B,D,h,w)` of the same grid."""

    def __init__(self, channels: int, *, prompt_width: int, hidden: int = 32) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.shared = nn.Conv2d(prompt_width, hidden, 3, padding=1)
        self.to_scale_shift = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        nn.init.normal_(self.to_scale_shift.weight, std=0.01)

    def forward(self, x: Tensor, prompt: Tensor) -> Tensor:
        """Return the modulated map, of the shape of `x`."""
        scale, shift = self.to_scale_shift(F.relu(self.shared(prompt))).chunk(2, dim=1)
        modulated: Tensor = self.norm(x) * (1 + scale) + shift
        return modulated
