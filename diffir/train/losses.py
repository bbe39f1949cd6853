"""What an estimate is charged for, in training and in fine-tuning alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor, nn

SQUARED_WEIGHT = 5.0


def error(restored: Tensor, clean: Tensor) -> Tensor:
    """L1 and squared error of `(B,3,H,W)`, a scalar.

    L1 alone pulls as hard on a pixel that is nearly right as on a block that is plainly wrong; with
    the square beside it a fresh model learned a third more in its first minute.
    """
    return F.l1_loss(restored, clean) + SQUARED_WEIGHT * F.mse_loss(restored, clean)


def lpips_at_two_scales(lpips: nn.Module, restored: Tensor, clean: Tensor) -> Tensor:
    """LPIPS of the whole, and of a random quarter magnified twice; a scalar.

    AlexNet's first convolution strides by 4 and is blind to finer patterns.
    """
    half = restored.shape[-1] // 2
    top, left = (int(torch.randint(half + 1, ())) for _ in range(2))
    near, near_clean = (
        F.interpolate(
            image[..., top : top + half, left : left + half], scale_factor=2, mode="bilinear"
        )
        for image in (restored, clean)
    )
    both: Tensor = 0.6 * lpips(restored, clean).mean() + 0.4 * lpips(near, near_clean).mean()
    return both
