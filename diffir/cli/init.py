"""`diffir init`: a file to start training from, of a prior and fresh parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffir.cli.base_options import WHERE, Dtype, Offline, Overwrite, base_loader, stored_dtype
from diffir.cli.console import print_warning
from diffir.errors import RecipeError
from diffir.host.manager import Host


def init(
    ctx: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a .toml file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .safetensors file.")],
    base: Annotated[
        str | None, typer.Option(help=f"{WHERE} By default the one that the recipe names.")
    ] = None,
    tower: Annotated[
        list[Path] | None, typer.Option(help="A file of CLIP RN50 or DA-CLIP. Repeatable.")
    ] = None,
    offline: Offline = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the fresh parts.")] = 0,
    dtype: Dtype = "float32",
    overwrite: Overwrite = False,
) -> None:
    """Make a model of Stable Diffusion that has everything but training.

    Its file is for diffir train --weights FILE; diffir restore --model FILE runs it, too, to see
    that it runs.
    """
    from diffir.convert.conversion import shapes_of
    from diffir.convert.official import CAPTION
    from diffir.convert.start import start
    from diffir.pictures.atomic_file import check_free
    from diffir.recipes.recipe import load_recipe

    host: Host = ctx.obj
    stored = stored_dtype(dtype)
    check_free(output, overwrite=overwrite)
    wanted = load_recipe(recipe, host)
    where = base or wanted.base
    if where is None:
        raise RecipeError(
            f"recipe '{wanted.name}' stands on no base: it is trained from nothing",
            hint=f"Train it: diffir train {recipe} --data FOLDER -o RUN",
        )
    load = base_loader(where, recipe=wanted, offline=offline)
    captioned = CAPTION in shapes_of(wanted, host)
    prior = load(("unet", "vae", "text_encoder") if captioned else ("unet", "vae"))
    made = start(wanted, host, prior, towers=tower or (), seed=seed)
    for name in made.unfilled:
        print_warning(f"{name} has random weights, and training does not change it: give --tower")
    made.write(output, dtype=stored)
    typer.echo(f"{output}: {wanted.name} on {prior.origin}")
