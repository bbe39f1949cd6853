"""Pixels to tensors and back. The only place where integers become floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from diffir.contracts.picture import AnyPixels


def to_image(pixels: AnyPixels) -> Tensor:
    """`(H,W,3)` uint8 or uint16 to `(1,3,H,W)` float32 in [0,1], channels last in memory."""
    scale = float(np.iinfo(pixels.dtype).max)
    values = torch.from_numpy(pixels.astype(np.float32)).div_(scale)
    return values.permute(2, 0, 1)[None]


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Grow `(1,3,H,W)` to the right and down until both sides are multiples, by mirroring.

    A side that is too short to be mirrored in one go is repeated from its edge.
    """
    height, width = image.shape[-2:]
    down, right = -height % multiple, -width % multiple
    mirrored_down, mirrored_right = min(down, height - 1), min(right, width - 1)
    image = F.pad(image, (0, mirrored_right, 0, mirrored_down), mode="reflect")
    rest = (0, right - mirrored_right, 0, down - mirrored_down)
    return F.pad(image, rest, mode="replicate") if any(rest) else image


def add_residual(pixels: AnyPixels, residual: NDArray[np.float32], *, gray: bool) -> AnyPixels:
    """`pixels + residual`, rounded and clipped to the dtype of `pixels`.

    Args:
        pixels: `(H,W,3)` uint8 or uint16.
        residual: `(H,W,3)`, in units of the full range.
        gray: keep the three channels equal, by their mean.
    """
    if gray:
        residual = np.broadcast_to(residual.mean(axis=2, keepdims=True), residual.shape)
    full = float(np.iinfo(pixels.dtype).max)
    values = pixels + residual * full
    np.rint(values, out=values)
    np.clip(values, 0, full, out=values)
    return values.astype(np.uint8) if pixels.dtype == np.uint8 else values.astype(np.uint16)
