"""What an estimate is charged for, in training and in fine-tuning alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor, nn

SQUARED_WEIGHT = 5.0
LATTICE_NOISE = 2 / 255
"""Of a block that counts as flat: what differs less counts no more."""
BLOCK = 8


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


def lattice(restored: Tensor, clean: Tensor) -> Tensor:
    """What the error of `(B,3,H,W)` repeats every 8 pixels, in flat places most; a scalar.

    The blocks' mean error, each weighed by the inverse energy of what the clean block has beside
    its mean: a lattice stays in it, and what differs from block to block averages out. The sides
    are multiples of 8.
    """
    error_blocks, clean_blocks = _blocks(restored - clean), _blocks(clean)
    energy = clean_blocks.var(dim=(1, 3, 5), keepdim=True, correction=0)
    weight = 1 / (energy + LATTICE_NOISE**2)
    mean_block = (weight * error_blocks).sum(dim=(2, 4)) / weight.sum(dim=(2, 4))
    repeated: Tensor = mean_block - mean_block.mean(dim=(2, 3), keepdim=True)
    return repeated.abs().mean()


def _blocks(image: Tensor) -> Tensor:
    """`(B,C,H,W)` to `(B,C,rows,8,columns,8)`."""
    batch, channels, height, width = image.shape
    return image.reshape(batch, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
