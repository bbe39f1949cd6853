"""The restoration model: five lines between two images, whose seams are the four interfaces."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from torch import Generator, Tensor, nn

from diffir.diffusion.schedule import sample_ddpm, sample_one_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.codec import CodecInfo
    from diffir.contracts.interfaces import (
        Conditioner,
        Decoded,
        Decoder,
        Encoded,
        PromptRouter,
        Routing,
    )
    from diffir.diffusion.autoencoder import Encoder
    from diffir.diffusion.unet import UNet


class RestorationModel(nn.Module):
    """Degraded image to its two clean estimates.

    Args:
        encoder: image to latent. denoiser: the prior.
        router, conditioner, decoder: what the recipe puts into the seams; each is an `nn.Module`.
    """

    router: PromptRouter
    conditioner: Conditioner
    decoder: Decoder

    def __init__(
        self,
        *,
        encoder: Encoder,
        denoiser: UNet,
        router: nn.Module,
        conditioner: nn.Module,
        decoder: nn.Module,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.denoiser = denoiser
        self.router = cast("PromptRouter", router)
        self.conditioner = cast("Conditioner", conditioner)
        self.decoder = cast("Decoder", decoder)

    def forward(
        self,
        image: Tensor,
        codecs: Sequence[CodecInfo],
        *,
        steps: int = 1,
        generator: Generator | None = None,
    ) -> tuple[Decoded, Routing]:
        """Restore a batch.

        Args:
            image: `(B,3,H,W)` in [0,1]; H and W multiples of `multiple`.
            codecs: one per picture; each may be unknown.
            steps: 1 starts from the degraded latent; more is ancestral sampling from noise.
            generator: noise of the many-step sampler.

        Returns:
            The two estimates, not clamped, and what the router decided.
        """
        encoded: Encoded = self.encoder.encode(image)
        routing = self.router.route(encoded.latent, codecs)
        context = self.conditioner.condition(image, encoded.latent)
        if steps == 1:
            sample = partial(sample_one_step, self.denoiser.predict_clean)
        else:
            sample = partial(sample_ddpm, self.denoiser, steps=steps, generator=generator)
        clean = sample(encoded.latent, routing.prompts, context)
        return self.decoder.decode(clean, encoded, routing), routing

    @property
    def multiple(self) -> int:
        """What the sides of an image must be multiples of, in pixels."""
        from diffir.diffusion.autoencoder import GRID

        return int(GRID * 2 ** (self.denoiser.levels - 1))
