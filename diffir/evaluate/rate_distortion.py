"""Rate and distortion of a codec over its qualities: how many bits, and how far from the original.

    pictures -> encode at each quality -> bits per pixel, the mean over the pictures
                                       -> PSNR of their mean squared error

A mean of PSNRs would be infinite as soon as one picture comes back exactly.
Without torch, so that it is done in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from diffir.errors import DataError
from diffir.evaluate.fidelity_metrics import psnr_rgb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.codec import Codec, Pixels

SHARES = (0.4, 0.6, 0.8)
"""Where qualities beside the benchmark's levels are taken, counted from the scale's worst end."""


@dataclass(frozen=True)
class RatePoint:
    """One quality: bits over pixels, and PSNR in dB, infinite where nothing was lost."""

    quality: float
    bits_per_pixel: float
    psnr: float


def usual_qualities(codec: Codec) -> tuple[float, ...]:
    """The benchmark's levels, and some better ones up to 80 % of the scale; heaviest first."""
    scale = codec.spec.scale
    width = scale.best - scale.worst
    digits = 0 if abs(width) >= 20 else 3
    more = (round(scale.worst + share * width, digits) for share in SHARES)
    return tuple(sorted({*codec.spec.levels, *more}, key=scale.severity, reverse=True))


def measure_rate(
    codec: Codec, pictures: Sequence[Pixels], qualities: Sequence[float]
) -> tuple[RatePoint, ...]:
    """Encode and decode every picture at every quality.

    Args:
        codec: whose sizes and errors are taken.
        pictures: `(H,W,3) uint8` each.
        qualities: on the codec's own scale.

    Raises:
        DataError: no picture.
        CodecError: the codec refused a picture, or changed its size.
    """
    if not pictures:
        raise DataError(
            "expected one picture or more, got none", hint="Give a folder of clean pictures."
        )
    return tuple(_point(codec, pictures, quality) for quality in qualities)


def _point(codec: Codec, pictures: Sequence[Pixels], quality: float) -> RatePoint:
    bits, psnrs = [], []
    for pixels in pictures:
        data = codec.encode(pixels, quality)
        decoded = codec.decode(data)
        bits.append(8 * len(data) / (pixels.shape[0] * pixels.shape[1]))
        psnrs.append(psnr_rgb(pixels, decoded))
    error = fmean(10 ** (-psnr / 10) for psnr in psnrs)  # of samples in [0,1]
    return RatePoint(quality, fmean(bits), -10 * math.log10(error) if error else math.inf)


def rate_table(points: Sequence[RatePoint], *, label: str) -> str:
    """A Markdown table; `label` heads the column of qualities."""
    lines = [f"| {label} | bits per pixel | PSNR dB |", "|---:|---:|---:|"]
    for point in points:
        psnr = f"{point.psnr:.2f}" if math.isfinite(point.psnr) else "exact"
        lines.append(f"| {point.quality:g} | {point.bits_per_pixel:.3f} | {psnr} |")
    return "\n".join(lines) + "\n"
