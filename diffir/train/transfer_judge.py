"""Is a fine-tuned model better? Held-out crops of the codec, against the base and the input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from diffir.contracts.prompt_pack import Gain
from diffir.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from diffir.diffusion.model import RestorationModel
    from diffir.train.transfer_crops import Pair


@dataclass(frozen=True)
class Verdict:
    """Means over the held-out crops: the input, the base model and this one, and this one's gain.

    LPIPS (AlexNet) of the rich estimate, PSNR of the faithful one.
    """

    input_lpips: float
    base_lpips: float
    mean_lpips: float
    input_psnr: float
    base_psnr: float
    mean_psnr: float
    lpips: Gain
    psnr: Gain

    def __str__(self) -> str:
        return (
            f"LPIPS {self.mean_lpips:.4f} (base {self.base_lpips:.4f}, input "
            f"{self.input_lpips:.4f}), PSNR {self.mean_psnr:.2f} dB (base {self.base_psnr:.2f}, "
            f"input {self.input_psnr:.2f})"
        )


class Judge:
    """Compares models on crops that nobody learns from.

    Args:
        base: what is to be beaten. crops: held out. lpips: on AlexNet.

    Raises:
        DataError: less than two crops.
    """

    def __init__(self, base: RestorationModel, crops: Sequence[Pair], lpips: nn.Module) -> None:
        if len(crops) < 2:
            raise DataError(
                f"expected two crops or more to judge on, got {len(crops)}",
                hint="Give more or larger pictures.",
            )
        self.lpips = lpips
        self.device = next(base.parameters()).device

        def image(pixels: object) -> Tensor:
            return _image(pixels, base.multiple).to(self.device)

        self.rows = [(image(crop.clean), image(crop.degraded), crop.codec) for crop in crops]
        with torch.inference_mode():
            self.input = torch.tensor([self._score(low, low, hq) for hq, low, _ in self.rows])
        self.base = self._scores(base)

    def __call__(self, model: RestorationModel) -> Verdict:
        """Restore every crop with `model` and compare, crop by crop."""
        scores = self._scores(model)
        gains = scores - self.base
        (input_lpips, input_psnr), (base_lpips, base_psnr), (mean_lpips, mean_psnr) = (
            table.mean(dim=0).tolist() for table in (self.input, self.base, scores)
        )
        return Verdict(
            input_lpips=input_lpips,
            base_lpips=base_lpips,
            mean_lpips=mean_lpips,
            input_psnr=input_psnr,
            base_psnr=base_psnr,
            mean_psnr=mean_psnr,
            lpips=interval(gains[:, 0]),
            psnr=interval(gains[:, 1]),
        )

    @torch.inference_mode()
    def _scores(self, model: RestorationModel) -> Tensor:
        rows = []
        for index, (clean, degraded, codec) in enumerate(self.rows):
            noise = torch.Generator().manual_seed(index)  # the same for every model
            decoded, _ = model(degraded, [codec], generator=noise)
            rows.append(self._score(decoded.rich, decoded.faithful, clean))
        return torch.tensor(rows)

    def _score(self, rich: Tensor, faithful: Tensor, clean: Tensor) -> tuple[float, float]:
        psnr = -10 * torch.log10(F.mse_loss(faithful.clamp(0, 1), clean))
        return float(self.lpips(rich.clamp(0, 1), clean)), float(psnr)


def interval(differences: Tensor) -> Gain:
    """Mean and 95 % confidence interval of paired differences `(n,)`, by the normal law."""
    mean = float(differences.mean())
    half = 1.96 * float(differences.std()) / math.sqrt(len(differences))
    return Gain(mean, mean - half, mean + half)


def _image(pixels: object, multiple: int) -> Tensor:
    array = torch.as_tensor(pixels)
    height, width = (side - side % multiple for side in array.shape[:2])
    return array[:height, :width].permute(2, 0, 1)[None].float() / 255
