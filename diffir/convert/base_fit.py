"""Whether a prior fits a recipe: told by names and shapes, with the name of what it looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.convert.official import autoencoder_place
from diffir.errors import CheckpointError
from diffir.weights.placing import place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from diffir.recipes.recipe import Recipe
    from diffir.weights.base_weights import BaseWeights
    from diffir.weights.placing import Shape

UNET = "denoiser.unet."
_CONTEXT = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
_FAMILIES = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}
_INPUTS = {7: "an upscaler", 8: "made for editing", 9: "made for inpainting"}


def tensors_of_base(
    base: BaseWeights, recipe: Recipe, wanted: Mapping[str, Shape]
) -> dict[str, Tensor]:
    """The prior's tensors under the names of the recipe's model: all of U-Net and autoencoder.

    Raises:
        CheckpointError: it is another prior; the message says which, and what differs first.
    """
    _check_prediction(base, recipe)
    _check_heads(base, recipe)
    unet, autoencoder = base.parts["unet"], base.parts["vae"]
    named = {f"{UNET}{name}": tensor for name, tensor in unet.items()}
    named |= {autoencoder_place(name): tensor for name, tensor in autoencoder.items()}
    ours = {name: shape for name, shape in wanted.items() if _is_of_prior(name)}
    placement = place(named, str, ours)
    faults = [
        *map(str, placement.misshapen),
        *(f"{name} is missing" for name in placement.missing),
        *(f"{name} has no place" for name in placement.unexpected),
    ]
    if not faults:
        return placement.tensors
    expected = wanted.get(f"{UNET}{_CONTEXT}", ("?", "?"))[1]
    raise CheckpointError(
        f"{base.origin} is {looks_like(unet)}; recipe '{recipe.name}' wants context {expected}: "
        f"{len(faults)} tensors differ, first: {faults[0]}",
        hint=f"Use --base {recipe.base}." if recipe.base else "Use the base of the recipe.",
    )


def _check_prediction(base: BaseWeights, recipe: Recipe) -> None:
    """Refuse a base that predicts v where the recipe wants noise, or the other way round."""
    wanted = "v_prediction" if recipe.sampler.get("prediction", "v") == "v" else "epsilon"
    if base.prediction in (None, wanted):
        return
    raise CheckpointError(
        f"{base.origin} was trained to predict {base.prediction}, recipe '{recipe.name}' samples "
        f"by {wanted}",
        hint="Use the 512-pixel base of Stable Diffusion 2.1, or a recipe with the base's "
        "prediction in its [sampler].",
    )


def _check_heads(base: BaseWeights, recipe: Recipe) -> None:
    """Refuse attention that is divided otherwise than the base's: no shape of a weight tells it."""
    family = looks_like(base.parts["unet"])
    options = recipe.denoiser.options
    if f"(context {options.get('context_width')})" not in family:
        return  # by that it is refused with the shapes
    by_number = "heads" in options
    if by_number == ("1.x" in family) or not family.startswith("Stable Diffusion"):
        return
    has, line = ("8 heads", "heads = 8") if not by_number else ("heads of 64", "head_width = 64")
    raise CheckpointError(
        f"{base.origin} is {family}: its attentions have {has} at every level, which those of "
        f"recipe '{recipe.name}' have not",
        hint=f"Write {line} in the recipe's [denoiser], in place of the other.",
    )


def looks_like(unet: Mapping[str, Tensor]) -> str:
    """Which family a U-Net in diffusers' names is of, by the width of its context."""
    context = unet[_CONTEXT].shape[1] if _CONTEXT in unet else None
    family = _FAMILIES.get(context or 0, "no Stable Diffusion that is known")
    inputs = unet["conv_in.weight"].shape[1] if "conv_in.weight" in unet else 4
    purpose = f", {_INPUTS[inputs]}" if inputs in _INPUTS else ""
    return f"{family}{purpose} (context {context})" if context else family


def _is_of_prior(name: str) -> bool:
    return name.startswith((UNET, "encoder.", "decoder.decoder.", "decoder.post_quant_conv."))
