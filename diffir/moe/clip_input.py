"""What CLIP towers are given: the short side resized to the tower's, and the centre of it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training pictures, red, green and blue (Radford et al., 2021)."""


def clip_input(image: Tensor, *, side: int, normalize: bool) -> Tensor:
    """`(B,3,H,W)` in [0,1] to `(B,3,side,side)`.

    Args:
        image: of any size.
        side: of the result, in pixels.
        normalize: by CLIP's mean and deviation; else as the published code does, to [-1,1], and
            resized without a low-pass filter, which its torchvision did not have for tensors.
    """
    height, width = image.shape[-2:]
    scale = side / min(height, width)
    size = max(side, round(height * scale)), max(side, round(width * scale))
    # In float32: on a CPU this resampling knows no half precision.
    resized = F.interpolate(image.float(), size, mode="bilinear", antialias=normalize)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    crop = resized[..., top : top + side, left : left + side]
    mean, deviation = (
        (crop.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        if normalize
        else (0.5, 0.5)
    )
    return ((crop - mean) / deviation).to(image.dtype)
