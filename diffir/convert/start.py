"""A file to start training from: a prior, the frozen towers, and fresh parts of MoE-DiffIR.

What learns starts fresh: injections, MoE-Prompt module, adapter, compensator. What is frozen must
come from somewhere: U-Net and autoencoder from the base, CLIP's towers from their own files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from diffir.convert.base_fit import tensors_of_base
from diffir.convert.official import CAPTION
from diffir.convert.tower_files import TOWERS, tower_place, tower_tensors
from diffir.errors import CheckpointError
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import save_tensors
from diffir.weights.empty_caption import empty_caption
from diffir.weights.placing import place
from diffir.weights.tensor_file import read_tensors, sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from diffir.host.manager import Host
    from diffir.recipes.recipe import Recipe
    from diffir.weights.base_weights import BaseWeights
    from diffir.weights.placing import Shape


@dataclass(frozen=True)
class Start:
    """A model before its first step. unfilled: towers that are frozen and have random weights."""

    recipe: Recipe
    tensors: Mapping[str, Tensor]
    card: Mapping[str, str]
    unfilled: tuple[str, ...]

    def write(self, path: Path, *, dtype: torch.dtype) -> None:
        """Write the file, atomically."""
        save_tensors(self.tensors, path, recipe=self.recipe, dtype=dtype, card=self.card)


def start(
    recipe: Recipe, host: Host, base: BaseWeights, *, towers: Sequence[Path] = (), seed: int = 0
) -> Start:
    """Put a model together that has everything but training.

    Args:
        recipe: the model.
        host: knows its parts.
        base: the prior, with its text encoder where the recipe wants the empty caption.
        towers: files of CLIP RN50 and of DA-CLIP, known by the names in them.
        seed: of what is fresh.

    Raises:
        CheckpointError: the base is another one, or a tower is not known or does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tensors = dict(assemble(recipe, host).state_dict())
    wanted = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    tensors |= tensors_of_base(base, recipe, wanted)
    if CAPTION in wanted:
        tokens = {CAPTION: empty_caption(base.parts["text_encoder"])}
        tensors |= _checked(tokens, {CAPTION: wanted[CAPTION]}, base.origin)
    card = {"made by": "diffir init", "base": base.origin, "license of the base": base.license}
    card |= {f"base {name}": f"sha256 {checksum}" for name, checksum in base.files.items()}
    filled = set()
    for path in towers:
        stored = read_tensors(path)
        named, below = tower_tensors(stored, path), str(tower_place(stored))
        inside = {name: shape for name, shape in wanted.items() if name.startswith(below)}
        tensors |= _checked(named, inside, str(path))
        filled.add(below)
        card[TOWERS[below]] = f"{path.name}, sha256 {sha256_of(path)}"
    unfilled = [
        told
        for below, told in TOWERS.items()
        if below not in filled and any(name.startswith(below) for name in wanted)
    ]
    return Start(recipe, tensors, card, tuple(unfilled))


def _checked(
    named: Mapping[str, Tensor], wanted: Mapping[str, Shape], origin: str
) -> dict[str, Tensor]:
    """The tensors, which must be all that is wanted, and no others; counters may be missing."""
    placement = place(named, str, wanted)
    faults = [
        *map(str, placement.misshapen),
        *(f"{n} is missing" for n in placement.missing if not n.endswith("num_batches_tracked")),
        *(f"{name} has no place" for name in placement.unexpected),
    ]
    if faults:
        raise CheckpointError(
            f"{origin} does not fit the recipe: {len(faults)} tensors differ, first: {faults[0]}",
            hint="Give the tower that the recipe names.",
        )
    return placement.tensors
