"""Finds plugins and answers by name: which router is called "moe"?

pluggy's own entry-point loader stops at the first plugin that cannot be imported. Plugins are
loaded one by one here; a broken one is kept as a row with its error, and the rest goes on.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import os
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pluggy

from diffir.errors import ComponentError, DuplicateComponentError, UnknownComponentError
from diffir.host import builtins, hookspecs
from diffir.host.component import KINDS, Component, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from diffir.contracts.codec import Codec

ENTRY_POINT_GROUP = "diffir.plugins"


@dataclass(frozen=True)
class Plugin:
    """One plugin: its name, where it came from, and the error if it could not be loaded."""

    name: str
    origin: str
    error: str | None = None


class Host:
    """The table of components, filled from plugins through the hooks of `hookspecs`.

    Args:
        modules: (name, origin, module) of each plugin, in order.
        broken: plugins that could not be imported.

    Raises:
        DuplicateComponentError: two plugins claim one kind and name.
    """

    def __init__(
        self, modules: Iterable[tuple[str, str, object]], *, broken: Iterable[Plugin] = ()
    ) -> None:
        self._manager = pluggy.PluginManager("diffir")
        self._manager.add_hookspecs(hookspecs)
        self._table: dict[tuple[Kind, str], Component] = {}
        self._codecs: dict[str, Codec] = {}
        self.plugins: list[Plugin] = []
        for name, origin, module in modules:
            self._add(name, origin, module)
        self.plugins.extend(broken)

    def _add(self, name: str, origin: str, module: object) -> None:
        found: dict[tuple[Kind, str], Component] = {}
        try:
            self._manager.register(module, name=name)
            for kind in KINDS:
                hook = getattr(module, _hook_name(kind), None)
                if hook is not None:
                    hook(register=_collector(kind, name, found))
        except DuplicateComponentError:
            raise
        except Exception as error:  # a plugin's mistake is a row, never a crash
            self.plugins.append(Plugin(name, origin, repr(error)))
            return
        for key, component in found.items():
            if key in self._table:
                raise _duplicate(self._table[key], component)
        self._table.update(found)  # all of a plugin's components, or none
        self.plugins.append(Plugin(name, origin))

    def components(self, kind: Kind) -> tuple[Component, ...]:
        """All components of a kind, in order of registration."""
        return tuple(c for (k, _), c in self._table.items() if k == kind)

    def find(self, kind: Kind, name: str) -> Component:
        """The component of that kind and name.

        Raises:
            UnknownComponentError: there is none; the hint names the nearest ones.
        """
        component = self._table.get((kind, name))
        if component is None:
            names = [c.name for c in self.components(kind)]
            near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
            raise UnknownComponentError(f"there is no {kind} called '{name}'", hint=hint)
        return component

    def create(self, kind: Kind, name: str, /, **options: Any) -> Any:
        """Load a component and call it with `options`.

        Raises:
            ComponentError: it cannot be loaded, or it does not take these options.
        """
        component = self.find(kind, name)
        target = component.load()
        try:
            return target(**options)
        except TypeError as error:
            raise ComponentError(
                f"{component} does not accept the options {sorted(options)}: {error}",
                hint=f"See the arguments of {component.target}.",
            ) from error

    def codec(self, name: str) -> Codec:
        """The codec of that name; one instance per host."""
        if name not in self._codecs:
            self._codecs[name] = cast("Codec", self.create("codec", name))
        return self._codecs[name]

    def recognize(self, data: bytes) -> Codec | None:
        """The first codec that recognizes the bytes, or None.

        Codecs that cannot be loaded are passed over.
        """
        for component in self.components("codec"):
            try:
                codec = self.codec(component.name)
            except ComponentError:
                continue
            if codec.recognizes(data):
                return codec
        return None

    def add_commands(self, app: Any) -> None:
        """Let every plugin add its commands; one that fails becomes a row with its error."""
        for index, plugin in enumerate(self.plugins):
            hook = getattr(self._manager.get_plugin(plugin.name), "register_commands", None)
            if hook is None:
                continue
            try:
                hook(app=app)
            except Exception as error:  # the other plugins' commands must still come
                self.plugins[index] = replace(plugin, error=repr(error))


def _hook_name(kind: Kind) -> str:
    return f"register_{kind}s"


def _collector(
    kind: Kind, plugin: str, found: dict[tuple[Kind, str], Component]
) -> hookspecs.Register:
    def register(name: str, target: str, *, summary: str, needs: str | None = None) -> None:
        component = Component(kind, name, target, summary, plugin, needs)
        if (kind, name) in found:
            raise _duplicate(found[kind, name], component)
        found[kind, name] = component

    return register


def _duplicate(first: Component, second: Component) -> DuplicateComponentError:
    return DuplicateComponentError(
        f"{first.kind} '{first.name}' is registered by plugin '{first.plugin}' "
        f"and again by plugin '{second.plugin}'",
        hint=f"Uninstall one of them, or set DIFFIR_DISABLE_PLUGINS={second.plugin}.",
    )


def discover(
    *, files: Iterable[Path] = (), disabled: Iterable[str] = ()
) -> tuple[list[tuple[str, str, object]], list[Plugin]]:
    """Import the plugins that are installed and the single-file plugins given.

    Returns:
        (name, origin, module) of those that could be imported, and a row for each that could not.
    """
    skip = set(disabled)
    modules: list[tuple[str, str, object]] = []
    broken: list[Plugin] = []
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if entry.name in skip:
            continue
        origin = entry.dist.name if entry.dist else entry.value
        try:
            modules.append((entry.name, origin, entry.load()))
        except Exception as error:  # a broken plugin is a row, never a crash
            broken.append(Plugin(entry.name, origin, repr(error)))
    for path in files:
        if path.stem in skip:
            continue
        try:
            modules.append((path.stem, str(path), _import_file(path)))
        except Exception as error:  # the same
            broken.append(Plugin(path.stem, str(path), repr(error)))
    return modules, broken


def _import_file(path: Path) -> object:
    name = f"diffir_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ComponentError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that workers can unpickle its classes
    spec.loader.exec_module(module)
    return module


def build_host(*, plugin_files: Iterable[Path] = ()) -> Host:
    """A host with the built-ins, the installed plugins and single-file plugins.

    The folder `DIFFIR_PLUGINS_DIR` is searched for `*.py`; `DIFFIR_PLUGIN_FILES` lists more of
    them, as PATH lists folders; `DIFFIR_DISABLE_PLUGINS=a,b` leaves plugins out. Variables, so
    that data-loader workers have the plugins of the process that started them.
    """
    disabled = [n for n in os.environ.get("DIFFIR_DISABLE_PLUGINS", "").split(",") if n]
    folder = os.environ.get("DIFFIR_PLUGINS_DIR")
    listed = [Path(p) for p in os.environ.get("DIFFIR_PLUGIN_FILES", "").split(os.pathsep) if p]
    files = dict.fromkeys(
        [*(sorted(Path(folder).glob("*.py")) if folder else ()), *listed, *plugin_files]
    )
    modules, broken = discover(files=files, disabled=disabled)
    return Host([("diffir", "built in", builtins), *modules], broken=broken)


@cache
def default_host() -> Host:
    """The host of this process, built on first use."""
    return build_host()
