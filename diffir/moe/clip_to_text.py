"""The visual-to-text adapter at the published size: tokens of the picture in place of text.

    latent -> enhancer -> the autoencoder's plain decoder -> 224x224 -> CLIP RN50 trunk (B,2048,7,7)
      -> conv 3x3 -> 49 tokens --.
            49 learnable tokens --+-> t + relu(W2 relu(W1 t)) -> (B,98,1024)

The plain decoder belongs to the model's decoder. The conditioner borrows it (`borrow`): it holds
the function and not the module, so that no weight is saved, moved or trained twice.

The trunk is timm's `resnet50_clip`, layer by layer that of OpenAI. It is frozen, its batch norms
too: the published training let their statistics drift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.moe.clip_input import clip_input
from diffir.moe.enhancer import Enhancer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

SIDE = 224
"""Of what the trunk sees, in pixels."""
SEEN_LATENT = 32
"""Short side of the latent that is decoded for it: 256 pixels are enough, and a fraction of 512."""


class ClipToText(nn.Module):
    """Conditioner of the method.

    Args:
        width: token width D.
        learned: number of learnable tokens beside those of the trunk.
        normalize: give the trunk CLIP's normalization; the published code does not.
        enhancer: arguments of `Enhancer`, or None to look at the degraded image itself.
        tower: a convolutional CLIP trunk of timm. tower_options: its arguments, for tests.
        reduction: width over the adapter's hidden width.
    """

    def __init__(
        self,
        *,
        width: int,
        learned: int = 49,
        normalize: bool = True,
        enhancer: dict[str, Any] | None = None,
        tower: str = "resnet50_clip",
        tower_options: dict[str, Any] | None = None,
        reduction: int = 4,
    ) -> None:
        super().__init__()
        self.normalize = normalize
        self.enhancer = None if enhancer is None else Enhancer(**enhancer)
        self.tower = timm.create_model(tower, pretrained=False, **(tower_options or {}))
        self.tower.head = nn.Identity()  # attention pooling, which is not used
        self.conv = nn.Conv2d(self.tower.num_features, width, 3, padding=1)
        # Not at zero: equal tokens would get equal gradients, and stay equal.
        self.learned = nn.Parameter(0.1 * torch.randn(1, learned, width))
        self.down = nn.Linear(width, width // reduction, bias=False)
        self.up = nn.Linear(width // reduction, width, bias=False)
        self._decode: Callable[[Tensor], Tensor] | None = None
        for frozen in self._frozen():
            frozen.requires_grad_(False)
        self.train(self.training)

    def borrow(self, decode: Callable[[Tensor], Tensor]) -> None:
        """Take the model's plain decoder, latent `(B,C,h,w)` to image `(B,3,H,W)`."""
        self._decode = decode

    def condition(self, image: Tensor, latent: Tensor) -> Tensor:
        """See `diffir.contracts.interfaces.Conditioner.condition`.

        Raises:
            RuntimeError: there is an enhancer, and no decoder to look at its latent with.
        """
        with torch.no_grad():
            pixels = clip_input(self._seen(image, latent), side=SIDE, normalize=self.normalize)
            features = self.tower.forward_features(pixels)  # (B,2048,7,7)
        seen = self.conv(features).flatten(2).transpose(1, 2)
        tokens = torch.cat([seen, self.learned.expand(len(image), -1, -1)], dim=1)
        adapted: Tensor = tokens + F.relu(self.up(F.relu(self.down(tokens))))
        return adapted

    def learned_parameters(self) -> Iterator[nn.Parameter]:
        """Of the adapter; trunk and enhancer stay as they came."""
        for part in (self.conv, self.down, self.up):
            yield from part.parameters()
        yield self.learned

    def train(self, mode: bool = True) -> Self:
        """The frozen parts stay in evaluation mode."""
        super().train(mode)
        for frozen in self._frozen():
            frozen.eval()
        return self

    def _frozen(self) -> Iterator[nn.Module]:
        yield self.tower
        if self.enhancer is not None:
            yield self.enhancer

    def _seen(self, image: Tensor, latent: Tensor) -> Tensor:
        """The picture as the trunk should see it."""
        if self.enhancer is None:
            return image
        if self._decode is None:
            raise RuntimeError("the enhancer's latent needs a decoder: call borrow first")
        short = min(latent.shape[-2:])
        if short > SEEN_LATENT:
            height, width = (round(side * SEEN_LATENT / short) for side in latent.shape[-2:])
            latent = F.adaptive_avg_pool2d(latent, (height, width))
        return self._decode(self.enhancer(latent)).clamp(0, 1)
