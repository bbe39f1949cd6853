"""The stages of training: what trains in each, and what it is charged for.

    autoencoder   encoder, decoder   reconstruct clean and degraded images from the latent alone
    prior         denoiser           predict v of clean latents, without prompts or context
    prompts       router, conditioner, denoiser's injections and attentions
                                     predict v of clean latents given the degraded one (L_SD), and
                                     the clean latent in one step
    degradation   router's degradation encoder
                                     name codec and severity, from the pixels
    compensator   encoder, decoder, router
                                     restore without the prior, L1 and squared error
    faithful      everything         one-step restoration, end to end, L1 and squared error
    kernels       the decoder's expert kernels, and their gates
                                     one-step restoration, end to end, L1 and squared error
    rich          what the rich estimate alone has
                                     L1, LPIPS with two backbones, and a patch discriminator

Those over a prior that stays as it came are in `diffir.train.frozen_prior`, the last one in
`diffir.train.rich_stage`. A stage is a class with `parameters` and `loss`; it may have a `critic`,
a network that trains on its own `loss` beside the model, say that a step's pairs are all of
`one_degradation`, and `check(model)` before any stage runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.diffusion.model import decode_faithful
from diffir.errors import RecipeError
from diffir.train.frozen_prior import CompensationStage, EnhancerStage, SteeringStage
from diffir.train.losses import error
from diffir.train.prior_loss import conditions, diffusion_loss
from diffir.train.rich_stage import RichStage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffir.contracts.interfaces import Encoded, Routing
    from diffir.diffusion.model import RestorationModel
    from diffir.train.pairs import Batch
    from diffir.train.patch_discriminator import PatchDiscriminator

BALANCE_WEIGHT = 0.01
DIFFUSION_WEIGHT = 0.05
DIFFUSION_EVERY = 4


class Stage(Protocol):
    """One stage. `step` counts from 0 within it."""

    critic: PatchDiscriminator | None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """What trains."""
        ...

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """The loss, and the restored image `(B,3,H,W)` for a critic to judge (else any tensor)."""
        ...


class AutoencoderStage:
    """Reconstruct images from their latents."""

    critic: PatchDiscriminator | None = None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """Encoder and decoder."""
        yield from model.encoder.parameters()
        yield from model.get_submodule("decoder").parameters()

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """L1 of the reconstruction, of clean and of degraded images in turn."""
        image = batch.degraded if step % 2 else batch.clean
        reconstruct = getattr(model.decoder, "reconstruct", None)
        if reconstruct is None:
            raise RecipeError(
                f"{type(model.decoder).__name__} cannot decode from the latent alone",
                hint="Give the decoder a method reconstruct(latent), or leave this stage out.",
            )
        restored = cast("Tensor", reconstruct(model.encoder.encode(image).latent))
        return F.l1_loss(restored, image), restored


class PriorStage:
    """Learn what clean latents look like."""

    critic: PatchDiscriminator | None = None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """The denoiser."""
        yield from model.denoiser.parameters()

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Mean squared error of v, with empty prompts and context."""
        with torch.no_grad():
            encoded = model.encoder.encode(batch.clean)
            latent = encoded.latent
            routing = model.route(encoded, batch.told)
            context = model.conditioner.condition(batch.clean, latent)
        prompts = [torch.zeros_like(prompt) for prompt in routing.prompts]
        return diffusion_loss(model, latent, prompts, torch.zeros_like(context)), latent


class PromptsStage:
    """Learn to steer the frozen prior by the degraded latent."""

    critic: PatchDiscriminator | None = None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """Router, conditioner, and the denoiser's entrances for prompts and context."""
        yield from model.get_submodule("router").parameters()
        yield from model.get_submodule("conditioner").parameters()
        yield from model.denoiser.steering_parameters()

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """V at random timesteps, the clean latent in one step, and no expert left idle."""
        with torch.no_grad():
            clean = model.encoder.encode(batch.clean).latent
            encoded = model.encoder.encode(batch.degraded)
        routing, context = conditions(model, batch, encoded)
        prompts = routing.prompts
        restored = model.sampler.one_step(model.denoiser, encoded.latent, prompts, context)
        loss = diffusion_loss(model, clean, prompts, context) + F.l1_loss(restored, clean)
        return loss + _balance_loss(routing), restored


