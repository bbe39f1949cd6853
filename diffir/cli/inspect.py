"""`diffir inspect`: how files were compressed, read from their bytes.

Pixels are decoded only where no codec recognizes the bytes: a PNG may once have been a JPEG.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from diffir.cli.console import for_each, print_table
from diffir.cli.inputs import Item, expand_each, suffixes_of
from diffir.contracts.codec import CodecInfo
from diffir.errors import PictureError
from diffir.host.manager import Host

HOW_SURE = {
    "bitstream": "read from the file",
    "estimate": "estimated",
    "user": "as you said",
    "pixels": "seen in the pixels",
    None: "",
}


def inspect(
    ctx: typer.Context,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files, folders or patterns.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line and file.")
    ] = False,
) -> None:
    """Show how files were compressed.

    Codec, quality, chroma format, quantizers and more, each with how sure it is: read from the
    file, estimated, or seen in the pixels of a PNG that once was a JPEG.
    """
    host: Host = ctx.obj

    def show(item: Item) -> None:
        info = read_facts(host, item.path)
        if as_json:
            typer.echo(json.dumps({"file": str(item.path), **_as_json(info)}))
        else:
            _print_facts(item.path, info)

    items, missing = expand_each(files, suffixes=suffixes_of(host))
    for_each(items, show, missing=missing.values())


def read_facts(host: Host, path: Path) -> CodecInfo:
    """What the bytes say, or the pixels of formats that no codec recognizes, such as PNG.

    Raises:
        PictureError: the file cannot be read, is empty, or is no picture.
        CodecError: the bytes are damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(
            f"{path} cannot be read: {error.strerror}", hint="Check its permissions."
        ) from error
    if not data:
        raise PictureError(f"{path} is empty", hint="Fetch or save the file again.")
    codec = host.recognize(data)
    if codec is not None:
        return codec.read_info(data)
    from diffir.pictures.reading import read_bytes

    return read_bytes(data, name=str(path), host=host).codec


def _print_facts(path: Path, info: CodecInfo) -> None:
    typer.echo(str(path))
    if info.known:
        print_table(("fact", "value", "how sure"), _facts(info), indent=2)
    else:
        typer.echo("  neither the file nor its pixels say how it was compressed")


def _facts(info: CodecInfo) -> Iterator[tuple[str, str, str]]:
    for name, value in _known(info):
        sure = HOW_SURE[info.sources.get(name)]
        yield name.replace("_", " "), _as_text(name, value), sure
    for name, value in info.details.items():
        sure = HOW_SURE[info.sources.get(name, "bitstream")]
        yield name.replace("_", " "), _as_text(name, value), sure


def _known(info: CodecInfo) -> Iterator[tuple[str, Any]]:
    for field in fields(info):
        value = getattr(info, field.name)
        if field.name not in ("details", "sources") and value is not None:
            yield field.name, value


def _as_text(name: str, value: Any) -> str:
    if name == "tables":
        return f"{len(value)} of {len(value[0])} steps (all of them with --json)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _as_json(info: CodecInfo) -> dict[str, Any]:
    return {**dict(_known(info)), "details": dict(info.details), "sources": dict(info.sources)}
