"""The noise schedule of Stable Diffusion, and the two samplers over it.

T = 1000 steps; sqrt(beta) is spaced evenly from sqrt(0.00085) to sqrt(0.012), which diffusers calls
`scaled_linear`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
ONE_STEP_AT = 400
"""Timestep that the one-step sampler claims for the degraded latent: half signal, half error."""

Denoiser = Callable[[Tensor, Tensor, Sequence[Tensor], Tensor], Tensor]


@cache
def _alphas() -> Tensor:
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def alpha_bar(timesteps: Tensor) -> Tensor:
    """The share of signal variance at each timestep: `(B,)` to `(B,)`, float32."""
    return _alphas().to(timesteps.device)[timesteps]


def add_noise(clean: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """The noisy latent at `timesteps (B,)`, and the v that a network should predict for it."""
    signal = alpha_bar(timesteps).to(clean)[:, None, None, None]
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
    return noisy, signal.sqrt() * noise - (1 - signal).sqrt() * clean


def clean_from_v(noisy: Tensor, v: Tensor, timesteps: Tensor) -> Tensor:
    """The clean latent that v stands for: sqrt(a) z_t - sqrt(1-a) v."""
    signal = alpha_bar(timesteps).to(noisy)[:, None, None, None]
    clean: Tensor = signal.sqrt() * noisy - (1 - signal).sqrt() * v
    return clean


def sample_one_step(
    predict_clean: Denoiser, latent: Tensor, prompts: Sequence[Tensor], context: Tensor
) -> Tensor:
    """The clean latent in one evaluation, starting from the degraded latent, without noise."""
    timesteps = torch.full((latent.shape[0],), ONE_STEP_AT, device=latent.device)
    return predict_clean(latent, timesteps, prompts, context)


def sample_ddpm(
    denoiser: Denoiser,
    latent: Tensor,
    prompts: Sequence[Tensor],
    context: Tensor,
    *,
    steps: int = 200,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Ancestral sampling from pure noise (Ho et al., 2020), the method's 200 respaced steps.

    Args:
        denoiser: predicts v.
        latent: gives shape, dtype and device; its values enter through the prompts alone.
        prompts: see `UNet.forward`.
        context: see `UNet.forward`.
        steps: evaluations; 200 equals the published respacing.
        generator: source of the noise, on the CPU, so that a seed means the same on every device.
    """
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(
        beta_schedule="scaled_linear",
        beta_start=BETA_START,
        beta_end=BETA_END,
        prediction_type="v_prediction",
        variance_type="fixed_small",
        clip_sample=False,
        timestep_spacing="linspace",
    )
    scheduler.set_timesteps(steps)

    def noise() -> Tensor:
        return torch.randn(latent.shape, generator=generator, dtype=torch.float32).to(latent)

    x = noise()
    for timestep in scheduler.timesteps:
        batch = timestep.to(latent.device).expand(latent.shape[0])
        v = denoiser(x, batch, prompts, context)
        x = scheduler.step(v, timestep, x, generator=generator).prev_sample
    return x
