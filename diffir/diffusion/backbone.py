"""The two parts that a prior is made of, and the ones that diffir brings.

    light     plain torch, of any size: nothing but torch is imported for it
    sd        Stable Diffusion's U-Net, in diffusers' classes, with prompts injected
    kl-f8     Stable Diffusion's autoencoder, encoder half, in diffusers' classes

Recipes name them: `[encoder] use = ...` and `[denoiser] use = ...`. They are imported when a recipe
asks for them, so that the model in the box never waits for diffusers (docs/adr/0008).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from diffir.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from diffir.contracts.interfaces import Encoded
    from diffir.recipes.recipe import Part

BACKBONES = {
    "encoder": {
        "light": "diffir.diffusion.autoencoder:Encoder",
        "kl-f8": "diffir.diffusion.kl_encoder:KLEncoder",
    },
    "denoiser": {
        "light": "diffir.diffusion.unet:UNet",
        "sd": "diffir.diffusion.sd_unet:PromptedUNet",
    },
}
"""Name to `"package.module:Class"`, per part."""


class Encoder(Protocol):
    """Image to latent and feature maps; an `nn.Module`.

    grid: pixels per latent position, on each axis.
    values_per_pixel: numbers that are alive at once while a picture is encoded or decoded, per
        pixel: what the size of tiles is chosen by.
    """

    grid: int

    @property
    def values_per_pixel(self) -> float:
        """See above."""
        ...

    def encode(self, image: Tensor) -> Encoded:
        """Encode `(B,3,H,W)` in [0,1]; H and W multiples of `grid`."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As `nn.Module.parameters`."""
        ...


class Denoiser(Protocol):
    """Predicts v or noise from a noisy latent; an `nn.Module`.

    levels: U-Net levels; the latent's sides are multiples of `2**(levels-1)`.
    """

    levels: int

    def __call__(
        self, latent: Tensor, timesteps: Tensor, prompts: Sequence[Tensor], context: Tensor
    ) -> Tensor:
        """The prediction, of the shape of `latent (B,C,h,w)`.

        Args:
            latent: noisy.
            timesteps: `(B,)` in 0..999.
            prompts: one map `(B,D,h/2^l,w/2^l)` per level, finest first, or what `prepare` made of
                them.
            context: `(B,L,D)`.
        """
        ...

    def prepare(self, prompts: Sequence[Tensor]) -> Sequence[Tensor]:
        """Whatever can be computed of the prompts once for all timesteps; may be nothing."""
        ...

    def descend(self, latent: Tensor, timesteps: Tensor, context: Tensor) -> Any:
        """The way down, where it sees no prompts: the same for every mixture of experts."""
        ...

    def climb(self, descent: Any, prompts: Sequence[Tensor], context: Tensor) -> Tensor:
        """From `descend` to the prediction."""
        ...

    def steering_parameters(self) -> Iterator[nn.Parameter]:
        """What learns while the prior itself is frozen: where prompts and context enter."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As `nn.Module.parameters`."""
        ...


def create_backbone(kind: Literal["encoder", "denoiser"], part: Part) -> nn.Module:
    """The encoder or the denoiser that a recipe asks for, with fresh weights.

    Raises:
        RecipeError: there is none of that name.
        TypeError, ValueError: it does not take these options.
    """
    known = BACKBONES[kind]
    if part.use not in known:
        raise RecipeError(
            f"there is no {kind} called '{part.use}'", hint=f"Known: {', '.join(known)}."
        )
    module, _, name = known[part.use].partition(":")
    return cast("nn.Module", getattr(import_module(module), name)(**part.options))
