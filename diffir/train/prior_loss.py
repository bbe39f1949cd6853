"""What the denoiser is charged for in every stage that trains it, or what steers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from diffir.diffusion.schedule import TIMESTEPS, add_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from diffir.contracts.interfaces import Encoded, Routing
    from diffir.diffusion.model import RestorationModel
    from diffir.train.pairs import Batch


def conditions(model: RestorationModel, batch: Batch, encoded: Encoded) -> tuple[Routing, Tensor]:
    """Routing and context of the degraded pictures, which `encoded` is of."""
    routing = model.route(encoded, batch.told)
    return routing, model.conditioner.condition(batch.degraded, encoded.latent)


def diffusion_loss(
    model: RestorationModel, clean: Tensor, prompts: Sequence[Tensor], context: Tensor
) -> Tensor:
    """L_SD: mean squared error of what is predicted, at uniformly drawn timesteps."""
    timesteps = torch.randint(TIMESTEPS, (len(clean),)).to(clean.device)
    noise = torch.randn(clean.shape).to(clean)
    noisy, target = add_noise(clean, noise, timesteps, model.sampler.prediction)
    return F.mse_loss(model.denoiser(noisy, timesteps, prompts, context), target)
