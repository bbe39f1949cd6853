"""A conditioner in one file: the mean colors of a coarse grid, as tokens.

diffir --plugin examples/own_conditioner_plugin.py list conditioners

In a package the class has a module of its own, so that `diffir --help` need not wait for torch.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from diffir.host.hookspecs import hookimpl


@hookimpl
def register_conditioners(register):
    """A recipe takes it by this name: `[conditioner]`, `use = "mean-colors"`."""
    register("mean-colors", f"{__name__}:MeanColors", summary="Mean colors of a coarse grid")


class MeanColors(nn.Module):
    """width: D of the tokens, the U-Net's `context_width`. side: of the grid."""

    def __init__(self, *, width=128, side=4):
        super().__init__()
        self.side = side
        self.project = nn.Linear(3, width)

    def condition(self, image, latent):
        """Turn the degraded image `(B,3,H,W)` into `(B,side*side,D)` tokens."""
        colors = F.adaptive_avg_pool2d(image.float(), self.side)  # (B,3,side,side)
        tokens = colors.flatten(2).transpose(1, 2)  # (B,L,3)
        return self.project(tokens.to(image.dtype) - 0.5)
