"""The command `diffir`. Each subcommand has a file here and imports what is heavy when it runs."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import diffir
from diffir.cli.ablation import ablate
from diffir.cli.add_codec import add_codec
from diffir.cli.bench import bench
from diffir.cli.bench_modes import BenchModes
from diffir.cli.bench_transfer import bench_transfer
from diffir.cli.console import FAILED, print_error, print_warning, show_log, tracing
from diffir.cli.convert import convert
from diffir.cli.degrade import degrade
from diffir.cli.doctor import doctor
from diffir.cli.fetch_metrics import fetch_metrics
from diffir.cli.finetune_prompts import finetune_prompts
from diffir.cli.init import init
from diffir.cli.inspect import inspect
from diffir.cli.list import list_components
from diffir.cli.plugins import build_plugins_app
from diffir.cli.prompts import build_prompts_app
from diffir.cli.restore import restore
from diffir.cli.train import train
from diffir.host.manager import Host, build_host

LOOK_AT_PLUGINS = ("plugins", "doctor")
"""Commands that start with two plugins of one name, too: with them one finds and ends that."""


def build_app(host: Host) -> typer.Typer:
    """The command line over a host: our commands, and those of its plugins.

    Commands find the host in `ctx.obj`.
    """
    app = typer.Typer(
        name="diffir",
        help="Restore badly compressed pictures, codec by codec.",
        no_args_is_help=True,
        rich_markup_mode=None,  # plain help: rich takes longer to import than all of ours
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        ctx: typer.Context,
        plugin: Annotated[
            list[Path] | None,
            typer.Option(exists=True, dir_okay=False, metavar="FILE", help="A plugin. Repeatable."),
        ] = None,
        verbose: Annotated[
            int,
            typer.Option(
                "-v", "--verbose", count=True, show_default=False, help="Say more; -vv still more."
            ),
        ] = 0,
        version: Annotated[
            bool,
            typer.Option(
                "--version", is_eager=True, callback=_print_version, help="Show the version."
            ),
        ] = False,
    ) -> None:
        ctx.obj = host
        show_log(verbose)

    app.command("restore")(restore)
    app.command("inspect")(inspect)
    app.command("degrade")(degrade)
    app.command("bench", cls=BenchModes)(bench)
    app.command("ablate", short_help="Train variants of the method, and compare them.")(ablate)
    app.command("bench-transfer", short_help="Measure packs against a full fine-tune.")(
        bench_transfer
    )
    app.command("list")(list_components)
    app.command("train")(train)
    app.command("convert")(convert)
    app.command("init", short_help="Make a file to start training from.")(init)
    app.command("finetune-prompts", short_help="Teach the model one more codec.")(finetune_prompts)
    app.command("fetch-metrics")(fetch_metrics)
    app.command("add-codec", short_help="Add a codec of your own.")(add_codec)
    app.command("doctor")(doctor)
    app.add_typer(build_plugins_app(), name="plugins")
    app.add_typer(build_prompts_app(), name="prompts")
    host.add_commands(app)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    0: done. 1: some or all of the work failed. 2: wrong usage. 130: interrupted.

    Args:
        arguments: the words after `diffir`; those of the process without it.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow in a table must not end the command
    try:
        files, command = _plugin_files(words)
        with _shared_with_workers(files):
            host = build_host(tolerant=command in LOOK_AT_PLUGINS)
            app = build_app(host)
            for broken in host.plugins:
                if broken.error and Path(broken.origin) in files:
                    print_warning(f"plugin {broken.origin} does not work: {broken.error}")
            app(args=words, prog_name="diffir")
    except Exception as error:
        if tracing():
            raise
        print_error(error)
        sys.exit(FAILED)


@contextmanager
def _shared_with_workers(files: Sequence[Path]) -> Iterator[None]:
    """List the plugin files in the environment, where `build_host` finds them.

    Data-loader workers, and whoever asks for the default host, must have the same plugins.
    """
    listed = os.environ.get("DIFFIR_PLUGIN_FILES")
    if files:
        names = [*map(str, files), *([listed] if listed else [])]
        os.environ["DIFFIR_PLUGIN_FILES"] = os.pathsep.join(names)
    try:
        yield
    finally:
        if files and listed is None:
            del os.environ["DIFFIR_PLUGIN_FILES"]
        elif files and listed is not None:
            os.environ["DIFFIR_PLUGIN_FILES"] = listed


def _plugin_files(words: Sequence[str]) -> tuple[list[Path], str]:
    """Find `--plugin`, and the command, before typer does.

    A plugin may add the very command that is called.
    """
    files: list[Path] = []
    command = ""
    rest = iter(words)
    for word in rest:
        if word == "--plugin":
            files.append(Path(next(rest, "")))
        elif word.startswith("--plugin="):
            files.append(Path(word.removeprefix("--plugin=")))
        elif not word.startswith("-"):
            command = word  # what follows is its own
            break
    return [path.resolve() for path in files if path.is_file()], command  # typer tells of others


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"diffir {diffir.__version__}")
        raise typer.Exit
