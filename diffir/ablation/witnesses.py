"""What variants are judged by: crops of pictures that none was trained on, at fixed tasks."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.degradations.tasks import find_task
from diffir.evaluate.protocol_pixels import as_8bit
from diffir.pictures.reading import read
from diffir.train.held_out import busiest_crop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from diffir.diffusion.model import RestorationModel
    from diffir.evaluate.metrics import Measure
    from diffir.host.manager import Host

Figures = dict[str, dict[str, float]]
"""By task and metric, means over the crops."""

TASKS = ("jpeg-10", "webp-5", "hevc-42", "mpeg2-16")
"""Three that the recipe in the box trains on, and one codec that it never sees."""

EXACT = 100.0
"""dB, in place of infinitely many: a plain crop can come back as it was, and has to be averaged."""
SIDE = 128
COUNTED_SIDE = 256


@dataclass(frozen=True, eq=False)
class _Row:
    task: str
    clean: NDArray[np.uint8]
    degraded: NDArray[np.uint8]
    codec: CodecInfo


class Witnesses:
    """The busiest crop of each picture, degraded by each task once, kept in memory.

    Args:
        paths: clean pictures. tasks: names of degradations. host: where these come from.
        measures: as `diffir.evaluate.metrics.load_metrics` gives them.

    Raises:
        DataError: a picture is too small. PictureError: a file cannot be read.
        UnknownComponentError: no such task.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        tasks: Sequence[str],
        host: Host,
        measures: Mapping[str, Measure],
    ) -> None:
        self.measures, self._rows = measures, list[_Row]()
        degradations = [find_task(host, name) for name in tasks]
        for path in paths:
            clean = busiest_crop(as_8bit(read(path).pixels), SIDE)
            for task in degradations:
                worse = task.degrade(Picture(clean), np.random.default_rng(0))
                pixels = np.asarray(worse.pixels, dtype=np.uint8)
                self._rows.append(_Row(task.name, clean, pixels, worse.codec))
        seen = hashlib.sha256(
            b"".join(r.clean.tobytes() + r.degraded.tobytes() for r in self._rows)
        )
        self.about = {
            "crops": [path.name for path in paths],
            "pixels": seen.hexdigest()[:12],
            "side": SIDE,
            "tasks": list(tasks),
            "metrics": list(measures),
        }
        """What the figures depend on, for whoever keeps them."""

    def unrestored(self) -> Figures:
        """Of the degraded crops as they are."""
        return self._figures([row.degraded for row in self._rows])

    @torch.inference_mode()
    def judge(self, model: RestorationModel, stages: Sequence[str]) -> Figures:
        """Of a model's estimates: the rich one where the last stage trained it, else the faithful.

        Args:
            model: on the CPU or elsewhere; left in evaluation mode.
            stages: what it was trained by. A prior that was not trained is left out.
        """
        model.eval()
        device = next(model.parameters()).device
        restored = []
        for row in self._rows:
            image = torch.from_numpy(row.degraded).to(device).permute(2, 0, 1)[None].float() / 255
            estimate = _estimate(model, image, row.codec, stages)[0].clamp(0, 1)
            pixels = (255 * estimate).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
            restored.append(np.ascontiguousarray(pixels))
        return self._figures(restored)

    def _figures(self, restored: Sequence[NDArray[np.uint8]]) -> Figures:
        scores: dict[str, dict[str, list[float]]] = {}
        for row, pixels in zip(self._rows, restored, strict=True):
            kept = scores.setdefault(row.task, {name: [] for name in self.measures})
            for name, measure in self.measures.items():
                score = measure(row.clean, pixels)
                kept[name].append(EXACT if math.isinf(score) else score)
        return {
            task: {name: fmean(values) for name, values in by_metric.items()}
            for task, by_metric in scores.items()
        }


def _estimate(
    model: RestorationModel, image: Tensor, codec: CodecInfo, stages: Sequence[str]
) -> Tensor:
    encoded = model.encoder.encode(image)
    routing = model.route(encoded, [codec])
    latent = encoded.latent
    if set(stages) & {"prompts", "faithful"}:
        context = model.conditioner.condition(image, latent)
        latent = model.sampler.one_step(model.denoiser, latent, routing.prompts, context)
    decoded = model.decoder.decode(latent, encoded, routing)
    return decoded.rich if "rich" in stages else decoded.faithful


@torch.no_grad()
def multiply_adds(model: RestorationModel) -> float:
    """Of the whole model in one step, per pixel of a 256x256 image; products of matrices alone.

    The model, on the CPU, is left in evaluation mode and frozen.
    """
    model.eval().requires_grad_(False)  # the counter asks for gradients of what could have them
    image = torch.full((1, 3, COUNTED_SIDE, COUNTED_SIDE), 0.5)
    with FlopCounterMode(display=False) as counter:
        model(image, [CodecInfo.unknown()])
    return float(counter.get_total_flops()) / 2 / COUNTED_SIDE**2
