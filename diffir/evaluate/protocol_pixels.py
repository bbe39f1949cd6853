"""What protocols do to pixels: rounding, luma, and the small square of the paper's test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels
    from diffir.contracts.picture import AnyPixels

LUMA = np.array([65.481, 128.553, 24.966]) / 255
"""ITU-R BT.601 luma of RGB in [0,255], as MATLAB's rgb2ycbcr gives it: 16 (black) to 235 (white),
less the 16."""

SIDE = 256
GRID = 32


def as_8bit(pixels: AnyPixels) -> Pixels:
    """Round `(H,W,3)` of 16 bits to 8; those of 8 bits come back as they are."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    return np.rint(pixels.astype(np.float64) / 257).astype(np.uint8)


def is_gray(pixels: Pixels) -> bool:
    """Whether the three channels of `(H,W,3)` are equal."""
    return bool((pixels == pixels[:, :, :1]).all())


def matlab_luma(pixels: Pixels) -> Pixels:
    """MATLAB's luma of `(H,W,3) uint8` RGB, three times; gray pictures come back as they are.

    Gray sets such as Classic5 are published as luma: to convert them once more would flatten them.
    """
    if is_gray(pixels):
        return pixels
    luma = np.rint(16 + pixels @ LUMA).astype(np.uint8)
    return np.repeat(luma[:, :, None], 3, axis=2)


def small_square(pixels: Pixels) -> Pixels:
    """The middle 256x256 of `(H,W,3) uint8`, made small as MoE-DiffIR's test script does.

    Lanczos down to sides that are multiples of 32 (at least 32), then bilinear to a short side of
    256 without antialias (every torchvision before 0.17 does so to tensors), then the crop.
    """
    import torch
    import torch.nn.functional as F
    from PIL import Image

    height, width = (max(GRID, side // GRID * GRID) for side in pixels.shape[:2])
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    # torchvision cuts the long side off to a whole number.
    size = tuple(int(SIDE * side / min(height, width)) for side in (height, width))
    image = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].double()
    small = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=False)
    top, left = (round((side - SIDE) / 2) for side in size)
    square = small[0, :, top : top + SIDE, left : left + SIDE].permute(1, 2, 0)
    rounded: Pixels = square.clamp(0, 255).round().byte().numpy()
    return rounded
