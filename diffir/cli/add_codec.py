"""`diffir add-codec`: a plugin with a new codec, tried and measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffir.cli.inputs import expand, suffixes_of
from diffir.errors import ComponentError, DuplicateComponentError
from diffir.host.manager import Host
from diffir.host.user_folder import plugins_folder

if TYPE_CHECKING:
    from diffir.contracts.codec import Codec, Pixels
    from diffir.scaffold.new_codec import NewCodec, Wishes
    from diffir.scaffold.ways import Way

EXCHANGES = ("png", "ppm", "y4m")
MOST_PICTURES = 8
"""Of a folder that is given, the first ones: figures for a README, not a benchmark."""


def add_codec(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the codec, as in --task my-codec-10.")],
    from_command: Annotated[
        str | None,
        typer.Option(help="The encoder's command line, with {input}, {output} and {quality}."),
    ] = None,
    decode: Annotated[
        str | None, typer.Option(help="The decoder's command line, with {input} and {output}.")
    ] = None,
    exchange: Annotated[
        str, typer.Option(help="How programs get pictures and give them back: png, ppm or y4m.")
    ] = "png",
    pillow: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="A format that Pillow writes, such as GIF.")
    ] = None,
    pyav: Annotated[
        str | None,
        typer.Option(metavar="ENCODER", help="A video encoder that PyAV has, such as mpeg4."),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="Of its files. The codec's name without it.")
    ] = None,
    worst: Annotated[
        float | None, typer.Option(help="The quality that compresses hardest.")
    ] = None,
    best: Annotated[float | None, typer.Option(help="The quality that compresses least.")] = None,
    levels: Annotated[
        str | None, typer.Option(help="Qualities of the benchmark's tasks: 10,20,30.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder that gets the package diffir-NAME.")
    ] = Path("plugins"),
    pictures: Annotated[
        Path | None, typer.Option(help="Clean pictures to measure on. A few are made without it.")
    ] = None,
    register: Annotated[
        bool,
        typer.Option("--register", help="One file in your plugin folder, usable at once."),
    ] = False,
    untried: Annotated[
        bool, typer.Option("--untried", help="Write it without running it: no figures, no waivers.")
    ] = False,
) -> None:
    """Add a codec: from two command lines, from Pillow, from PyAV, or as a skeleton to fill.

    Writes an installable package with its tests, its README and figures of what the codec does to
    pictures; or, with --register, a single file that diffir finds at once. The codec is tried
    first, and nothing is written if it does not work.
    """
    from diffir.scaffold.new_codec import plan_codec
    from diffir.scaffold.trial import settle, with_waivers

    host: Host = ctx.obj
    _check_name_is_free(host, name)
    ways = _ways(from_command, decode, exchange=exchange, pillow=pillow, pyav=pyav)
    wishes = _wishes(suffix, worst, best, levels)
    planned = plan_codec(name, ways[0], wishes)
    target = _target(planned, None if register else output)
    samples = _pictures(host, pictures)
    if not untried:
        typer.echo("trying the codec", err=True)
        planned = settle(name, ways, wishes)
        typer.echo("running the public checks", err=True)
        planned = with_waivers(planned)
    if register:
        _register(planned, target)
    else:
        _write(host, planned, target, samples, untried=untried)


def _ways(
    encode: str | None, decode: str | None, *, exchange: str, pillow: str | None, pyav: str | None
) -> list[Way]:
    from diffir.scaffold.ways import from_commands, from_pillow, from_pyav, skeleton

    if sum(way is not None for way in (encode, pillow, pyav)) > 1:
        raise typer.BadParameter("give one of --from-command, --pillow and --pyav")
    if (encode is None) != (decode is None):
        raise typer.BadParameter("--from-command and --decode belong together: give both")
    if exchange not in EXCHANGES:
        raise typer.BadParameter(f"expected {', '.join(EXCHANGES)}, got '{exchange}'")
    if encode is not None and decode is not None:
        return from_commands(encode, decode, exchange=exchange)
    if pillow is not None:
        return from_pillow(pillow)
    return skeleton() if pyav is None else from_pyav(pyav)


def _wishes(
    suffix: str | None, worst: float | None, best: float | None, levels: str | None
) -> Wishes:
    from diffir.scaffold.new_codec import Wishes

    try:
        numbers = tuple(float(word) for word in levels.split(",")) if levels else None
    except ValueError as error:
        raise typer.BadParameter(
            f"expected numbers with commas between them, got '{levels}'", param_hint="--levels"
        ) from error
    return Wishes(suffix, worst, best, numbers)


def _check_name_is_free(host: Host, name: str) -> None:
    taken = next((c for c in host.components("codec") if c.name == name), None)
    if taken is not None:
        raise DuplicateComponentError(
            f"there is a codec '{name}' already, of plugin '{taken.plugin}'",
            hint=_make_room(host.plugin(taken.plugin).origin),
        )


def _make_room(origin: str) -> str:
    if origin == "built in":
        return "Choose another name."
    way = f"delete {origin}" if Path(origin).is_file() else f"pip uninstall {origin}"
    return f"Choose another name, or remove that one: {way}"


def _target(planned: NewCodec, output: Path | None) -> Path:
    from diffir.scaffold.package import package_folder, plugin_file

    if output is None:
        return plugin_file(planned, plugins_folder())
    return package_folder(planned, output)


def _pictures(host: Host, folder: Path | None) -> list[Pixels]:
    if folder is None:
        return []  # made when they are needed

    from diffir.evaluate.protocol_pixels import as_8bit
    from diffir.pictures.reading import read

    items = expand([str(folder)], suffixes=suffixes_of(host))[:MOST_PICTURES]
    return [as_8bit(read(item.path, host=host).pixels) for item in items]


def _register(planned: NewCodec, target: Path) -> None:
    from diffir.scaffold.package import write_plugin_file

    write_plugin_file(planned, target)
    typer.echo(str(target))
    _tell_waivers(planned)
    typer.echo(f"\ntry it: diffir degrade PICTURE --task {_task(planned)} -o worse.png")
    typer.echo(f"check it: diffir plugins check {target.stem}")


def _write(
    host: Host, planned: NewCodec, target: Path, samples: list[Pixels], *, untried: bool
) -> None:
    from diffir.scaffold.package import NOT_MEASURED, write_package

    section, table = NOT_MEASURED, ""
    files: Mapping[str, bytes] = {}
    if not untried:
        from diffir.scaffold.portrait import draw_portrait, made_pictures
        from diffir.scaffold.trial import loaded

        typer.echo("measuring", err=True)
        with loaded(planned) as codec:
            about = f"{len(samples)} pictures" if samples else "three pictures made by diffir"
            jpeg = _or_none(host, "jpeg")
            drawn = draw_portrait(codec, samples or made_pictures(), compared_with=jpeg)
        section, files = drawn.section(name=planned.name, about=about), drawn.files
        table = drawn.table
    for path in write_package(planned, target, portrait=section, pictures=files):
        typer.echo(str(path))
    if table:
        typer.echo(f"\n{table}", nl=False)
    _tell_waivers(planned)
    typer.echo(f"\ninstall it: pip install -e {target}")
    typer.echo(f"check it: diffir plugins check {planned.name}")
    typer.echo(f"use it: diffir degrade PICTURE --task {_task(planned)} -o worse.png")


def _tell_waivers(planned: NewCodec) -> None:
    for check, why in planned.waivers.items():
        typer.echo(f"\nwaived {check}: {why}")


def _task(planned: NewCodec) -> str:
    return f"{planned.name}-{planned.levels[0]:g}"


def _or_none(host: Host, codec: str) -> Codec | None:
    try:
        return host.codec(codec)
    except ComponentError:
        return None
