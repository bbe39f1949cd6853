"""`diffir list`: what is registered, and by which plugin, without importing any of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from diffir.cli.console import print_table
from diffir.host.component import KINDS, Component
from diffir.host.manager import Host
from diffir.host.plugin import Plugin

CHOICES = (*(kind.replace("_", "-") for kind in KINDS), "plugin")


def list_components(
    ctx: typer.Context,
    kind: Annotated[
        str | None, typer.Argument(help=f"One of: {', '.join(CHOICES)}. All without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List components and plugins.

    Components are codecs, degradations, model parts, recipes and prompt packs. A plugin that
    cannot be loaded is a row too, with its error.
    """
    host: Host = ctx.obj
    wanted = _parse_kind(kind)
    components = [c for k in KINDS if wanted in (None, k) for c in host.components(k)]
    plugins = host.plugins if wanted in (None, "plugin") else []
    if as_json:
        rows = {
            "components": [asdict(component) for component in components],
            "plugins": [asdict(plugin) for plugin in plugins],
        }
        typer.echo(json.dumps(rows, indent=2))
        return
    if wanted != "plugin":
        _print_components(components)
    if wanted is None:
        typer.echo()
    if plugins:
        _print_plugins(plugins)


def _parse_kind(text: str | None) -> str | None:
    if text is None:
        return None
    singular = text.removesuffix("s").replace("_", "-")
    if singular not in CHOICES:
        raise typer.BadParameter(f"'{text}' is none of {', '.join(CHOICES)}", param_hint="'KIND'")
    return singular.replace("-", "_")


def _print_components(components: list[Component]) -> None:
    rows = [(c.kind.replace("_", "-"), c.name, c.plugin, c.summary) for c in components]
    print_table(("kind", "name", "plugin", "summary"), rows)


def _print_plugins(plugins: list[Plugin]) -> None:
    rows = [(p.name, p.origin, f"broken: {p.error}" if p.error else p.state) for p in plugins]
    print_table(("plugin", "origin", "state"), rows)
