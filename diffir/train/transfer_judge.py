"""Is a fine-tuned model better? Held-out crops of the codec, against the base and the input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from diffir.contracts.prompt_pack import Gain
from diffir.errors import DataError
from diffir.evaluate.student import mean
from diffir.restore.tensors import to_image
from diffir.train.held_out import SAMPLED_STEPS, psnr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from diffir.contracts.codec import CodecInfo
    from diffir.diffusion.model import RestorationModel
    from diffir.train.transfer_crops import Pair, Pixels


@dataclass(frozen=True)
class Scores:
    """Means over the held-out crops.

    LPIPS (AlexNet) and DISTS of the rich estimate, PSNR in dB of the faithful one.
    """

    lpips: float
    dists: float
    psnr: float

    def __str__(self) -> str:
        return f"LPIPS {self.lpips:.4f}, DISTS {self.dists:.4f}, PSNR {self.psnr:.2f} dB"


@dataclass(frozen=True)
class Verdict:
    """What the input, the base model and this one score, and this one's gains over the base."""

    input: Scores
    base: Scores
    mean: Scores
    lpips: Gain
    dists: Gain
    psnr: Gain

    @property
    def ratio(self) -> float:
        """By what a run is steered: LPIPS and DISTS over the base's, the mean of the two.

        The loss has LPIPS in it, and prompts can learn to please it by a pattern; DISTS, which
        nothing was trained on, has as much to say.
        """
        ratios = (self.mean.lpips / self.base.lpips, self.mean.dists / self.base.dists)
        return sum(ratios) / 2

    @classmethod
    def from_dict(cls, table: Mapping[str, Mapping[str, float]]) -> Self:
        """The inverse of `dataclasses.asdict`."""
        seen, base, mean = (Scores(**table[name]) for name in ("input", "base", "mean"))
        lpips, dists, psnr = (Gain(**table[name]) for name in ("lpips", "dists", "psnr"))
        return cls(seen, base, mean, lpips, dists, psnr)

    def __str__(self) -> str:
        return f"{self.mean} (base {self.base}; input {self.input})"

    @property
    def short(self) -> str:
        """For a line of a terminal."""
        mean, base, seen = self.mean, self.base, self.input
        return (
            f"LPIPS {mean.lpips:.4f} (base {base.lpips:.4f}, input {seen.lpips:.4f}), "
            f"PSNR {mean.psnr:.2f} ({base.psnr:.2f}, {seen.psnr:.2f})"
        )


class Judge:
    """Compares models on crops that nobody learns from.

    Args:
        base: what is to be beaten. crops: held out. lpips: on AlexNet. dists: beside it.

    Raises:
        DataError: less than two crops.
    """

    def __init__(
        self, base: RestorationModel, crops: Sequence[Pair], lpips: nn.Module, dists: nn.Module
    ) -> None:
        if len(crops) < 2:
            raise DataError(
                f"expected two crops or more to judge on, got {len(crops)}",
                hint="Give more or larger pictures.",
            )
        self.lpips, self.dists = lpips, dists
        self.device = next(base.parameters()).device
        self.multiple, self.crops = base.multiple, crops
        with torch.inference_mode():
            self.input = torch.tensor([self._score(low, low, hq) for hq, low, _ in self._rows()])
        self.base = self.scores(base)

    def __call__(self, model: RestorationModel) -> Verdict:
        """Restore every crop with `model` and compare, crop by crop."""
        scores = self.scores(model)
        seen, base, mean = (
            Scores(*table.mean(dim=0).tolist()) for table in (self.input, self.base, scores)
        )
        lpips, dists, psnr = (interval(column) for column in (scores - self.base).T)
        return Verdict(seen, base, mean, lpips, dists, psnr)

    @torch.inference_mode()
    def scores(self, model: RestorationModel) -> Tensor:
        """LPIPS, DISTS and PSNR of every crop, `(n,3)`."""
        rows, steps = [], min(SAMPLED_STEPS, model.sampler.steps)
        for index, (clean, degraded, codec) in enumerate(self._rows()):
            noise = torch.Generator().manual_seed(index)  # the same for every model
            decoded, _ = model(degraded, [codec], steps=steps, generator=noise)
            rows.append(self._score(decoded.rich, decoded.faithful, clean))
        return torch.tensor(rows)

    def _rows(self) -> Iterator[tuple[Tensor, Tensor, CodecInfo]]:
        """Clean and degraded image of each crop, and its codec. As bytes they take a quarter."""
        for crop in self.crops:
            clean, degraded = (
                _image(pixels, self.multiple).to(self.device)
                for pixels in (crop.clean, crop.degraded)
            )
            yield clean, degraded, crop.codec

    def _score(self, rich: Tensor, faithful: Tensor, clean: Tensor) -> tuple[float, float, float]:
        rich, faithful = rich.clamp(0, 1), faithful.clamp(0, 1)
        by_networks = float(self.lpips(rich, clean)), float(self.dists(rich, clean))
        return *by_networks, psnr(faithful, clean)


def interval(differences: Tensor) -> Gain:
    """Mean and 95 % confidence interval of two or more paired differences `(n,)`."""
    if not differences.isfinite().all():
        return Gain(math.nan, math.nan, math.nan)
    found = mean(differences.tolist())
    half = found.half_width or 0.0
    return Gain(found.value, found.value - half, found.value + half)


def _image(pixels: Pixels, multiple: int) -> Tensor:
    height, width = (side - side % multiple for side in pixels.shape[:2])
    return to_image(pixels[:height, :width])
