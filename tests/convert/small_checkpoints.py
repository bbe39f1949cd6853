"""Checkpoints with the published names at the width of `small_sd21`, and the recipe that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ldm_layout as ldm
import official_layout as official
import torch
from small_sd21 import OFFICIAL, small_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from diffir.recipes.recipe import Recipe

SIZE = official.SMALL
CHANGES = (
    ("context_width = 24", "context_width = 64"),  # a head of the text tower has 64
    ("\nwidth = 24\nlearned", "\nwidth = 64\nlearned"),
    ("field = 4", "field = 32"),  # one area, as published
    ("noise_draws = 16", "noise_draws = 0"),
    ("sample = true\n", ""),
    ("\nwidth = 8\nblocks = 2", "\nwidth = 8\nblocks = 4"),
)


def recipe() -> Recipe:
    return small_recipe(OFFICIAL, *CHANGES)


def weights(shapes: ldm.Shapes, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights; what must be positive is, and gates tell experts apart."""
    tensors = ldm.random_tensors(shapes, seed=seed)
    for name, tensor in tensors.items():
        if name.endswith(("running_var", "temperature")):
            tensor.abs_().add_(0.5)
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
    return tensors


def diffusion(**variant: object) -> dict[str, torch.Tensor]:
    return weights(official.diffusion(SIZE, **variant))


def decoder() -> dict[str, torch.Tensor]:
    return weights(official.decoder(SIZE, prompts=True), seed=1)


def saved(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    """As Lightning saves it."""
    torch.save({"epoch": 7, "global_step": 1000, "state_dict": tensors}, path)
    return path
