"""Published checkpoints to one file of diffir: read, recognize, rename, check, write.

    diffusion.ckpt --.                            .-> placement: what became of every name
    decoder.ckpt ----+-> names of ours, by recipe +
    base ------------'                            '-> x.safetensors, with recipe and card

Nothing is written unless every tensor that the recipe wants was found, of its shape. No model is
built: its names and shapes are those of one on the meta device, which has no numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from diffir.convert.gathering import FUSIONS, Gathering
from diffir.convert.official import CAPTION
from diffir.convert.tower_files import TOWERS, tower_place, tower_tensors
from diffir.convert.variants import Facts, facts_of, fitting, kind_of
from diffir.errors import CheckpointError
from diffir.recipes.recipe import load_recipe
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import save_tensors
from diffir.weights.tensor_file import read_tensors, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from diffir.host.manager import Host
    from diffir.recipes.recipe import Recipe
    from diffir.weights.base_weights import BaseWeights, Part
    from diffir.weights.placing import Placement, Shape

    LoadBase = Callable[[tuple[Part, ...]], BaseWeights]

RECIPE = "moe-diffir-sd21-official"
LICENSE = (
    "the weights of MoE-DiffIR were published without a license; those of Stable Diffusion 2.1 "
    "inside of them are under CreativeML Open RAIL++-M"
)


@dataclass
class Conversion:
    """What was found, and what becomes of it. notes: what a person should know besides."""

    recipe: Recipe
    facts: Facts
    placement: Placement
    card: dict[str, str]
    notes: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Refuse what cannot run.

        Raises:
            CheckpointError: a tensor that the recipe wants is missing, or has another shape.
        """
        misshapen, missing = self.placement.misshapen, self.placement.missing
        if misshapen:
            raise CheckpointError(
                f"{len(misshapen)} tensors do not fit recipe '{self.recipe.name}', first: "
                f"{misshapen[0]}",
                hint="Give the recipe of this model's size with --recipe.",
            )
        if missing:
            raise CheckpointError(
                f"{len(missing)} tensors of recipe '{self.recipe.name}' are in no file, first: "
                f"{missing[0]}",
                hint=_advice(missing),
            )

    def write(self, path: Path, *, dtype: torch.dtype) -> None:
        """Write the file, atomically.

        Raises:
            CheckpointError: see `check`.
        """
        self.check()
        tensors = self.placement.tensors
        save_tensors(tensors, path, recipe=self.recipe, dtype=dtype, card=self.card)


def convert(
    paths: Sequence[Path],
    host: Host,
    *,
    recipe: Recipe | None = None,
    base: LoadBase | None = None,
    compensator: bool = True,
) -> Conversion:
    """Bring published checkpoints into the form of a recipe.

    Args:
        paths: a diffusion checkpoint, and a decoder checkpoint where there is one; files of CLIP
            RN50 and DA-CLIP, where they were stripped from it.
        host: knows the recipe's parts.
        recipe: the model's sizes; by default those that were published.
        base: gives the parts of a prior; asked for those alone that the checkpoints leave out.
        compensator: whether it must be among the files; else it is made to do nothing.

    Raises:
        CheckpointError: a file is no such checkpoint, or two are of one kind.
        RecipeError, ComponentError: the recipe does not serve.
    """
    files = _by_kind(paths)
    facts = facts_of(files["diffusion"][1])
    wanted_recipe = fitting(recipe or load_recipe(RECIPE, host), facts)
    gathering = Gathering(shapes_of(wanted_recipe, host))
    gathering.add_diffusion(files["diffusion"][1])
    if "decoder" in files:
        gathering.add_decoder(files["decoder"][1])
    for kind in TOWERS.values():
        if kind in files:
            path, stored = files[kind]
            gathering.fill(path.name, tower_tensors(stored, path))
    gathering.compute()
    lacking = gathering.lacking()
    prior = base(lacking) if base and lacking else None
    if prior:
        gathering.fill_from_base(prior)
    if not compensator:
        gathering.silence_compensator()
    card = _card(files, facts, prior)
    return Conversion(wanted_recipe, facts, gathering.placed(), card, gathering.notes)


def shapes_of(recipe: Recipe, host: Host) -> dict[str, Shape]:
    """Names and shapes of the model of a recipe; its numbers are never made."""
    with torch.device("meta"):
        model = assemble(recipe, host)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _by_kind(paths: Sequence[Path]) -> dict[str, tuple[Path, dict[str, Tensor]]]:
    files: dict[str, tuple[Path, dict[str, Tensor]]] = {}
    for path in paths:
        tensors = read_tensors(path)
        tower = tower_place(tensors)
        kind = TOWERS[tower] if tower else kind_of(tensors, path)
        if kind in files:
            raise CheckpointError(
                f"{files[kind][0]} and {path} are both of the kind '{kind}'",
                hint="Give one of them.",
            )
        files[kind] = path, tensors
    if "diffusion" not in files:
        raise CheckpointError(
            f"{', '.join(map(str, paths))}: no diffusion checkpoint, only {' and '.join(files)}",
            hint="Give the diffusion checkpoint as well.",
        )
    return files


def _advice(missing: Sequence[str]) -> str:
    if missing[0].startswith(FUSIONS):
        return "Give the decoder checkpoint as well, or --no-compensator to do without."
    if missing[0].startswith(("denoiser.unet.", "encoder.", "decoder.", CAPTION)):
        return "They belong to Stable Diffusion: give it with --base."
    for place, told in TOWERS.items():
        if missing[0].startswith(place):
            return f"Give the file of {told} as well."
    return "The file is part of a checkpoint, or of another model: see --report."


def _card(
    files: Mapping[str, tuple[Path, dict[str, Tensor]]], facts: Facts, prior: BaseWeights | None
) -> dict[str, str]:
    """What a person who finds the file should know."""
    card = {"made by": "diffir convert", "holds": str(facts), "license": LICENSE}
    for kind, (path, _) in files.items():
        card[kind if kind in TOWERS.values() else f"{kind} checkpoint"] = (
            f"{path.name}, sha256 {sha256_of(path)}"
        )
    if prior:
        card["base"] = prior.origin
        card |= {f"base {name}": f"sha256 {checksum}" for name, checksum in prior.files.items()}
    return card
