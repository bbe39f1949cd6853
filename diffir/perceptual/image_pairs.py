"""What a metric asks of the two images that it compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


def check_pair(a: Tensor, b: Tensor, *, smallest: int, metric: str) -> None:
    """Refuse two images that `metric` cannot compare.

    Args:
        a: one batch of images.
        b: the other.
        smallest: least rows and columns.
        metric: the name for the message.

    Raises:
        DataError: not two `(B,3,H,W)` of one shape, or H or W is less than `smallest`.
    """
    if a.shape != b.shape or a.ndim != 4 or a.shape[1] != 3:
        raise DataError(
            f"{metric} compares two (B,3,H,W) of one shape, got {tuple(a.shape)} and "
            f"{tuple(b.shape)}",
            hint="Give both images at the same size, with three channels.",
        )
    if min(a.shape[2:]) < smallest:
        raise DataError(
            f"{metric} needs at least {smallest}x{smallest} pixels, "
            f"got {a.shape[3]}x{a.shape[2]} (width x height)",
            hint="Leave pictures this small out, or ask for psnr and ssim only.",
        )
