"""`diffir prompts`: which prompt packs there are, what each is, and installing them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffir.cli.console import FAILED, print_table
from diffir.errors import CheckpointError, OutputError, UnknownComponentError
from diffir.host.manager import Host

if TYPE_CHECKING:
    from diffir.contracts.prompt_pack import PromptPack

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="As `diffir prompts list` shows it, or a file.")]


def build_prompts_app() -> typer.Typer:
    """The commands below `diffir prompts`."""
    app = typer.Typer(
        help="Look at prompt packs, install and remove them.\n\n"
        "A pack serves the pictures of its codecs, and changes no others. It is made by "
        "`diffir finetune-prompts`.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.command("list")(list_packs)
    app.command("show")(show)
    app.command("install", short_help="Install a pack, so that `restore` uses it.")(install)
    app.command("export")(export)
    app.command("merge", short_help="Put packs for several codecs into one file.")(merge)
    app.command("diff", short_help="Compare two packs.")(diff)
    app.command("remove")(remove)
    return app


def list_packs(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List packs: installed ones and those of plugins. A broken file is a row with its error."""
    from diffir.restore.pack_store import stored_packs

    host: Host = ctx.obj
    packs = stored_packs(host)
    if as_json:
        rows = [
            {
                "name": pack.name,
                "source": pack.source,
                "path": str(pack.path),
                "cards": [card.to_dict() for card in pack.cards],
                "error": pack.error.message if pack.error else None,
            }
            for pack in packs
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    table: list[tuple[str, ...]] = []
    for pack in packs:
        for card in pack.cards:
            gains = (f"{gain.mean:+.4f}" for gain in (card.lpips, card.dists))
            table.append((pack.name, pack.source, ", ".join(card.codecs), card.base, *gains))
        if pack.error:
            table.append((pack.name, pack.source, f"broken: {pack.error}", "", "", ""))
    print_table(("pack", "source", "codecs", "base", "change of LPIPS", "of DISTS"), table)


def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show the card of a pack; of a merged one, all of them."""
    from diffir.restore.pack_file import read_cards
    from diffir.restore.pack_store import find_pack

    host: Host = ctx.obj
    path = find_pack(name, host)
    cards = [card.to_dict() for card in read_cards(path)]
    if as_json:
        typer.echo(json.dumps({"path": str(path), "cards": cards}, indent=2))
        return
    print_table(
        ("", *("" for _ in cards)),
        [(key, *(_words(card[key]) for card in cards)) for key in cards[0]],
    )


def install(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A pack, a .safetensors file.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of one for the same codec.")
    ] = False,
) -> None:
    """Install a pack, so that `diffir restore` uses it for the pictures of its codecs."""
    from diffir.restore.pack_store import install_pack

    pack = install_pack(file, replace=replace)
    codecs = ", ".join(codec for card in pack.cards for codec in card.codecs)
    typer.echo(f"{pack.name}: installed for {codecs} pictures")


def export(
    ctx: typer.Context,
    name: Name,
    output: Annotated[Path, typer.Option("-o", "--output", help="A file for the pack.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it.")] = False,
) -> None:
    """Copy a stored pack to a file, to share it."""
    from diffir.pictures.atomic_file import write_atomically
    from diffir.restore.pack_file import read_cards
    from diffir.restore.pack_store import find_pack

    host: Host = ctx.obj
    path = find_pack(name, host)
    read_cards(path)
    _check_suffix(output)
    write_atomically(output, path.read_bytes(), overwrite=overwrite)
    typer.echo(f"{output}: {name}")


def merge(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Two packs or more: names, or files.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A file for all of them.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it.")] = False,
) -> None:
    """Put packs for several codecs into one file.

    Each stays what it was: pictures are restored bit by bit as with the pack of their codec alone.
    """
    from diffir.restore.pack_file import check_mergeable, load_packs, save_packs
    from diffir.restore.pack_store import find_pack

    host: Host = ctx.obj
    _check_suffix(output)
    if len(names) < 2:
        raise typer.BadParameter(f"expected two packs or more, got {len(names)}")
    packs = [pack for name in names for pack in load_packs(find_pack(name, host))]
    check_mergeable(packs)
    save_packs(packs, output, overwrite=overwrite)
    codecs = ", ".join(codec for pack in packs for codec in pack.card.codecs)
    typer.echo(f"{output}: {codecs}, {output.stat().st_size} bytes")


def diff(ctx: typer.Context, first: Name, second: Name, as_json: AsJson = False) -> None:
    """Compare two packs: what their cards say, and how far apart their prompts are.

    Exit code 1 where they differ.
    """
    from diffir.restore.pack_store import find_pack
    from diffir.restore.prompt_packs import distance

    host: Host = ctx.obj
    packs = [_only(find_pack(name, host)) for name in (first, second)]
    cards = [pack.card.to_dict() for pack in packs]
    facts = {
        key: [card[key] for card in cards] for key in cards[0] if cards[0][key] != cards[1][key]
    }
    apart = distance(*packs)
    if as_json:
        typer.echo(json.dumps({"card": facts, "prompts": apart}, indent=2))
    else:
        rows = [(key, *(_words(value) for value in values)) for key, values in facts.items()]
        rows += [(f"prompts, {name}", f"{value:.3f}", "") for name, value in apart.items()]
        print_table(("", first, second), rows)
    if facts or any(apart.values()):
        raise typer.Exit(FAILED)


def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="As `diffir prompts list` shows it.")],
) -> None:
    """Remove an installed pack."""
    from diffir.restore.pack_store import INSTALLED, remove_pack, stored_packs

    host: Host = ctx.obj
    for pack in stored_packs(host):
        if pack.name == name and pack.source != INSTALLED:
            raise UnknownComponentError(
                f"the prompt pack '{name}' comes with the plugin '{pack.source}'",
                hint=f"Switch the plugin off: diffir plugins disable {pack.source}",
            )
    typer.echo(f"{remove_pack(name)}: removed")


def _only(path: Path) -> PromptPack:
    from diffir.restore.pack_file import load_packs

    packs = load_packs(path)
    if len(packs) > 1:
        raise CheckpointError(
            f"{path} holds {len(packs)} packs; two single ones can be compared",
            hint="Compare those that it was merged from.",
        )
    return packs[0]


def _check_suffix(output: Path) -> None:
    if output.suffix != ".safetensors":
        raise OutputError(f"{output} does not end in .safetensors", hint="Name it pack.safetensors")


def _words(value: Any) -> str:
    if isinstance(value, dict) and "threshold" in value:
        return f"{value['found']:.0%} found by pixels, {value['taken']:.1%} of others taken"
    if isinstance(value, dict):
        return f"{value['mean']:+.4f} ({value['low']:+.4f} to {value['high']:+.4f})"
    if isinstance(value, list | tuple):
        return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return str(value)