class DegradationStage:
    """Learn to see which codec pressed a picture, and how hard."""

    critic: PatchDiscriminator | None = None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """The router's; only its degradation encoder gets gradients."""
        yield from model.get_submodule("router").parameters()

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """The router's own loss."""
        own_loss = getattr(model.router, "auxiliary_loss", None)
        if own_loss is None:
            raise RecipeError(
                f"{type(model.router).__name__} cannot learn to see degradations",
                hint="Give the router a method auxiliary_loss(image, codecs), or leave this stage "
                "out.",
            )
        return cast("Tensor", own_loss(batch.degraded, batch.codecs)), batch.degraded


class CompensatorStage:
    """Learn to restore from the encoder's maps alone: a third of the price of a step end to end."""

    critic: PatchDiscriminator | None = None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """Encoder, decoder, and the router, which chooses the decoder's expert prompts."""
        yield from model.encoder.parameters()
        yield from model.get_submodule("decoder").parameters()
        yield from model.get_submodule("router").parameters()

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Error of the faithful estimate from the degraded latent as it is; no idle expert."""
        encoded = model.encoder.encode(batch.degraded)
        routing = model.route(encoded, batch.told)
        faithful = decode_faithful(model.decoder, encoded.latent, encoded, routing)
        return error(faithful, batch.clean) + _balance_loss(routing), faithful


class FaithfulStage:
    """End to end, for the least error. The prior keeps being a prior on every few steps."""

    critic: PatchDiscriminator | None = None

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """Everything."""
        yield from model.parameters()

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Error of the faithful estimate, and the upkeep of router and prior."""
        encoded: Encoded = model.encoder.encode(batch.degraded)
        routing, context = conditions(model, batch, encoded)
        prompts = routing.prompts
        clean = model.sampler.one_step(model.denoiser, encoded.latent, prompts, context)
        faithful = decode_faithful(model.decoder, clean, encoded, routing)
        loss = error(faithful, batch.clean) + _balance_loss(routing)
        if step % DIFFUSION_EVERY == 0:
            with torch.no_grad():
                target = model.encoder.encode(batch.clean).latent
            diffusion = diffusion_loss(model, target, prompts, context)
            loss = loss + DIFFUSION_WEIGHT * diffusion
        return loss, faithful


class KernelsStage:
    """What codecs want of a level for themselves; what serves all of them stays as it is.

    A step's pairs are of one degradation: of mixed ones each expert sees a picture or two, and
    those of codecs that are rare lost more than they learned.
    """

    critic: PatchDiscriminator | None = None
    one_degradation = True

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """What the decoder says: `CompensatedDecoder.kernel_parameters`."""
        yield from getattr(model.decoder, "kernel_parameters", tuple)()

    @classmethod
    def check(cls, model: RestorationModel) -> None:
        """Do nothing if there is something to learn.

        Raises:
            RecipeError: the decoder has no expert kernels.
        """
        if not list(cls().parameters(model)):
            raise RecipeError(
                f"{type(model.decoder).__name__} has no expert kernels here",
                hint="Give the recipe's decoder kernel_experts, or leave this stage out.",
            )

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Error of the faithful estimate."""
        encoded = model.encoder.encode(batch.degraded)
        routing, context = conditions(model, batch, encoded)
        latent = model.sampler.one_step(model.denoiser, encoded.latent, routing.prompts, context)
        faithful = decode_faithful(model.decoder, latent, encoded, routing)
        return error(faithful, batch.clean), faithful


def _balance_loss(routing: Routing) -> Tensor:
    """A price on leaving experts idle.

    The squared coefficient of variation of the experts' shares over the batch (Shazeer et al.,
    2017). It is ours: the method has none, and without it three of the seven experts took every
    token of every codec within a thousand steps.
    """
    shares = routing.weights.mean(dim=0)
    return BALANCE_WEIGHT * shares.var(correction=0) / shares.mean().square()


STAGES: dict[str, type[Stage]] = {
    "autoencoder": AutoencoderStage,
    "prior": PriorStage,
    "prompts": PromptsStage,
    "degradation": DegradationStage,
    "compensator": CompensatorStage,
    "faithful": FaithfulStage,
    "kernels": KernelsStage,
    "rich": RichStage,
    "enhancer": EnhancerStage,
    "steering": SteeringStage,
    "compensation": CompensationStage,
}


def find_stage(name: str) -> type[Stage]:
    """The stage of that name, to be called without arguments.

    Raises:
        RecipeError: there is none.
    """
    if name not in STAGES:
        raise RecipeError(
            f"there is no training stage '{name}'", hint=f"Known: {', '.join(STAGES)}."
        )
    return STAGES[name]
