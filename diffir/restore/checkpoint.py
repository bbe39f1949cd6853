"""Weights files: safetensors, with the recipe and the model's card in the header.

One file is enough to run. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from diffir.errors import CheckpointError, OutputError
from diffir.recipes.recipe import BACKBONE, Recipe, load_recipe, parse_recipe
from diffir.restore.assemble import assemble

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from diffir.diffusion.model import RestorationModel
    from diffir.host.manager import Host

FORMAT = "diffir-model-1"


def save_checkpoint(
    model: RestorationModel,
    path: Path,
    *,
    recipe: Recipe,
    dtype: torch.dtype,
    card: Mapping[str, str] | None = None,
) -> None:
    """Write the model's weights as `dtype`, with `recipe` and `card` in the header, atomically."""
    save_tensors(model.state_dict(), path, recipe=recipe, dtype=dtype, card=card)


def save_tensors(
    tensors: Mapping[str, torch.Tensor],
    path: Path,
    *,
    recipe: Recipe,
    dtype: torch.dtype,
    card: Mapping[str, str] | None = None,
) -> None:
    """As `save_checkpoint`, from the tensors alone: no model has to be built to write its file.

    Raises:
        OutputError: it cannot be written.
    """
    stored = {
        name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()
    }
    header = {"format": FORMAT, "recipe": recipe.text, "card": json.dumps(dict(card or {}))}
    partial = path.with_name(path.name + ".partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode  # the library makes files that nobody else may read
        save_file(stored, partial, metadata=header)
        partial.chmod(mode)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{path} cannot be written: {error}", hint="Free some space, or write elsewhere."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: Path, host: Host) -> tuple[RestorationModel, Recipe]:
    """Build the model of a weights file, on the CPU, in float32 and evaluation mode.

    Raises:
        CheckpointError: not there, not safetensors, not ours, or its weights do not fit its recipe.
        RecipeError: its recipe is not valid. ComponentError: its recipe needs a plugin.
    """
    header, tensors = _read(path)
    recipe = parse_recipe(header["recipe"], origin=f"the recipe in {path}")
    model = _assemble_unset(recipe, host)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != given:
        odd = sorted(dict(wanted.items() ^ given.items()))
        raise CheckpointError(
            f"{path}: {len(odd)} weights do not fit recipe '{recipe.name}', first: {odd[0]}",
            hint="The file was made by another version of diffir or of a plugin that it uses.",
        )
    # One by one: a large model must not be in memory in both precisions.
    model.load_state_dict({name: tensors.pop(name).float() for name in wanted}, assign=True)
    return model.eval(), recipe


def _assemble_unset(recipe: Recipe, host: Host) -> RestorationModel:
    """The recipe's model, with whatever weights: those of the file come at once.

    A large one has none, on the meta device: a billion random numbers would take a minute. The
    first use of that device imports a thousand modules, for which a light model does not wait.
    """
    import torch

    if recipe.denoiser.use == BACKBONE:
        with torch.random.fork_rng(devices=[]):
            return assemble(recipe, host)
    with torch.device("meta"):
        return assemble(recipe, host)


def read_card(path: Path) -> dict[str, str]:
    """The card in a weights file's header: what made it, from what, and what it measured.

    Raises:
        CheckpointError: see `load_checkpoint`.
    """
    card: dict[str, str] = json.loads(_read(path)[0]["card"])
    return card


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    hint = "Only .safetensors files made by diffir are read; files with pickles in them never are."
    if not path.is_file():
        raise CheckpointError(f"there is no weights file {path}", hint="Check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}", hint=hint) from error
    if header.get("format") != FORMAT:
        found = header.get("format", "none")
        raise CheckpointError(f"{path} has format '{found}', expected '{FORMAT}'", hint=hint)
    return header, tensors


def find_weights(model: str, host: Host) -> Path:
    """The weights of a registered recipe, which lie beside it, or the file that `model` names.

    Raises:
        CheckpointError: the recipe comes without weights, or there is no such file.
        UnknownComponentError: neither a file nor a recipe.
    """
    if model.endswith(".safetensors"):
        return Path(model)
    if Path(model).suffix in {".ckpt", ".pt", ".pth", ".bin"}:
        raise CheckpointError(
            f"{model} may hold pickled code and is not read",
            hint="Published checkpoints of MoE-DiffIR are read by diffir convert; otherwise give a "
            ".safetensors file made by diffir, or a recipe's name.",
        )
    weights = host.find("recipe", model).find_file().with_suffix(".safetensors")
    if not weights.is_file():
        base = load_recipe(model, host).base
        raise CheckpointError(
            f"the recipe '{model}' comes without weights ({weights.name} is missing)",
            hint=f"Train it: diffir train {model} --data FOLDER -o RUN"
            if base is None
            else f"It stands on {base}. Make a weights file and give that: diffir convert makes "
            "one of the published checkpoints, diffir init one to train. See docs/sd21.md.",
        )
    return weights
