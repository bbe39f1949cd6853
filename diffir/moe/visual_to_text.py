"""The visual-to-text adapter: tokens of the picture where a diffusion model expects text.

    image -> resize to 128x128 -> image tower -> 8x8 tokens --.
                                          learnable tokens ---+-> residual MLP -> (B,L,D)

The method uses the CLIP RN50 trunk, 49 tokens of it and 49 learnable ones. Any trunk of timm serves
(`tower="resnet50_clip.openai"`). The model in the box has the light tower below, because importing
timm alone takes three times as long as importing torch.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_SIDE = 128


def light_tower(width: int) -> nn.Module:
    """Four strided convolutions: `(B,3,128,128)` to `(B,width,8,8)`."""
    widths = [3, width // 4, width // 2, width, width]
    layers: list[nn.Module] = []
    for fine, coarse in itertools.pairwise(widths):
        layers += [nn.Conv2d(fine, coarse, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def timm_tower(name: str, width: int) -> nn.Module:
    """The trunk of a timm model, without its head, brought to `width` channels."""
    import timm

    trunk = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
    # Not `num_features`: some trunks widen once more after their last stage.
    return nn.Sequential(trunk, nn.Conv2d(trunk.head_hidden_size, width, 1))


class VisualToText(nn.Module):
    """Conditioner of the method.

    Args:
        width: token width D.
        learned: number of learnable tokens beside those of the tower.
        tower: "light", or the name of a convolutional timm model.
    """

    def __init__(self, *, width: int, learned: int = 16, tower: str = "light") -> None:
        super().__init__()
        self.tower = light_tower(width) if tower == "light" else timm_tower(tower, width)
        # Not at zero: equal tokens would get equal gradients, and stay equal.
        self.learned = nn.Parameter(0.1 * torch.randn(1, learned, width))
        self.adapter = nn.Sequential(
            nn.Linear(width, width // 4, bias=False),
            nn.ReLU(),
            nn.Linear(width // 4, width, bias=False),
        )

    def condition(self, image: Tensor, latent: Tensor) -> Tensor:
        """See `diffir.contracts.interfaces.Conditioner.condition`."""
        side = (INPUT_SIDE, INPUT_SIDE)
        # In float32: on a CPU this resampling knows no half precision.
        small = F.interpolate(image.float() - 0.5, side, mode="bilinear", antialias=True)
        seen = self.tower(small.to(image.dtype)).flatten(2).transpose(1, 2)  # (B,64,D)
        tokens = torch.cat([seen, self.learned.expand(len(image), -1, -1)], dim=1)
        adapted: Tensor = tokens + F.relu(self.adapter(tokens))
        return adapted
