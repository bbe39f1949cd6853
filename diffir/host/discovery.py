"""Finds plugins, installed ones and single files, and imports them one by one.

pluggy's own entry-point loader stops at the first plugin that cannot be imported. Here a broken one
is kept as a row with its error, and the rest goes on.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from typing import TYPE_CHECKING

from diffir.errors import ComponentError
from diffir.host.plugin import Plugin, broken_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

ENTRY_POINT_GROUP = "diffir.plugins"


def discover(
    *, files: Iterable[Path] = (), disabled: Mapping[str, str] | None = None
) -> tuple[list[tuple[str, str, object]], list[Plugin]]:
    """Import the plugins that are installed and the single-file plugins given.

    Args:
        files: plugins of one file each; a plugin's name is the file's, without `.py`.
        disabled: names of plugins that are not imported, and what switches each off.

    Returns:
        (name, origin, module) of those that could be imported, and a row for each of the others.
    """
    left_out = disabled or {}
    modules: list[tuple[str, str, object]] = []
    rows: list[Plugin] = []
    for name, origin, load in (*_installed(), *_in_files(files)):
        if name in left_out:
            rows.append(Plugin(name, origin, disabled_by=left_out[name]))
            continue
        try:
            modules.append((name, origin, load()))
        except (Exception, SystemExit) as error:  # a broken plugin is a row, never a crash
            rows.append(broken_plugin(name, origin, error))
    return modules, rows


def _installed() -> Iterator[tuple[str, str, Callable[[], object]]]:
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        yield entry.name, entry.dist.name if entry.dist else entry.value, entry.load


def _in_files(files: Iterable[Path]) -> Iterator[tuple[str, str, Callable[[], object]]]:
    for path in files:
        yield path.stem, str(path), lambda path=path: import_file(path)  # type: ignore[misc]


def import_file(path: Path) -> object:
    """Import one file as the module `diffir_plugin_NAME`.

    Raises:
        ComponentError: it is not a Python file.
    """
    name = f"diffir_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ComponentError(
            f"{path} is not a Python file", hint="A single-file plugin has the suffix .py."
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that workers can unpickle its classes
    spec.loader.exec_module(module)
    return module
