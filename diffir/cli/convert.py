"""`diffir convert`: published checkpoints of MoE-DiffIR to a file that diffir restores with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffir.cli.base_options import WHERE, Dtype, Offline, Overwrite, base_loader, stored_dtype
from diffir.cli.console import print_table, print_warning
from diffir.host.manager import Host

if TYPE_CHECKING:
    from diffir.convert.conversion import Conversion


def convert(
    ctx: typer.Context,
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...", help="The diffusion checkpoint, and the decoder checkpoint."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .safetensors file.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="A recipe's name, or a .toml file. By default the published sizes."),
    ] = None,
    base: Annotated[str | None, typer.Option(help=f"{WHERE} Fills in what is left out.")] = None,
    offline: Offline = False,
    no_compensator: Annotated[
        bool, typer.Option("--no-compensator", help="Do without a decoder checkpoint.")
    ] = False,
    dtype: Dtype = "float16",
    report: Annotated[
        bool, typer.Option("--report", help="Tell every name that did not fit.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every name as JSON.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert published checkpoints of MoE-DiffIR.

    They are torch files: tensors are read from them, and nothing in them is run. Which of the
    published variants it is, the names in it tell. The result holds the whole model and its recipe:
    diffir restore --model FILE. Nothing is written where something that the model needs is
    missing.
    """
    from diffir.convert.conversion import RECIPE
    from diffir.convert.conversion import convert as bring_over
    from diffir.convert.report import as_record
    from diffir.pictures.atomic_file import check_free
    from diffir.recipes.recipe import load_recipe

    host: Host = ctx.obj
    stored = stored_dtype(dtype)
    check_free(output, overwrite=overwrite)
    wanted = load_recipe(recipe or RECIPE, host)
    conversion = bring_over(
        sources,
        host,
        recipe=wanted,
        base=base_loader(base, recipe=wanted, offline=offline) if base else None,
        compensator=not no_compensator,
    )
    if as_json:
        typer.echo(json.dumps({"card": conversion.card, **as_record(conversion.placement)}))
    else:
        _tell(conversion, all_of_them=report)
    conversion.write(output, dtype=stored)
    if not as_json:
        typer.echo(f"{output}: {conversion.facts}")


def _tell(conversion: Conversion, *, all_of_them: bool) -> None:
    from diffir.convert.report import dropped_table, faults_table, parts_table

    placement = conversion.placement
    print_table(("part", "tensors", "million numbers"), parts_table(placement))
    for note in conversion.notes:
        typer.echo(note)
    if placement.dropped:
        typer.echo("")
        print_table(("left out", "because"), dropped_table(placement))
    if faults := faults_table(placement, all_of_them=all_of_them):
        typer.echo("")
        print_table(("does not fit", "name"), faults)
    if placement.unexpected:
        print_warning(f"{len(placement.unexpected)} tensors are not known, and are left out")
