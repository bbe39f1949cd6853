"""`diffir plugins`: which plugins there are, what they bring, whether they keep their contracts."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from diffir.cli.console import FAILED, print_table
from diffir.cli.plugin_checks import check_plugin
from diffir.errors import ComponentError
from diffir.host.manager import Host
from diffir.host.plugin import Plugin
from diffir.host.user_folder import VARIABLE, disabled_list, remember_disabled

BUILT_IN = "diffir"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit code 1 if a plugin is broken.")]
Name = Annotated[str, typer.Argument(help="As `diffir plugins list` shows it.")]


def build_plugins_app() -> typer.Typer:
    """The commands below `diffir plugins`."""
    app = typer.Typer(
        help="Look at plugins, check them, and switch them off and on.\n\n"
        "What a plugin brings is told without importing it.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.command("list", short_help="List plugins, and whether each works.")(list_plugins)
    app.command("show", short_help="Show what one plugin brings.")(show)
    app.command("check")(check)
    app.command("disable", short_help="Switch a plugin off, until `enable`.")(disable)
    app.command("enable")(enable)
    return app


def list_plugins(ctx: typer.Context, as_json: AsJson = False, strict: Strict = False) -> None:
    """List plugins: where each comes from, whether it works, what it brings.

    A plugin that cannot be loaded is a row with its error, and those that are switched off are
    rows too.
    """
    host: Host = ctx.obj
    if as_json:
        typer.echo(json.dumps([_record(host, plugin) for plugin in host.plugins], indent=2))
    else:
        rows = [(p.name, p.origin, p.state, _brings(host, p)) for p in host.plugins]
        print_table(("plugin", "origin", "state", "brings"), rows)
    _leave(host.plugins, strict=strict)


def show(ctx: typer.Context, name: Name, as_json: AsJson = False, strict: Strict = False) -> None:
    """Show one plugin: its components, or why it does not work and what to do."""
    host: Host = ctx.obj
    plugin = host.plugin(name)
    if as_json:
        typer.echo(json.dumps(_record(host, plugin), indent=2))
    else:
        _print_plugin(host, plugin)
    _leave([plugin], strict=strict)


def check(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="All but the built-in plugin without it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that plugins keep their contracts.

    Runs the public conformance suites of `diffir.testing` on each component. Exit code 1 if a
    check fails, with what to fix.
    """
    host: Host = ctx.obj
    reports = [check_plugin(host, plugin) for plugin in _to_check(host, name)]
    if as_json:
        typer.echo(json.dumps([report.as_json() for report in reports], indent=2))
    else:
        for report in reports:
            for line in report.lines():
                typer.echo(line)
        if not reports:
            typer.echo(f"nothing to check; the built-ins: diffir plugins check {BUILT_IN}")
    if not all(report.passed for report in reports):
        raise typer.Exit(FAILED)


def disable(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Switch a plugin off, in every run from now on; `enable` takes it back.

    The name is kept in a text file in your configuration folder. For one run alone:
    DIFFIR_DISABLE_PLUGINS=name.
    """
    host: Host = ctx.obj
    if name == BUILT_IN:
        raise ComponentError(
            "the built-in plugin 'diffir' cannot be switched off",
            hint="Name one of the others: diffir plugins list",
        )
    host.plugin(name)
    remember_disabled(name, disabled=True)
    _say_state(name, "disabled", as_json=as_json)


def enable(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Switch a plugin on again."""
    host: Host = ctx.obj
    plugin = host.plugin(name)
    remember_disabled(name, disabled=False)
    if plugin.disabled_by == VARIABLE:
        raise ComponentError(
            f"plugin '{name}' is switched off by the variable {VARIABLE}",
            hint="Unset it: an environment cannot be changed from here.",
        )
    _say_state(name, "enabled", as_json=as_json)


def _to_check(host: Host, name: str | None) -> list[Plugin]:
    if name is None:
        return [p for p in host.plugins if p.name != BUILT_IN and p.state != "disabled"]
    plugin = host.plugin(name)
    if plugin.state == "disabled":
        raise ComponentError(
            f"plugin '{name}' is switched off by {plugin.disabled_by}, and cannot be checked",
            hint=f"Switch it on first: diffir plugins enable {name}",
        )
    return [plugin]


def _say_state(name: str, state: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"name": name, "state": state, "list": str(disabled_list())}))
    else:
        typer.echo(f"plugin '{name}' is {state} ({disabled_list()})")


def _leave(plugins: list[Plugin], *, strict: bool) -> None:
    if strict and any(plugin.state == "broken" for plugin in plugins):
        raise typer.Exit(FAILED)


def _brings(host: Host, plugin: Plugin) -> str:
    if plugin.state == "disabled":
        return f"switched off by {plugin.disabled_by}"
    if plugin.state == "broken":
        return (plugin.error or "").partition("\n")[0]
    kinds: dict[str, list[str]] = {}
    for component in host.components_of(plugin.name):
        kinds.setdefault(component.kind.replace("_", "-"), []).append(component.name)
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items()) or "commands"


def _record(host: Host, plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "origin": plugin.origin,
        "version": _version(plugin),
        "state": plugin.state,
        "error": plugin.error,
        "hint": plugin.hint,
        "disabled_by": plugin.disabled_by,
        "components": [
            {"kind": c.kind, "name": c.name, "target": c.target, "summary": c.summary}
            | {"needs": c.needs}
            for c in host.components_of(plugin.name)
        ],
    }


def _version(plugin: Plugin) -> str | None:
    import diffir

    if plugin.name == BUILT_IN:
        return diffir.__version__
    try:
        return version(plugin.origin)
    except (PackageNotFoundError, ValueError):  # a single file has none
        return None


def _print_plugin(host: Host, plugin: Plugin) -> None:
    facts = (("origin", plugin.origin), ("version", _version(plugin)), ("state", plugin.state))
    told = (("error", plugin.error), ("hint", plugin.hint), ("by", plugin.disabled_by))
    typer.echo(plugin.name)
    for fact, value in (*facts, *told):
        if value is not None:
            typer.echo(f"  {fact}: {value}")
    components = host.components_of(plugin.name)
    if components:
        rows = [
            (c.kind.replace("_", "-"), c.name, c.target, c.needs or "", c.summary)
            for c in components
        ]
        print_table(("kind", "name", "target", "needs", "summary"), rows, indent=2)
