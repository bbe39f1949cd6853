"""Spatially adaptive normalization as StableSR places it in Stable Diffusion's residual blocks.

SPADE (Park et al., 2019), re-derived: out = norm(x) * (1 + gamma(prompt)) + beta(prompt), where
norm is a group norm of 32 groups with weights, in float32, and gamma and beta are 3x3 convolutions
over a shared one. `PromptInjection` is the same thing for the light prior, without groups.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Spade(nn.Module):
    """Scale and shift of one residual block by a prompt map of its grid.

    The scale and the shift depend on the prompt alone: `maps` makes them once per picture, and
    `forward` applies them at every timestep.

    Args:
        channels: C of the block.
        prompt_width: D of the prompt map.
        hidden: width of the shared convolution.
        groups: of the norm; fewer in models that are small for tests.
    """

    def __init__(
        self, channels: int, *, prompt_width: int, hidden: int = 128, groups: int = 32
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-5)
        self.shared = nn.Conv2d(prompt_width, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def maps(self, prompt: Tensor) -> Tensor:
        """Prompt map `(B,D,h,w)` to scale, from which 1 is missing, and shift: `(B,2C,h,w)`."""
        hidden = F.relu(self.shared(prompt))
        return torch.cat([self.gamma(hidden), self.beta(hidden)], dim=1)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        """`(B,C,h,w)` to the same shape; `maps` is what `maps` returned."""
        scale, shift = maps.chunk(2, dim=1)
        weight, bias = (
            None if p is None else p.float() for p in (self.norm.weight, self.norm.bias)
        )
        normed = F.group_norm(x.float(), self.norm.num_groups, weight, bias, self.norm.eps)
        return torch.addcmul(shift, normed.to(x.dtype), 1 + scale)
