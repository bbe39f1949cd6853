"""The method's two stages over a prior that stays as it came, and the one before them.

    enhancer       conditioner's enhancer   clean latents from degraded ones
    steering       router, conditioner, injections
                                            predict noise of clean latents given the degraded one
    compensation   decoder's compensator    pixels from sampled latents: L1, LPIPS with VGG, and a
                                            patch discriminator from step 501

Parts say by `learned_parameters` what of them learns; the rest was trained by others. Where paper
and published code differ the paper is followed; of the code, what never ran is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.errors import RecipeError
from diffir.train.patch_discriminator import PatchDiscriminator
from diffir.train.prior_loss import conditions, diffusion_loss

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffir.diffusion.model import RestorationModel
    from diffir.train.pairs import Batch

LATENT_STEPS = 20
"""Evaluations of the second-order sampler that makes a latent for the compensator to learn from."""
ADVERSARIAL_SHARE = 0.025
"""Of the gradient on the restored image, once the discriminator takes part."""
ADVERSARIAL_FROM = 500


def learned_parameters(part: nn.Module) -> Iterator[nn.Parameter]:
    """What of a part learns: what it says itself, else everything."""
    own = getattr(part, "learned_parameters", part.parameters)
    yield from cast("Iterator[nn.Parameter]", own())


class EnhancerStage:
    """Teach the enhancer what clean latents look like; the method does not publish how."""

    critic: PatchDiscriminator | None = None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """The enhancer's."""
        yield from _enhancer(model).parameters()

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """L1 between the enhanced latent of the degraded picture and the clean one's."""
        with torch.no_grad():
            clean, degraded = (
                model.encoder.encode(image).latent for image in (batch.clean, batch.degraded)
            )
        enhanced: Tensor = _enhancer(model)(degraded)
        return F.l1_loss(enhanced, clean), enhanced


class SteeringStage:
    """Stage I: learn to steer the frozen prior by the degraded latent."""

    critic: PatchDiscriminator | None = None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """Router, conditioner, and where prompts enter the denoiser."""
        yield from learned_parameters(model.get_submodule("router"))
        yield from learned_parameters(model.get_submodule("conditioner"))
        yield from model.denoiser.steering_parameters()

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Noise of the clean latent at random timesteps, and nothing else, as in the paper."""
        with torch.no_grad():
            clean = model.encoder.encode(batch.clean).latent
            encoded = model.encoder.encode(batch.degraded)
        routing, context = conditions(model, batch, encoded)
        return diffusion_loss(model, clean, routing.prompts, context), clean


class CompensationStage:
    """Stage II: learn what of the degraded picture's own features belongs into the decoded one.

    The paper samples 70,000 latents beforehand. Here each is sampled when it is needed, in
    `LATENT_STEPS`, so that nothing has to be stored and no crop is seen twice.
    """

    def __init__(self) -> None:
        from diffir.perceptual.lpips import Lpips

        self.lpips = nn.ModuleDict({"vgg": Lpips("vgg")})
        self.critic: PatchDiscriminator | None = PatchDiscriminator()

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """The compensator's."""
        yield from learned_parameters(model.get_submodule("decoder"))

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """L1, LPIPS, and being found out by the critic."""
        sampler = replace(model.sampler, use="dpm-solver++", spacing="trailing")
        with torch.no_grad():
            encoded = model.encoder.encode(batch.degraded)
            routing, context = conditions(model, batch, encoded)
            latent = sampler.sample(
                model.denoiser, encoded.latent, routing.prompts, context, steps=LATENT_STEPS
            )
        restored = model.decoder.decode(latent, encoded, routing).faithful
        loss = F.l1_loss(restored, batch.clean)
        loss = loss + self.lpips["vgg"](restored, batch.clean).mean()
        if self.critic is not None and step >= ADVERSARIAL_FROM:
            found_out = self.critic.generator_loss(batch.degraded, restored)
            loss = loss + _adversarial_weight(loss, found_out, restored) * found_out
        return loss, restored


def _adversarial_weight(loss: Tensor, found_out: Tensor, restored: Tensor) -> Tensor:
    """What gives the critic `ADVERSARIAL_SHARE` of the gradient (Esser et al., VQGAN, 2021)."""
    ours, theirs = (
        torch.autograd.grad(one, restored, retain_graph=True)[0].norm() for one in (loss, found_out)
    )
    weight: Tensor = ADVERSARIAL_SHARE * (ours / (theirs + 1e-4)).clamp(max=1e4).detach()
    return weight


def _enhancer(model: RestorationModel) -> nn.Module:
    enhancer = getattr(model.conditioner, "enhancer", None)
    if enhancer is None:
        raise RecipeError(
            f"{type(model.conditioner).__name__} has no enhancer to train",
            hint="Use a conditioner with one, such as clip-to-text, or leave this stage out.",
        )
    return cast("nn.Module", enhancer)
