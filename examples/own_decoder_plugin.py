"""A decoder in one file: a blurred correction, spread from the latent over the degraded image.

diffir --plugin examples/own_decoder_plugin.py list decoders

In a package the class has a module of its own, so that `diffir --help` need not wait for torch.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from diffir.contracts.interfaces import Decoded
from diffir.host.hookspecs import hookimpl


@hookimpl
def register_decoders(register):
    """A recipe takes it by this name: `[decoder]`, `use = "blurred-correction"`."""
    register("blurred-correction", f"{__name__}:Blurred", summary="Low frequencies are corrected")


class Blurred(nn.Module):
    """latent_channels: of the latent, as in the recipe's encoder."""

    def __init__(self, *, latent_channels=32):
        super().__init__()
        self.faithful_head = nn.Conv2d(latent_channels, 3, 1)
        self.rich_head = nn.Conv2d(latent_channels, 3, 3, padding=1)

    def decode(self, latent, encoded, routing):
        """Return both estimates, each of the size of `encoded.image`, `(B,3,H,W)`."""
        faithful = encoded.image + self._spread(self.faithful_head(latent), encoded.image)
        # Detached: what looks good must not make the faithful estimate wrong.
        rich = faithful.detach() + self._spread(self.rich_head(latent), encoded.image)
        return Decoded(faithful, rich)

    def _spread(self, small, image):
        size = image.shape[-2:]
        large = F.interpolate(small.float(), size, mode="bilinear", align_corners=False)
        return large.to(image.dtype)
