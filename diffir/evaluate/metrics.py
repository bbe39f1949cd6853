"""The metrics of the benchmark, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.errors import DataError, UnknownComponentError
from diffir.evaluate.fidelity_metrics import psnr_b, psnr_b_gray, psnr_rgb, ssim

if TYPE_CHECKING:
    from torch import Tensor

    from diffir.contracts.codec import Pixels
    from diffir.perceptual.dists import Dists
    from diffir.perceptual.lpips import Lpips

Measure = Callable[["Pixels", "Pixels"], float]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown: the heading of its column, digits, and which way is better.

    smallest: rows and columns that it needs.
    """

    heading: str
    digits: int
    more_is_better: bool
    smallest: int


METRICS: Mapping[str, Metric] = {
    "psnr": Metric("PSNR dB", 2, more_is_better=True, smallest=1),
    "ssim": Metric("SSIM", 4, more_is_better=True, smallest=11),
    "lpips-alex": Metric("LPIPS-Alex", 4, more_is_better=False, smallest=31),
    "lpips-vgg": Metric("LPIPS-VGG", 4, more_is_better=False, smallest=16),
    "dists": Metric("DISTS", 4, more_is_better=False, smallest=16),
    "psnr-b": Metric("PSNR-B dB", 2, more_is_better=True, smallest=9),
}
"""Every metric, in the order of a report's columns."""

_BY_PIXELS: Mapping[str, Measure] = {"psnr": psnr_rgb, "ssim": ssim, "psnr-b": psnr_b}


OF_SETS = ("fid",)
"""What is taken of all pictures of a row at once: `diffir.evaluate.fid`."""


def split_metrics(names: Iterable[str]) -> tuple[list[str], bool]:
    """The metrics of pictures among the names, and whether FID is one of them."""
    wanted = list(names)
    return [name for name in wanted if name not in OF_SETS], "fid" in wanted


def load_metrics(
    names: Iterable[str], *, device: str = "cpu", gray: bool = False
) -> dict[str, Measure]:
    """Functions of (reference, other), both `(H,W,3) uint8` RGB, in the order of `names`.

    Args:
        names: of `METRICS`.
        device: where LPIPS and DISTS are computed, as torch names it.
        gray: pictures have three equal channels, which are luma already.

    Raises:
        UnknownComponentError: there is no such metric; the hint names the nearest ones.
        DataError: no name was given.
        CheckpointError: the weights of LPIPS or DISTS have not been fetched.
    """
    wanted = tuple(dict.fromkeys(names))
    if not wanted:
        raise DataError("expected one metric or more, got none", hint=_known())
    unknown = next((name for name in wanted if name not in METRICS), None)
    if unknown in OF_SETS:
        raise DataError(
            f"'{unknown}' is not measured here: it is of whole sets of pictures",
            hint="Ask `diffir bench` for it.",
        )
    if unknown is not None:
        near = difflib.get_close_matches(unknown, [*METRICS, *OF_SETS], n=2)
        hint = f"Did you mean {' or '.join(near)}?" if near else _known()
        raise UnknownComponentError(f"there is no metric called '{unknown}'", hint=hint)
    by_pixels = {**_BY_PIXELS, "psnr-b": psnr_b_gray} if gray else _BY_PIXELS
    return {name: by_pixels.get(name) or _Perceptual(name, device) for name in wanted}


class _Perceptual:
    """LPIPS or DISTS as a measure.

    A benchmark holds many pictures against one, and a reference's features are half of the work:
    they are kept until another array comes. So an array must not change between two calls.
    """

    def __init__(self, name: str, device: str) -> None:
        from diffir.perceptual.dists import Dists
        from diffir.perceptual.lpips import Lpips

        self._network: Lpips | Dists
        self._network = Dists() if name == "dists" else Lpips("vgg" if "vgg" in name else "alex")
        self._network.to(device)
        self._name = METRICS[name].heading
        self._device = device
        self._reference: Pixels | None = None
        self._features: tuple[Tensor, ...] = ()

    def __call__(self, reference: Pixels, other: Pixels) -> float:
        import torch

        from diffir.perceptual.image_pairs import check_pair
        from diffir.restore.tensors import to_image

        network, pair = self._network, [to_image(p).to(self._device) for p in (reference, other)]
        check_pair(*pair, smallest=network.trunk.smallest, metric=self._name)
        with torch.inference_mode():
            if reference is not self._reference:
                self._features, self._reference = network.features(pair[0]), reference
            return float(network.compare(self._features, network.features(pair[1])))


def _known() -> str:
    return f"Known: {', '.join([*METRICS, *OF_SETS])}."
