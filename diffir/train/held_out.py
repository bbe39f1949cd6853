"""The running judgement: restored against unrestored on pictures that are not trained on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from diffir.contracts.picture import Picture
from diffir.degradations.tasks import find_task
from diffir.errors import DataError
from diffir.restore.tensors import pad_to_multiple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from diffir.contracts.codec import CodecInfo
    from diffir.diffusion.model import RestorationModel
    from diffir.host.manager import Host

TASKS = ("jpeg-10", "webp-5", "hevc-42")
SIDE = 256
SAMPLED_STEPS, SAMPLED_ROWS = 20, 12
"""Of a model that samples from noise: all rows at its 200 steps would take longer than training."""


@dataclass(frozen=True)
class Judgement:
    """Means over the held-out crops; `input_*` is the unrestored row.

    LPIPS: AlexNet, of the rich estimate. PSNR: of the faithful one, in dB over RGB.
    """

    input_lpips: float
    lpips: float
    input_psnr: float
    psnr: float

    def __str__(self) -> str:
        return (
            f"LPIPS {self.lpips:.4f} (input {self.input_lpips:.4f}), "
            f"PSNR {self.psnr:.2f} dB (input {self.input_psnr:.2f})"
        )


class HeldOut:
    """The busiest crop of each picture, each degraded by each of `TASKS` once, kept in memory.

    Raises:
        DataError: a picture is less than 32 pixels wide or high.
    """

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], host: Host) -> None:
        self.rows: list[tuple[Tensor, Tensor, CodecInfo]] = []
        for pixels in pictures:
            clean = busiest_crop(pixels, SIDE)
            for name in TASKS:
                rng = np.random.default_rng(0)
                degraded = find_task(host, name).degrade(Picture(clean), rng)
                self.rows.append(
                    (_image(clean), _image(np.asarray(degraded.pixels)), degraded.codec)
                )

    @torch.inference_mode()
    def judge(self, model: RestorationModel, lpips: nn.Module) -> Judgement:
        """Restore every crop and compare; the model is left in the mode that it was in."""
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        figures = []
        sampled = model.sampler.steps > 1
        steps = min(SAMPLED_STEPS, model.sampler.steps)
        for clean, degraded, codec in self.rows[: SAMPLED_ROWS if sampled else None]:
            clean, degraded = clean.to(device), degraded.to(device)
            padded = pad_to_multiple(degraded, model.multiple)
            noise = torch.Generator().manual_seed(0)
            decoded, _ = model(padded, [codec], steps=steps, generator=noise)
            rows, columns = clean.shape[-2:]
            rich, faithful = (
                estimate[..., :rows, :columns].clamp(0, 1)
                for estimate in (decoded.rich, decoded.faithful)
            )
            figures.append(
                (
                    float(lpips(degraded, clean)),
                    float(lpips(rich, clean)),
                    psnr(degraded, clean),
                    psnr(faithful, clean),
                )
            )
        model.train(training)
        return Judgement(*(float(mean) for mean in np.mean(figures, axis=0)))


def busiest_crop(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The crop with the steepest steps between pixels: skies judge no model.

    Args:
        pixels: `(H,W,3)`.
        side: of the crop in pixels, a multiple of 32; smaller where the picture is.

    Raises:
        DataError: the picture is less than 32 pixels wide or high.
    """
    height, width = (whole - whole % 32 for whole in pixels.shape[:2])
    if not height or not width:
        raise DataError(
            f"a held-out picture has {pixels.shape[1]}x{pixels.shape[0]} pixels, "
            "at least 32x32 are needed",
            hint="Leave small pictures out of the folder; training judges by them at half size.",
        )
    gray = pixels[:height, :width].mean(axis=2)
    steps = np.abs(np.diff(gray, axis=1)).cumsum(axis=0).cumsum(axis=1)
    sums = np.pad(steps, ((1, 0), (1, 0)))  # of everything above and to the left
    down, right = min(side, height), min(side, width)

    def busyness(place: tuple[int, int]) -> float:
        top, left = place
        bottom, end = top + down, left + right - 1
        return float(sums[bottom, end] - sums[top, end] - sums[bottom, left] + sums[top, left])

    tops, lefts = range(0, height - down + 1, 32), range(0, width - right + 1, 32)
    top, left = max(itertools.product(tops, lefts), key=busyness)
    return np.ascontiguousarray(pixels[top : top + down, left : left + right])


def _image(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None] / 255


def psnr(a: Tensor, b: Tensor) -> float:
    """In dB of `(B,3,H,W)` in [0,1], at most 100: a flat crop can come back as it was."""
    return float(-10 * torch.log10(F.mse_loss(a, b).clamp(min=1e-10)))
