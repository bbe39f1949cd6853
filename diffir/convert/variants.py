"""What a published checkpoint is, by the names in it, and the recipe that goes with it.

    diffusion   a whole model; with or without the visual-to-text adapter and DA-CLIP
    decoder     the autoencoder with its compensator

The three published diffusion checkpoints differ in what they have: MoE-Prompt alone, with the
adapter, with the adapter and DA-CLIP. The ablations differ in their prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from diffir.convert.official import AUTOENCODER, CONTEXT, PYRAMID, UNET
from diffir.convert.prompt_pyramid import Variant, variant_of
from diffir.convert.recipe_tables import with_line, with_table, without_table
from diffir.errors import CheckpointError
from diffir.recipes.recipe import parse_recipe

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from torch import Tensor

    from diffir.recipes.recipe import Recipe

Kind = Literal["diffusion", "decoder"]


@dataclass(frozen=True)
class Facts:
    """What a diffusion checkpoint has. context: width D of the U-Net's context."""

    prompts: Variant
    adapter: bool
    enhancer: bool
    prior: bool
    context: int

    def __str__(self) -> str:
        parts = {
            "visual-to-text adapter": self.adapter,
            "enhancer": self.enhancer,
            "DA-CLIP": self.prior,
        }
        return ", ".join([f"{self.prompts} prompts", *(name for name, has in parts.items() if has)])


def kind_of(names: Collection[str], path: Path) -> Kind:
    """Which of the published checkpoints these are the names of.

    Raises:
        CheckpointError: none; the message says what else it looks like.
    """
    if f"{PYRAMID}conv_first.0.weight" in names:
        return "diffusion"
    if any(name.startswith("decoder.fusion_layer_1.") for name in names):
        return "decoder"
    looks = next((told for prefix, told in _OTHERS.items() if _some(names, prefix)), None)
    raise CheckpointError(
        f"{path} is no published checkpoint of MoE-DiffIR{looks or ''}: "
        f"its names begin like '{min(names)}'",
        hint="Its diffusion checkpoints have names in structcond_stage_model.conv_first, its "
        "decoder checkpoint in decoder.fusion_layer_1.",
    )


_OTHERS = {
    PYRAMID: ", it looks like StableSR's",
    UNET: ", it looks like a plain Stable Diffusion (give that with --base)",
    AUTOENCODER: ", it looks like an autoencoder",
    "denoiser.": ", it looks like diffir's own",
}


def facts_of(tensors: Mapping[str, Tensor]) -> Facts:
    """What a diffusion checkpoint has, by the names in it."""
    inside = {name.removeprefix(PYRAMID) for name in tensors if name.startswith(PYRAMID)}
    first = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    return Facts(
        prompts=variant_of(inside),
        adapter=f"{CONTEXT}adapter1.fc.0.weight" in tensors,
        enhancer="transformer_encoder.0.weight" in tensors,
        prior="Prompt_model1.attn.to_q.weight" in inside,
        context=tensors[first].shape[1] if first in tensors else 1024,
    )


def fitting(recipe: Recipe, facts: Facts) -> Recipe:
    """The recipe with the tables that the checkpoint fills, and without those that it does not."""
    text = recipe.text
    if not facts.prior:
        text = without_table(text, "router.prior")
    if facts.prompts != "moe":
        text = with_line(text, "router", f'variant = "{facts.prompts}"')
    if not facts.adapter:
        text = with_table(text, "conditioner", f'use = "empty-text"\nwidth = {facts.context}')
    elif not facts.enhancer:
        text = without_table(text, "conditioner.enhancer")
    return parse_recipe(text, origin=f"recipe '{recipe.name}'")


def _some(names: Collection[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)
