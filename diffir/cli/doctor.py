"""`diffir doctor`: what works on this machine, what does not, and what to install."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, get_args

import typer

from diffir.cli.console import FAILED, print_table
from diffir.errors import DiffirError, MissingDependencyError
from diffir.host.component import Component
from diffir.host.manager import Host

BUILT_IN = "diffir"
State = Literal["works", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    missing: it works once something is installed, fetched or trained. note: what is wrong.
    """

    kind: str
    name: str
    plugin: str
    state: State
    note: str | None = None
    hint: str | None = None

    @property
    def serious(self) -> bool:
        """Whether diffir itself is broken, and not a plugin or something that one may fetch."""
        return self.plugin == BUILT_IN and self.state == "broken"


def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what works here, and what to install.

    Tries every codec on a small picture, each in a process of its own, loads every file of weights,
    and tells versions and devices. Exit code 1 if something built in is broken.
    """
    from diffir.evaluate.report import versions

    host: Host = ctx.obj
    findings = [*_plugins(host), *_codecs(host), *_recipes(host), *_metrics()]
    healthy = not any(finding.serious for finding in findings)
    if as_json:
        record: dict[str, Any] = {"healthy": healthy, "versions": versions(), "device": _device()}
        typer.echo(json.dumps(record | {"findings": [asdict(f) for f in findings]}, indent=2))
    else:
        typer.echo(", ".join(f"{name} {number}" for name, number in versions().items()))
        typer.echo(f"device: {_device()}\n")
        # Programs say much: the first line is shown here, all of it with --json.
        rows = [
            (f.kind, f.name, f.plugin, f.state, (f.note or "").partition("\n")[0]) for f in findings
        ]
        print_table(("what", "name", "plugin", "state", "note"), rows)
        for finding in findings:
            if finding.hint:
                typer.echo(f"\n{finding.kind} {finding.name}: {finding.hint}")
    if not healthy:
        raise typer.Exit(FAILED)


def _plugins(host: Host) -> Iterator[Finding]:
    for plugin in host.plugins:
        if plugin.state == "broken":
            yield Finding("plugin", plugin.name, plugin.name, "broken", plugin.error, plugin.hint)


def _codecs(host: Host) -> list[Finding]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(_codec, host.components("codec")))


def _codec(component: Component) -> Finding:
    from diffir.host.codec_probe import probe_codec

    found = probe_codec(component.name)
    state: State = "works" if found.error is None else "broken"
    if found.missing and component.plugin != BUILT_IN:  # diffir's own come with diffir
        state = "missing"
    return Finding("codec", component.name, component.plugin, state, found.error, found.hint)


def _recipes(host: Host) -> Iterator[Finding]:
    from diffir.restore.checkpoint import find_weights, load_checkpoint

    for recipe in host.components("recipe"):
        row = ("weights", recipe.name, recipe.plugin)
        try:
            path = find_weights(recipe.name, host)
        except (DiffirError, OSError, ImportError) as error:
            yield _failure(*row, "missing", error)
            continue
        try:
            load_checkpoint(path, host)
        except Exception as error:  # whatever a plugin's part raises
            missing = isinstance(error, MissingDependencyError)
            yield _failure(*row, "missing" if missing else "broken", error)
        else:
            yield Finding(*row, "works")


def _metrics() -> Iterator[Finding]:
    from diffir.evaluate.metrics import load_metrics
    from diffir.perceptual.weights import MetricName, metric_weights

    for name in get_args(MetricName):
        row = ("metric", name, BUILT_IN)
        try:
            metric_weights(name)
        except DiffirError as error:
            yield _failure(*row, "missing", error)
            continue
        try:
            load_metrics([name])
        except DiffirError as error:
            yield _failure(*row, "broken", error)
        else:
            yield Finding(*row, "works")


def _failure(kind: str, name: str, plugin: str, state: State, error: Exception) -> Finding:
    if isinstance(error, DiffirError):
        return Finding(kind, name, plugin, state, error.message, error.hint)
    return Finding(kind, name, plugin, state, repr(error), f"Reinstall the plugin '{plugin}'.")


def _device() -> str:
    import torch

    cores = f"cpu with {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return cores
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{', '.join(f'cuda:{i} {name}' for i, name in enumerate(names))}; {cores}"
