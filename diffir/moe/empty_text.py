"""What Stable Diffusion is told where it is told nothing: the text encoder's answer to "".

It is the context of the method without its visual-to-text adapter. The text encoder itself is not
needed, and not stored: its answer never changes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class EmptyText(nn.Module):
    """Conditioner that says the same of every picture.

    Args:
        width: token width D. tokens: how many; CLIP's text has 77.

    Attributes:
        tokens: `(1,L,D)`, zero until a converted model's are loaded.
    """

    def __init__(self, *, width: int, tokens: int = 77) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.zeros(1, tokens, width))

    def condition(self, image: Tensor, latent: Tensor) -> Tensor:
        """See `diffir.contracts.interfaces.Conditioner.condition`."""
        return cast("Tensor", self.tokens).expand(len(image), -1, -1)
