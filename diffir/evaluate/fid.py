"""FID, the Frechet distance of Heusel et al. 2017 (1706.08500) between two sets of pictures.

    restored pictures -> Inception -> features (n,2048) -.
    originals         -> Inception -> features (n,2048) -'-> mean and covariance -> one number

It belongs to a set, not to a picture: it has no interval by pictures, and of few pictures it is
mostly noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import DataError
from diffir.evaluate.contenders import AS_COMPRESSED, Version
from diffir.evaluate.protocol_pixels import as_8bit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diffir.contracts.picture import AnyPixels
    from diffir.evaluate.trials import Trial

NAME = "fid"
ENOUGH = 1000
"""Pictures below which FID is not to be believed."""


class FidScores:
    """Collects features while trials come and go; 16 KiB for each picture and version.

    Args:
        device: where the network runs, as torch names it.

    Raises:
        CheckpointError: the network's weights are missing.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        from diffir.perceptual.inception import FidInception

        self._network = FidInception().to(device)
        self._device = device
        self._originals: dict[str, list[NDArray[np.float64]]] = {}
        self._features: dict[tuple[str, Version], list[NDArray[np.float64]]] = {}
        self._last: tuple[AnyPixels, NDArray[np.float64]] | None = None

    def add(self, trial: Trial) -> None:
        """Keep the features of a trial's pictures."""
        self._originals.setdefault(trial.task, []).append(self._original(trial.reference.pixels))
        for version, picture in ((AS_COMPRESSED, trial.degraded), *trial.restored.items()):
            kept = self._features.setdefault((trial.task, version), [])
            kept.append(self._of(picture.pixels))

    def distance(self, task: str, version: Version) -> float:
        """Of the pictures of one row from their originals."""
        originals, features = self._originals[task], self._features[task, version]
        return frechet_distance(np.stack(originals), np.stack(features))

    def _original(self, pixels: AnyPixels) -> NDArray[np.float64]:
        if self._last is None or self._last[0] is not pixels:  # one original, many tasks
            self._last = pixels, self._of(pixels)
        return self._last[1]

    def _of(self, pixels: AnyPixels) -> NDArray[np.float64]:
        import torch

        from diffir.restore.tensors import to_image

        with torch.inference_mode():
            features = self._network(to_image(as_8bit(pixels)).contiguous().to(self._device))
        array: NDArray[np.float64] = features[0].double().cpu().numpy()
        return array


def check_count(pictures: int) -> None:
    """Refuse a set without a covariance.

    Raises:
        DataError: fewer than two pictures.
    """
    if pictures < 2:
        raise DataError(
            f"FID needs two pictures or more, got {pictures}",
            hint=f"It is to be believed from {ENOUGH} pictures on.",
        )


def frechet_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """|mean a - mean b|² + Tr(A + B - 2 (AB)^½), A and B the covariances, of samples in rows.

    The trace of that root is the sum of singular values of CᵀD where A = CCᵀ and B = DDᵀ: no root
    of a matrix is taken, so nothing has to be made positive, and few samples are exact too.

    Args:
        a: `(n,d)`, two rows or more.
        b: `(m,d)`, two rows or more.

    Raises:
        DataError: fewer than two rows.
    """
    check_count(min(len(a), len(b)))
    means = [samples.mean(0) for samples in (a, b)]
    roots = [
        np.asarray(np.linalg.qr((samples - mean) / np.sqrt(len(samples) - 1), mode="r"))
        for samples, mean in zip((a, b), means, strict=True)
    ]
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(float(np.square(root).sum()) for root in roots)
    gap = float(np.square(means[0] - means[1]).sum())
    return max(0.0, gap + spread - 2 * float(shared))
