"""The user's own folder: plugins in single files, and the list of those that are switched off.

~/.config/diffir/               $DIFFIR_CONFIG, else diffir in $XDG_CONFIG_HOME
    plugins/*.py                $DIFFIR_PLUGINS_DIR, else here
    disabled-plugins.txt        one name a line; what follows a # is a remark
"""

from __future__ import annotations

import os
from pathlib import Path

from diffir.errors import ComponentError, OutputError

VARIABLE = "DIFFIR_DISABLE_PLUGINS"
_HEAD = "# Plugins that diffir leaves out, one name a line. See: diffir plugins list\n"


def config_folder() -> Path:
    """`$DIFFIR_CONFIG`, else `$XDG_CONFIG_HOME/diffir`, else `~/.config/diffir`; may not exist."""
    if own := os.environ.get("DIFFIR_CONFIG"):
        return Path(own)
    shared = os.environ.get("XDG_CONFIG_HOME")
    return (Path(shared) if shared else Path.home() / ".config") / "diffir"


def plugins_folder() -> Path:
    """Where single-file plugins are looked for: `$DIFFIR_PLUGINS_DIR`, else in `config_folder`."""
    if own := os.environ.get("DIFFIR_PLUGINS_DIR"):
        return Path(own)
    return config_folder() / "plugins"


def disabled_list() -> Path:
    """The file that remembers what is switched off; it may not exist."""
    return config_folder() / "disabled-plugins.txt"


def disabled_plugins() -> dict[str, str]:
    """Names of plugins that are switched off, and by which file or variable.

    Raises:
        ComponentError: the list exists and cannot be read.
    """
    path = disabled_list()
    variable = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
    listed = dict.fromkeys(_names(path), str(path))
    return listed | dict.fromkeys(filter(None, variable), VARIABLE)


def remember_disabled(name: str, *, disabled: bool) -> None:
    """Put a plugin's name on the list, or take it off; remarks stay.

    Raises:
        ComponentError: the list cannot be read. OutputError: it cannot be written.
    """
    path = disabled_list()
    if (name in _names(path)) == disabled:
        return
    text = path.read_text(encoding="utf-8") if path.exists() else _HEAD
    lines = [line for line in text.splitlines() if _name(line) != name]
    if disabled:
        lines.append(name)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}",
            hint=f"Set DIFFIR_CONFIG to a folder of your own, or {VARIABLE} to the names.",
        ) from error


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ComponentError(
            f"the list of disabled plugins {path} cannot be read: {error}",
            hint="Change its permissions, or delete it: then every plugin is used.",
        ) from error
    return [name for line in lines if (name := _name(line))]


def _name(line: str) -> str:
    return line.partition("#")[0].strip()
