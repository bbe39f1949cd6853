"""The four interfaces of diffir, and the values that flow between them.

    encoded = autoencoder.encode(degraded)                      latent and feature maps
    routing = router.route(encoded.latent, codecs)              PromptRouter
    context = conditioner.condition(degraded, encoded.latent)   Conditioner
    clean   = sampler.sample(denoiser, encoded.latent, routing.prompts, context)
    decoded = decoder.decode(clean, encoded, routing)           Decoder

Letters of shapes, everywhere in diffir: `B` batch; `C H W` channels, rows, columns of an image;
`h w` the latent grid; `l` a U-Net level, finest first; `E` experts; `L` context tokens; `D` width.
An "image" is a `(B,3,H,W)` float tensor in [0,1]; a "latent" lives on the autoencoder's grid.

Interfaces are checked structurally: a class of a plugin inherits nothing. A verb with a wrong
signature is refused when the component is loaded. Routers, conditioners and decoders are
`torch.nn.Module`s, so that their weights are saved and trained with the model; they must not keep
state between calls, move themselves between devices, or draw random numbers while `training` is
off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from diffir.contracts.codec import CodecInfo
    from diffir.contracts.picture import Picture


@dataclass(frozen=True, eq=False)
class Encoded:
    """A degraded image in the autoencoder's terms.

    image: the degraded image `(B,3,H,W)` in [0,1], padded to the latent grid.
    latent: `(B,C,h,w)`, already scaled to about unit variance.
    features: the encoder's feature maps, finest first, that a decoder may fuse.
    """

    image: Tensor
    latent: Tensor
    features: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Routing:
    """What a router decided.

    prompts: one map `(B,D,h/2^l,w/2^l)` per U-Net level, finest first.
    weights: `(B,E)`, the mean share of each expert; rows sum to 1.
    degradation: `(B,D)`, what the router made of codec and severity, for decoders that have expert
        prompts of their own; `None` where a router has no such thing.
    """

    prompts: tuple[Tensor, ...]
    weights: Tensor
    degradation: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Decoded:
    """Two estimates of the clean image, each `(B,3,H,W)`, not clamped.

    faithful: the estimate with the least error. rich: the one that looks best. The user's fidelity
    dial blends them in image space. A decoder with one output gives it twice.
    """

    faithful: Tensor
    rich: Tensor


class Degradation(Protocol):
    """Picture to worse picture. Works on numpy arrays, in data-loader workers, without torch."""

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Return a degraded picture of the same size; the input is left alone.

        All randomness comes from `rng`: equal generators give equal results. The result's `codec`
        is what was read back from the bytes just written.
        """
        ...


class PromptRouter(Protocol):
    """Chooses expert prompts for a degraded latent."""

    def route(self, latent: Tensor, codecs: Sequence[CodecInfo]) -> Routing:
        """Mix prompts for each picture of the batch.

        Args:
            latent: `(B,C,h,w)`, any h and w from 1 up, of the model's dtype and device.
            codecs: one per picture; each may be unknown, or of a codec from elsewhere.
        """
        ...


class Conditioner(Protocol):
    """Describes a degraded image in tokens for the U-Net's cross-attention."""

    def condition(self, image: Tensor, latent: Tensor) -> Tensor:
        """Return `(B,L,D)` tokens.

        Args:
            image: the degraded image `(B,3,H,W)` in [0,1].
            latent: its latent `(B,C,h,w)`.
        """
        ...


class Decoder(Protocol):
    """Brings a clean latent back to pixels, true to the degraded input."""

    def decode(self, latent: Tensor, encoded: Encoded, routing: Routing) -> Decoded:
        """Return the two estimates, of the size of `encoded.image`.

        Args:
            latent: the sampled clean latent `(B,C,h,w)`.
            encoded: the degraded image, its latent, and the encoder's feature maps.
            routing: what the router decided; `routing.degradation` may be `None`.
        """
        ...
