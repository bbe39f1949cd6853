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

from diffir.convert.official import (
    AUTOENCODER,
    CAPTION,
    CONTEXT,
    autoencoder_place,
    decoder_name,
    diffusion_name,
)
from diffir.convert.prompt_pyramid import with_whole_gates
from diffir.convert.variants import Facts, facts_of, fitting, kind_of
from diffir.convert.visual_to_text import TEXT_TOWER
from diffir.errors import CheckpointError
from diffir.recipes.recipe import load_recipe
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import save_tensors
from diffir.weights.empty_caption import empty_caption
from diffir.weights.placing import Dropped, Placement, Shape, place
from diffir.weights.tensor_file import read_tensors, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from diffir.host.manager import Host
    from diffir.recipes.recipe import Recipe
    from diffir.weights.base_weights import BaseWeights, Part

    LoadBase = Callable[[tuple[Part, ...]], BaseWeights]

RECIPE = "moe-diffir-sd21-official"
LICENSE = (
    "the weights of MoE-DiffIR were published without a license; those of Stable Diffusion 2.1 "
    "inside of them are under CreativeML Open RAIL++-M"
)
_COMPUTED = "tokens of the empty caption"
_REPLACED = Dropped("the decoder checkpoint's autoencoder is used, as in the published test")
_COUNTERS = "num_batches_tracked"
_FUSIONS = "decoder.fusions."


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
        paths: a diffusion checkpoint, and a decoder checkpoint where there is one.
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
    wanted = shapes_of(wanted_recipe, host)
    sources, names = _sources(files)
    lacking = _lacking(wanted, names, sources)
    prior = base(lacking) if base and lacking else None
    if prior:
        _add_prior(sources, names, prior)
    notes = _fill(sources, names, wanted, prior)
    if not compensator and "decoder" not in files:
        empty = [name for name in wanted if name.startswith(_FUSIONS)]
        for name in empty:
            sources[name], names[name] = torch.zeros(wanted[name]), name
        notes.append("the compensator does nothing: no decoder checkpoint was given")
    placement = place(sources, names.__getitem__, wanted)
    return Conversion(wanted_recipe, facts, placement, _card(files, facts, prior), notes)


def shapes_of(recipe: Recipe, host: Host) -> dict[str, Shape]:
    """Names and shapes of the model of a recipe; its numbers are never made."""
    with torch.device("meta"):
        model = assemble(recipe, host)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _by_kind(paths: Sequence[Path]) -> dict[str, tuple[Path, dict[str, Tensor]]]:
    files: dict[str, tuple[Path, dict[str, Tensor]]] = {}
    for path in paths:
        tensors = read_tensors(path)
        kind = kind_of(tensors, path)
        if kind in files:
            raise CheckpointError(
                f"{files[kind][0]} and {path} are both {kind} checkpoints", hint="Give one of them."
            )
        files[kind] = path, tensors
    if "diffusion" not in files:
        raise CheckpointError(
            f"{paths[0]} is the decoder checkpoint, which is half of a model",
            hint="Give the diffusion checkpoint as well.",
        )
    return files


Names = dict[str, "str | Dropped | None"]


def _sources(
    files: Mapping[str, tuple[Path, dict[str, Tensor]]],
) -> tuple[dict[str, Tensor], Names]:
    """All tensors, by where they come from, and the names that they are to have."""
    stored = with_whole_gates(files["diffusion"][1])
    sources, names = dict(stored), {name: diffusion_name(name) for name in stored}
    for name, tensor in files.get("decoder", ("", {}))[1].items():
        sources[f"decoder checkpoint: {name}"] = tensor
        names[f"decoder checkpoint: {name}"] = decoder_name(name)
    if "decoder" in files:
        names |= {name: _REPLACED for name in stored if name.startswith(AUTOENCODER)}
    return sources, names


def _lacking(
    wanted: Mapping[str, Shape], names: Names, sources: Mapping[str, Tensor]
) -> tuple[Part, ...]:
    """The parts of a prior that the checkpoints leave out, wholly or partly."""
    taken = set(names.values())
    if any(name.startswith(f"{CONTEXT}{TEXT_TOWER}") for name in sources):
        taken.add(CAPTION)
    lacking = [name for name in wanted if name not in taken and not name.startswith(_FUSIONS)]
    needed: dict[Part, tuple[str, ...]] = {
        "unet": ("denoiser.unet.",),
        "vae": ("encoder.", "decoder."),
        "text_encoder": (CAPTION,),
    }
    return tuple(p for p, places in needed.items() if any(n.startswith(places) for n in lacking))


def _add_prior(sources: dict[str, Tensor], names: Names, prior: BaseWeights) -> None:
    """Add a prior's tensors, where the checkpoints have none for that place."""
    taken = set(names.values())
    for part, tensors in prior.parts.items():
        for name, tensor in tensors.items() if part != "text_encoder" else ():
            target = f"denoiser.unet.{name}" if part == "unet" else autoencoder_place(name)
            if target not in taken:
                sources[f"base: {part}/{name}"] = tensor
                names[f"base: {part}/{name}"] = target


def _fill(
    sources: dict[str, Tensor],
    names: Names,
    wanted: Mapping[str, Shape],
    prior: BaseWeights | None,
) -> list[str]:
    """Add what is computed: the empty caption, and counters of batch norms that some files lack."""
    notes = []
    prefix = f"{CONTEXT}{TEXT_TOWER}"
    own = {n.removeprefix(CONTEXT): t for n, t in sources.items() if n.startswith(prefix)}
    tower = own or (prior.parts.get("text_encoder") if prior else None)
    if CAPTION in wanted and tower:
        sources[_COMPUTED], names[_COMPUTED] = empty_caption(tower), CAPTION
        whose = "checkpoint" if own else "base"
        notes.append(f"the empty caption's tokens are computed by the {whose}'s text tower")
    given = set(names.values())
    for name in wanted:
        if name.endswith(_COUNTERS) and name not in given:
            sources[name], names[name] = torch.zeros(wanted[name]), name
    return notes


def _advice(missing: Sequence[str]) -> str:
    if missing[0].startswith(_FUSIONS):
        return "Give the decoder checkpoint as well, or --no-compensator to do without."
    if missing[0].startswith(("denoiser.unet.", "encoder.", "decoder.", CAPTION)):
        return "They belong to Stable Diffusion: give it with --base."
    return "The file is part of a checkpoint, or of another model: see --report."


def _card(
    files: Mapping[str, tuple[Path, dict[str, Tensor]]], facts: Facts, prior: BaseWeights | None
) -> dict[str, str]:
    """What a person who finds the file should know."""
    card = {"made by": "diffir convert", "holds": str(facts), "license": LICENSE}
    for kind, (path, _) in files.items():
        card[f"{kind} checkpoint"] = f"{path.name}, sha256 {sha256_of(path)}"
    if prior:
        card["base"] = prior.origin
        card |= {f"base {name}": f"sha256 {checksum}" for name, checksum in prior.files.items()}
    return card
