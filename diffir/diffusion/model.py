"""The restoration model: five lines between two images, whose seams are the four interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import Generator, Tensor, nn

from diffir.contracts.interfaces import Decoded
from diffir.diffusion.latent_tiles import TiledDecoder, TiledDenoiser, TiledEncoder
from diffir.diffusion.samplers import Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.codec import CodecInfo
    from diffir.contracts.interfaces import (
        Conditioner,
        Decoder,
        Encoded,
        PromptRouter,
        Routing,
    )
    from diffir.diffusion.backbone import Denoiser, Encoder


TILE_OVERLAP = 64
"""Of the tiles of one picture, in pixels."""


def decode_faithful(decoder: Decoder, latent: Tensor, encoded: Encoded, routing: Routing) -> Tensor:
    """The faithful estimate; a decoder that can leave out the other one does."""
    alone = getattr(decoder, "decode_faithful", None)
    if alone is not None:
        return cast("Tensor", alone(latent, encoded, routing))
    return decoder.decode(latent, encoded, routing).faithful


class RestorationModel(nn.Module):
    """Degraded image to its two clean estimates.

    Args:
        encoder: image to latent. denoiser: the prior.
        router, conditioner, decoder: what the recipe puts into the seams; each is an `nn.Module`.
        sampler: how the clean latent is sampled.
    """

    encoder: Encoder
    denoiser: Denoiser
    router: PromptRouter
    conditioner: Conditioner
    decoder: Decoder

    def __init__(
        self,
        *,
        encoder: nn.Module,
        denoiser: nn.Module,
        router: nn.Module,
        conditioner: nn.Module,
        decoder: nn.Module,
        sampler: Sampler | None = None,
    ) -> None:
        super().__init__()
        self.sampler = sampler or Sampler()
        self.encoder = cast("Encoder", encoder)
        self.denoiser = cast("Denoiser", denoiser)
        self.router = cast("PromptRouter", router)
        self.conditioner = cast("Conditioner", conditioner)
        self.decoder = cast("Decoder", decoder)
        borrow = getattr(conditioner, "borrow", None)
        if borrow is not None:  # it looks at latents through the decoder's eyes
            borrow(getattr(decoder, "reconstruct", None))

    def forward(
        self,
        image: Tensor,
        codecs: Sequence[CodecInfo],
        *,
        steps: int | None = None,
        generator: Generator | None = None,
        tile: int | None = None,
        rich: bool = True,
    ) -> tuple[Decoded, Routing]:
        """Restore a batch.

        Args:
            image: `(B,3,H,W)` in [0,1]; H and W multiples of `multiple`.
            codecs: one per picture; each may be unknown.
            steps: in place of the sampler's own; 1 starts from the degraded latent, more
                start from noise.
            generator: of that noise.
            tile: side of the tiles, in pixels, in which a larger picture is encoded, denoised and
                decoded; a multiple of `multiple` above `TILE_OVERLAP`. See `latent_tiles`.
            rich: whether the rich estimate is wanted. If not, the faithful one is there twice.

        Returns:
            The two estimates, not clamped, and what the router decided.
        """
        encoder, denoiser, decoder = self.encoder, self.denoiser, self.decoder
        if tile is not None and max(image.shape[-2:]) > tile:
            encoder, denoiser, decoder = self._tiled(tile)
        encoded: Encoded = encoder.encode(image)
        routing = self.route(encoded, codecs)
        context = self.conditioner.condition(image, encoded.latent)
        conditions = routing.prompts, context
        clean = self.sampler.sample(
            denoiser, encoded.latent, *conditions, steps=steps, generator=generator
        )
        if rich:
            return decoder.decode(clean, encoded, routing), routing
        faithful = decode_faithful(decoder, clean, encoded, routing)
        return Decoded(faithful, faithful), routing

    def route(self, encoded: Encoded, codecs: Sequence[CodecInfo]) -> Routing:
        """The router's decision; one that looks at pixels, too, gets them (`route_image`)."""
        look = getattr(self.router, "route_image", None)
        if look is None:
            return self.router.route(encoded.latent, codecs)
        return cast("Routing", look(encoded.image, encoded.latent, codecs))

    def _tiled(self, tile: int) -> tuple[Any, Any, Any]:
        cut = {
            "size": tile // self.encoder.grid,
            "overlap": TILE_OVERLAP // self.encoder.grid,
            "unit": self.multiple // self.encoder.grid,
        }
        return (
            TiledEncoder(self.encoder, **cut),
            TiledDenoiser(self.denoiser, **cut),
            TiledDecoder(self.decoder, **cut),
        )

    @property
    def multiple(self) -> int:
        """What the sides of an image must be multiples of, in pixels."""
        return int(self.encoder.grid * 2 ** (self.denoiser.levels - 1))
