"""Options of the commands that need Stable Diffusion: where it is, and whether to fetch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from diffir.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from diffir.recipes.recipe import Recipe
    from diffir.weights.base_weights import BaseWeights, Part

WHERE = (
    "Stable Diffusion: a known name, owner/name on the hub, a folder of diffusers, or a single "
    "file."
)
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing; DIFFIR_OFFLINE=1 too.")]
Dtype = Annotated[str, typer.Option(help="Of the stored weights: float16, bfloat16 or float32.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]


def base_loader(
    where: str, *, recipe: Recipe, offline: bool
) -> Callable[[tuple[Part, ...]], BaseWeights]:
    """What loads the parts of a base that are asked for, held to the recipe's checksums."""
    from diffir.perceptual.weights import cache_folder
    from diffir.weights.base_weights import Sources, load_base

    ledger = cache_folder() / "base-weights.json"
    sources = Sources(ledger, offline=offline, pinned=recipe.base_sha256)
    return lambda parts: load_base(where, sources, parts=parts)


def stored_dtype(name: str) -> torch.dtype:
    """The dtype of that name.

    Raises:
        DeviceError: weights are not stored so.
    """
    import torch

    if name not in ("float16", "bfloat16", "float32"):
        raise DeviceError(f"--dtype must be float16, bfloat16 or float32, got '{name}'")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
