"""One row of the plugin list: loaded, broken or switched off; and the version of the plugin door.

A plugin module may say `diffir_api = 1`: the version of hooks and contracts that it was made for.
Without it, it is taken to fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from diffir.errors import ContractError, DiffirError

API_VERSION = 1
"""Grows when a hook or a contract changes so that older plugins no longer work."""

State = Literal["loaded", "broken", "disabled"]


@dataclass(frozen=True)
class Plugin:
    """One plugin.

    origin: its distribution, its file, or "built in". error: why it does not work, and hint what to
    do about it; `None` where it works. disabled_by: the file or variable that switches it off.
    """

    name: str
    origin: str
    error: str | None = None
    hint: str | None = None
    disabled_by: str | None = None

    @property
    def state(self) -> State:
        """In one word."""
        if self.disabled_by is not None:
            return "disabled"
        return "loaded" if self.error is None else "broken"


def broken_plugin(name: str, origin: str, error: BaseException) -> Plugin:
    """The row of a plugin that raised `error` while it was imported or asked what it brings."""
    if isinstance(error, DiffirError):
        return Plugin(name, origin, error.message, error.hint)
    if isinstance(error, ModuleNotFoundError):
        hint = f"Reinstall {origin} with its dependencies"
    else:
        hint = "Upgrade it, or tell its author"
    return Plugin(
        name, origin, _told(error), f"{hint}, or leave it out: diffir plugins disable {name}"
    )


def _told(error: BaseException) -> str:
    """As the last line of a traceback tells it; a SyntaxError with its file and line."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def check_api(module: object) -> None:
    """Refuse a plugin that was made for another version of the plugin door.

    Raises:
        ContractError: its `diffir_api` is not ours.
    """
    wanted = getattr(module, "diffir_api", API_VERSION)
    if wanted == API_VERSION:
        return
    newer = isinstance(wanted, int) and wanted > API_VERSION
    raise ContractError(
        f"it was made for plugin API {wanted!r}, this diffir has plugin API {API_VERSION}",
        hint="Upgrade diffir, or install an older release of the plugin."
        if newer
        else "Install a newer release of the plugin, or an older diffir.",
    )
