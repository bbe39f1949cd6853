"""The commands of a plugin, tried on an app of their own before they join the command line.

typer looks at a command's signature no sooner than the whole command line runs: a mistake in one
would end all the others, `diffir plugins disable` among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffir.errors import DuplicateComponentError

if TYPE_CHECKING:
    from collections.abc import Callable


def join_commands(app: Any, register: Callable[..., object], *, plugin: str) -> None:
    """Let a plugin add its commands to a `typer.Typer`: all of them, or none.

    Args:
        app: the command line.
        register: the plugin's hook `register_commands`.
        plugin: its name, for the hint.

    Raises:
        DuplicateComponentError: a command of that name is there already.
        Exception: whatever the hook or a signature raises; SystemExit, too.
    """
    import typer

    own = typer.Typer()
    register(app=own)
    names = _names(own)
    if names:
        typer.main.get_command(own)
    if twice := names & _names(app):
        raise DuplicateComponentError(
            f"there is a command '{min(twice)}' already",
            hint=f"Rename it, or leave the plugin out: diffir plugins disable {plugin}",
        )
    app.registered_commands += own.registered_commands
    app.registered_groups += own.registered_groups


def _names(app: Any) -> set[str]:
    from typer.main import get_command_name

    commands = (c.name or get_command_name(c.callback.__name__) for c in app.registered_commands)
    groups = (group.name for group in app.registered_groups)
    return {name for name in (*commands, *groups) if isinstance(name, str)}
