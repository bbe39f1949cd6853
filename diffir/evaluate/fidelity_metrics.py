"""Distances by pixel values: PSNR, SSIM and the blockiness-aware PSNR-B.

All compare two `(H,W,3) uint8` RGB pictures of one size, the reference first. Published figures of
the same name differ by up to several dB with the colors, borders and sizes that they are taken
on: each function says which.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import DataError
from diffir.evaluate.protocol_pixels import LUMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diffir.contracts.codec import Pixels

_PEAK = 255.0
_BLOCK = 8
_SSIM_WINDOW = 11


def psnr_rgb(reference: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and the three channels at once.

    Returns:
        `inf` where the two are equal.

    Raises:
        DataError: the pictures differ in size, or are not `(H,W,3) uint8`.
    """
    _check_pair(reference, other, smallest=1, metric="PSNR")
    return _decibel(_mean_square(reference.astype(np.float64) - other))


def ssim(reference: Pixels, other: Pixels) -> float:
    """Structural similarity (Wang et al. 2004) in [-1,1], 1 where equal; mean of three channels.

    Gaussian window of 11x11, sigma 1.5, K1 = 0.01, K2 = 0.03. Only windows that lie wholly inside
    the picture count ("valid"): nothing is padded.

    Raises:
        DataError: the pictures differ in size, are not `(H,W,3) uint8`, or have fewer than 11 rows
            or columns.
    """
    import kornia.metrics
    import torch

    _check_pair(reference, other, smallest=_SSIM_WINDOW, metric="SSIM")
    a, b = (
        torch.from_numpy(pixels.astype(np.float64)).permute(2, 0, 1)[None]
        for pixels in (reference, other)
    )
    similarity = kornia.metrics.ssim(a, b, _SSIM_WINDOW, max_val=_PEAK, padding="valid")
    return float(similarity.mean())


def psnr_b(reference: Pixels, other: Pixels) -> float:
    """PSNR in dB, less a penalty for edges on the 8x8 grid of `other` (Yim & Bovik 2011).

    On MATLAB luma (BT.601, 16 to 235) with a peak of 255, not rounded. The grid begins in the
    corner.

    Returns:
        `inf` where the two are equal and `other` shows no blocks.

    Raises:
        DataError: the pictures differ in size, are not `(H,W,3) uint8`, or have fewer than 9 rows
            or columns.
    """
    _check_pair(reference, other, smallest=_BLOCK + 1, metric="PSNR-B")
    return _psnr_b(reference @ LUMA, other @ LUMA)


def psnr_b_gray(reference: Pixels, other: Pixels) -> float:
    """`psnr_b` of gray pictures: the first of three equal channels is taken as it is."""
    _check_pair(reference, other, smallest=_BLOCK + 1, metric="PSNR-B")
    one, two = (pixels[:, :, 0].astype(np.float64) for pixels in (reference, other))
    return _psnr_b(one, two)


def _psnr_b(reference: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return _decibel(_mean_square(reference - other) + _blocking_effect(other))


def _blocking_effect(luma: NDArray[np.float64]) -> float:
    """How much larger steps across the block borders are than the others, as a mean square."""
    steps = [np.square(np.diff(luma, axis=axis)) for axis in (1, 0)]
    at_border = [
        np.broadcast_to(np.arange(luma.shape[1] - 1) % _BLOCK == _BLOCK - 1, steps[0].shape),
        np.broadcast_to(
            (np.arange(luma.shape[0] - 1) % _BLOCK == _BLOCK - 1)[:, None], steps[1].shape
        ),
    ]
    border = np.concatenate([step[where] for step, where in zip(steps, at_border, strict=True)])
    inside = np.concatenate([step[~where] for step, where in zip(steps, at_border, strict=True)])
    excess = float(border.mean() - inside.mean())
    return max(0.0, excess) * math.log2(_BLOCK) / math.log2(min(luma.shape))


def _mean_square(difference: NDArray[np.float64]) -> float:
    return float(np.square(difference).mean())


def _decibel(mean_square: float) -> float:
    return math.inf if mean_square == 0 else 10 * math.log10(_PEAK**2 / mean_square)


def _check_pair(reference: Pixels, other: Pixels, *, smallest: int, metric: str) -> None:
    for pixels in (reference, other):
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise DataError(
                f"{metric} compares (H,W,3) uint8, got {pixels.shape} {pixels.dtype}",
                hint="Round both pictures to 8 bits: see diffir.evaluate.protocol.",
            )
    if reference.shape != other.shape:
        raise DataError(
            f"{metric} compares pictures of one size, got {_size(reference)} and {_size(other)}",
            hint="A restored picture has the size of its input; do not resize either.",
        )
    if min(reference.shape[:2]) < smallest:
        raise DataError(
            f"{metric} needs {smallest}x{smallest} pixels or more, got {_size(reference)}",
            hint="Leave pictures this small out, or do not ask for this metric.",
        )


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
