"""What the command line prints: errors and warnings on stderr, plain tables on stdout.

Tables are not drawn with rich: a table in a pipe must not be cut at 80 columns, and `--help` must
not wait for rich to be imported.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import typer

from diffir.errors import DeviceError, DiffirError

FAILED = 1
"""Exit code when some or all of the work failed. Others: 0 done, 2 usage, 130 interrupted."""

Thing = TypeVar("Thing")


def print_error(error: Exception, *, about: object = None) -> None:
    """Print `error:` and, where there is one, `hint:`, to stderr.

    Args:
        error: of the tree in `diffir.errors`, or one that nobody expected.
        about: what was being worked on; named in front of a message that does not name it.
    """
    error = _out_of_memory(error) or error
    if isinstance(error, DiffirError):
        message, hint = error.message, error.hint
    else:
        message = f"internal error: {type(error).__name__}: {error}"
        hint = "Set DIFFIR_TRACE=1 to see where it happened, and report it."
    if about is not None and str(about) not in message:
        message = f"{about}: {message}"
    _print_labelled("error:", message, color=typer.colors.RED)
    if hint:
        _print_labelled("hint:", hint, color=typer.colors.CYAN)


def print_warning(message: str) -> None:
    """Print `warning:` to stderr."""
    _print_labelled("warning:", message, color=typer.colors.YELLOW)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 0) -> None:
    """Print left-aligned columns, two spaces apart, of whatever width they need."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo(" " * indent + "  ".join(cells).rstrip())


def for_each(
    things: Iterable[Thing], work: Callable[[Thing], None], *, missing: Iterable[Exception] = ()
) -> None:
    """Do the work on each thing; one that fails is reported, and the rest goes on.

    Args:
        things: to work on.
        work: on one of them.
        missing: what went wrong before, reported first.

    Raises:
        typer.Exit: with code 1, at the end, if any failed.
    """
    failed = False
    for error in missing:
        print_error(error)
        failed = True
    for thing in things:
        try:
            work(thing)
        except Exception as error:  # of whatever kind: the other files must still come
            if tracing():
                raise
            print_error(error, about=thing)
            failed = True
    if failed:
        raise typer.Exit(FAILED)


def tracing() -> bool:
    """Whether the user asked for tracebacks: `DIFFIR_TRACE=1`."""
    return os.environ.get("DIFFIR_TRACE", "0") not in ("", "0")


def show_log(verbosity: int) -> None:
    """Send the log "diffir" to stderr: warnings, with 1 also information, with 2 everything."""
    logger = logging.getLogger("diffir")
    logger.handlers = [_Stderr()]
    logger.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)])


class _Stderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            print_warning(record.getMessage())
        else:
            typer.echo(record.getMessage(), err=True)


def _out_of_memory(error: Exception) -> DeviceError | None:
    """The same in our words, if it is memory that was missing; torch is not imported to ask."""
    if isinstance(error, RuntimeError) and "torch" in sys.modules:
        from diffir.restore.memory import is_out_of_memory

        if not is_out_of_memory(error):
            return None
    elif not isinstance(error, MemoryError):
        return None
    return DeviceError(
        "out of memory",
        hint="Give it less at once, by what the command offers: a smaller --batch, --crop or "
        "--tile, --dtype or --precision of 16 bits, --gradient-checkpointing, or --device cpu.",
    )


def _print_labelled(label: str, text: str, *, color: str) -> None:
    # None lets typer decide: color in a terminal, none in a file or a pipe.
    wanted = False if os.environ.get("NO_COLOR") else None
    typer.echo(f"{typer.style(label, fg=color, bold=True)} {text}", err=True, color=wanted)
