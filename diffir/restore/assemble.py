"""Recipe and host to model: looks up what stands in each seam and puts it together."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from diffir.diffusion.backbone import create_backbone
from diffir.diffusion.model import RestorationModel
from diffir.diffusion.samplers import Sampler
from diffir.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

    from diffir.host.component import Kind
    from diffir.host.manager import Host
    from diffir.recipes.recipe import Recipe


def assemble(recipe: Recipe, host: Host) -> RestorationModel:
    """Build the model that a recipe describes, with fresh weights.

    Raises:
        ComponentError: a component is unknown, cannot be loaded, or does not take its options.
        RecipeError: an option has a value that its part refuses.
    """
    try:
        parts = {
            seam: cast("nn.Module", host.create(cast("Kind", seam), part.use, **part.options))
            for seam, part in recipe.parts.items()
        }
        encoder = create_backbone("encoder", recipe.encoder)
        denoiser = create_backbone("denoiser", recipe.denoiser)
        sampler = Sampler(**recipe.sampler)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(f"recipe '{recipe.name}': {error}") from error
    return RestorationModel(encoder=encoder, denoiser=denoiser, sampler=sampler, **parts)
