"""The three families of learned codecs, and the levels at which each was trained.

A family is what the networks were trained for; its weights say which architecture they are of. The
price of distortion, lambda, of the two families of Cheng et al. (CVPR 2020) is CompressAI's for
its qualities 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Metric = Literal["mse", "ms-ssim", "perceptual"]
LEVELS = (1, 2, 3)
"""Of the method's tasks, and of the weights in this package."""

BEST_LEVEL = 6
"""The lightest that CompressAI has published weights of."""


@dataclass(frozen=True)
class Family:
    """One family.

    name: of the codec. number: in the head of a stream. codec: class in `diffir_learned.codec`.
    architecture: of the weights in this package. metric: what was trained for.
    lambdas: by level, what distortion costs against a bit per pixel; distortion is the squared
    error of pixels in 0..255, or 1 - MS-SSIM. official: architectures whose published weights fit.
    """

    name: str
    number: int
    codec: str
    summary: str
    architecture: str
    metric: Metric
    lambdas: tuple[float, float, float]
    official: tuple[str, ...] = ()


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="cheng2020-psnr",
            number=1,
            codec="ChengPsnr",
            summary="learned, Cheng 2020 trained for PSNR (CompressAI)",
            architecture="cheng2020-attn",
            metric="mse",
            lambdas=(0.0018, 0.0035, 0.0067),
            official=("cheng2020-attn", "cheng2020-anchor"),
        ),
        Family(
            name="cheng2020-ssim",
            number=2,
            codec="ChengSsim",
            summary="learned, Cheng 2020 trained for MS-SSIM (CompressAI)",
            architecture="cheng2020-attn",
            metric="ms-ssim",
            lambdas=(2.40, 4.58, 8.73),
            official=("cheng2020-attn", "cheng2020-anchor"),
        ),
        Family(
            name="generative",
            number=3,
            codec="Generative",
            summary="learned, decoder trained against a critic in the manner of HiFiC (CompressAI)",
            architecture="mbt2018-mean",
            metric="perceptual",
            lambdas=(0.0018, 0.0035, 0.0067),
        ),
    )
}
