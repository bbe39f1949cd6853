"""A router in one file: one learned prompt per level, as strong as the compression was.

diffir --plugin examples/own_router_plugin.py list routers

In a package the class has a module of its own, so that `diffir --help` need not wait for torch.
"""

from __future__ import annotations

import torch
from torch import nn

from diffir.contracts.interfaces import Routing
from diffir.host.hookspecs import hookimpl


@hookimpl
def register_routers(register):
    """A recipe takes it by this name: `[router]`, `use = "one-prompt"`."""
    register("one-prompt", f"{__name__}:OnePrompt", summary="One prompt, scaled by severity")


class OnePrompt(nn.Module):
    """No experts: what a mixture must beat. width: D of the prompt maps. levels: of the U-Net."""

    def __init__(self, *, width=64, levels=3):
        super().__init__()
        self.prompts = nn.Parameter(torch.randn(levels, width) * 0.02)

    def route(self, latent, codecs):
        """Give every place of the latent `(B,C,h,w)` the same prompt."""
        told = [0.5 if codec.severity is None else codec.severity for codec in codecs]
        severity = latent.new_tensor(told)[:, None]  # (B,1)
        maps = []
        for level, prompt in enumerate(self.prompts):
            height, width = (-(-side // 2**level) for side in latent.shape[-2:])  # rounded up
            scaled = severity * prompt  # (B,D)
            maps.append(scaled[:, :, None, None].expand(-1, -1, height, width))
        return Routing(tuple(maps), latent.new_ones(len(codecs), 1))
