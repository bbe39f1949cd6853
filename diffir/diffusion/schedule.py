"""The noise schedule of Stable Diffusion, and what a denoiser predicts on it.

T = 1000 steps; sqrt(beta) is spaced evenly from sqrt(0.00085) to sqrt(0.012), which diffusers calls
`scaled_linear`. The noisy latent is z_t = sqrt(a) z_0 + sqrt(1-a) e with a = `alpha_bar(t)`.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor

TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012

Prediction = Literal["v", "epsilon"]
"""What the denoiser's output stands for: v = sqrt(a) e - sqrt(1-a) z_0, or the noise e itself."""


@cache
def _alphas() -> Tensor:
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def alpha_bar(timesteps: Tensor) -> Tensor:
    """The share of signal variance at each timestep: `(B,)` to `(B,)`, float32."""
    return _alphas().to(timesteps.device)[timesteps]


def add_noise(
    clean: Tensor, noise: Tensor, timesteps: Tensor, prediction: Prediction = "v"
) -> tuple[Tensor, Tensor]:
    """The noisy latent at `timesteps (B,)`, and what a network should predict for it.

    Of bfloat16, too, the shares are float32, and so is what is returned: 1 - a, rounded to
    bfloat16, is 0 at the first two steps.
    """
    kept, lost = _shares(timesteps)
    noisy = kept * clean + lost * noise
    if prediction == "epsilon":
        return noisy, noise
    return noisy, kept * noise - lost * clean


def clean_from(prediction: Prediction, noisy: Tensor, output: Tensor, timesteps: Tensor) -> Tensor:
    """The clean latent that a denoiser's output stands for.

    From v it is sqrt(a) z_t - sqrt(1-a) v; from the noise e it is (z_t - sqrt(1-a) e) / sqrt(a).
    In the dtype of `noisy`, from shares in float32.
    """
    kept, lost = _shares(timesteps)
    if prediction == "epsilon":
        return ((noisy - lost * output) / kept).to(noisy)
    return (kept * noisy - lost * output).to(noisy)


def _shares(timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(a) and sqrt(1 - a), `(B,1,1,1)` each."""
    signal = alpha_bar(timesteps)[:, None, None, None]
    return signal.sqrt(), (1 - signal).sqrt()
