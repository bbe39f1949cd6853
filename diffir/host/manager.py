"""Asks plugins what they bring and answers by name: which router is called "moe"?"""

from __future__ import annotations

import difflib
import logging
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pluggy

from diffir.errors import (
    ComponentError,
    DiffirError,
    DuplicateComponentError,
    MissingDependencyError,
    UnknownComponentError,
)
from diffir.host import builtins, hookspecs
from diffir.host.commands import join_commands
from diffir.host.component import KINDS, Component, Kind
from diffir.host.discovery import discover
from diffir.host.plugin import Plugin, broken_plugin, check_api
from diffir.host.user_folder import VARIABLE, disabled_plugins, plugins_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from diffir.contracts.codec import Codec, CodecInfo, Pixels

_LOG = logging.getLogger("diffir")


class Host:
    """The table of components, filled from plugins through the hooks of `hookspecs`.

    Args:
        modules: (name, origin, module) of each plugin, in order.
        others: rows of plugins that could not be imported, or are switched off.
        tolerant: make a plugin that claims a taken name a broken row; for the commands with which
            one looks at plugins and switches them off.

    Raises:
        DuplicateComponentError: two plugins claim one kind and name, or have one name.
    """

    def __init__(
        self,
        modules: Iterable[tuple[str, str, object]],
        *,
        others: Iterable[Plugin] = (),
        tolerant: bool = False,
    ) -> None:
        self._manager = pluggy.PluginManager("diffir")
        self._manager.add_hookspecs(hookspecs)
        self._table: dict[tuple[Kind, str], Component] = {}
        self._codecs: dict[str, Codec] = {}
        self.plugins: list[Plugin] = []
        for name, origin, module in modules:
            try:
                self._add(name, origin, module)
            except DuplicateComponentError as error:
                if not tolerant:
                    raise
                self.plugins.append(broken_plugin(name, origin, error))
        self.plugins.extend(others)

    def _add(self, name: str, origin: str, module: object) -> None:
        self._check_free(name, origin)
        found: dict[tuple[Kind, str], Component] = {}
        try:
            check_api(module)
            self._manager.register(module, name=name)
            for kind in KINDS:
                hook = getattr(module, _hook_name(kind), None)
                if hook is not None:
                    hook(register=_collector(kind, name, found))
        except DuplicateComponentError:
            raise
        except (Exception, SystemExit) as error:  # a plugin's mistake is a row, never a crash
            self.plugins.append(broken_plugin(name, origin, error))
            return
        for key, component in found.items():
            if key in self._table:
                first = self._table[key]
                raise _duplicate(first, component, (self.plugin(first.plugin).origin, origin))
        self._table.update(found)  # all of a plugin's components, or none
        self.plugins.append(Plugin(name, origin))

    def _check_free(self, name: str, origin: str) -> None:
        taken = next((plugin for plugin in self.plugins if plugin.name == name), None)
        if taken is not None:
            raise DuplicateComponentError(
                f"two plugins are called '{name}': one of {taken.origin} and one of {origin}",
                hint=f"Uninstall {origin} or {taken.origin}; a single file is deleted or renamed.",
            )

    def plugin(self, name: str) -> Plugin:
        """The row of the plugin of that name.

        Raises:
            UnknownComponentError: there is none; the hint names the nearest ones.
        """
        for plugin in self.plugins:
            if plugin.name == name:
                return plugin
        raise self.unknown("plugin", name, [plugin.name for plugin in self.plugins])

    def components_of(self, plugin: str) -> tuple[Component, ...]:
        """All that a plugin brings, kind by kind."""
        mine = [c for c in self._table.values() if c.plugin == plugin]
        return tuple(sorted(mine, key=lambda c: KINDS.index(c.kind)))

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
            raise self.unknown(kind, name, [c.name for c in self.components(kind)])
        return component

    def unknown(self, kind: str, name: str, known: Sequence[str]) -> UnknownComponentError:
        """The error of a name that nothing has: the nearest names, and plugins that are left out.

        Args:
            kind: what was looked for, in words.
            name: what was asked for.
            known: the names that there are.
        """
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
        if kind != "plugin":
            hint += self.left_out()
        return UnknownComponentError(f"there is no {kind} called '{name}'", hint=hint)

    def left_out(self) -> str:
        """A sentence, to add to a hint, that names plugins that are disabled or broken; or none."""
        out = [f"{p.name} ({p.state})" for p in self.plugins if p.state != "loaded"]
        return f" Plugins left out: {', '.join(out)}; see: diffir plugins list" if out else ""

    def create(self, kind: Kind, name: str, /, **options: Any) -> Any:
        """Load a component and call it with `options`.

        Raises:
            ComponentError: it cannot be loaded, does not take these options, or fails.
            ContractError: what came is not what the name promises.
        """
        component = self.find(kind, name)
        target = component.load()
        try:
            created = target(**options)
        except TypeError as error:
            raise ComponentError(
                f"{component} does not accept the options {sorted(options)}: {error}",
                hint=f"See the arguments of {component.target}.",
            ) from error
        except ImportError as error:
            raise MissingDependencyError(
                f"{component} cannot be created: {error}", hint=component.install_hint()
            ) from error
        component.check_created(created)
        return created

    def codec(self, name: str) -> Codec:
        """The codec of that name; one instance per host.

        Raises:
            ComponentError: there is none, or it does not work.
        """
        if name not in self._codecs:
            try:
                self._codecs[name] = cast("Codec", self.create("codec", name))
            except DiffirError:
                raise
            except Exception as error:  # codecs take no options: this is the plugin's own mistake
                component = self.find("codec", name)
                raise ComponentError(
                    f"{component} fails when it is created: {error!r}",
                    hint=f"Upgrade the plugin '{component.plugin}', or tell its author.",
                ) from error
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
            try:
                if codec.recognizes(data):
                    return codec
            except Exception as error:  # a plugin's mistake must not hide the other codecs
                _LOG.warning("%s is passed over: it fails to recognize bytes: %r", component, error)
        return None

    def find_traces(self, pixels: Pixels) -> CodecInfo | None:
        """What the first codec that finds its traces in `(H,W,3) uint8` pixels says of them.

        Codecs that cannot be loaded, or do not look (`TraceFinder`), are passed over.
        """
        for component in self.components("codec"):
            try:
                finder = getattr(self.codec(component.name), "find_traces", None)
            except ComponentError:
                continue
            try:
                found: CodecInfo | None = None if finder is None else finder(pixels)
            except Exception as error:  # as above
                _LOG.warning("%s is passed over: it fails to find traces: %r", component, error)
                continue
            if found is not None:
                return found
        return None

    def has_commands(self, plugin: str) -> bool:
        """Whether the plugin of that name adds commands."""
        return hasattr(self._manager.get_plugin(plugin), "register_commands")

    def add_commands(self, app: Any) -> None:
        """Let every plugin add its commands; one that fails becomes a row with its error."""
        for index, plugin in enumerate(self.plugins):
            hook = getattr(self._manager.get_plugin(plugin.name), "register_commands", None)
            if hook is None or plugin.state != "loaded":
                continue
            try:
                join_commands(app, hook, plugin=plugin.name)
            except (Exception, SystemExit) as error:  # the other plugins' commands must still come
                self.plugins[index] = broken_plugin(plugin.name, plugin.origin, error)


def _hook_name(kind: Kind) -> str:
    return f"register_{kind}s"


def _collector(
    kind: Kind, plugin: str, found: dict[tuple[Kind, str], Component]
) -> hookspecs.Register:
    def register(name: str, target: str, *, summary: str, needs: str | None = None) -> None:
        component = Component(kind, name, target, summary, plugin, needs)
        if (kind, name) in found:
            raise _duplicate(found[kind, name], component, None)
        found[kind, name] = component

    return register


def _duplicate(
    first: Component, second: Component, origins: tuple[str, str] | None
) -> DuplicateComponentError:
    told = (origin if origin != "built in" else "" for origin in origins or ("", ""))
    one, two = (f" of {origin}" if origin else "" for origin in told)
    return DuplicateComponentError(
        f"{first.kind} '{first.name}' is registered by plugin '{first.plugin}'{one} "
        f"and again by plugin '{second.plugin}'{two}",
        hint=f"Uninstall one of them, or leave one out: diffir plugins disable {second.plugin}, "
        f"or {VARIABLE}={second.plugin}.",
    )


def build_host(*, plugin_files: Iterable[Path] = (), tolerant: bool = False) -> Host:
    """A host with the built-ins, the installed plugins and single-file plugins.

    The user's plugin folder is searched for `*.py`; `DIFFIR_PLUGIN_FILES` lists more of them, as
    PATH lists folders; `DIFFIR_DISABLE_PLUGINS=a,b` and the user's own list leave plugins out.
    Variables and files, so that data-loader workers have the plugins of the process that started
    them.

    Args:
        plugin_files: more single-file plugins.
        tolerant: as for `Host`.
    """
    listed = [Path(p) for p in os.environ.get("DIFFIR_PLUGIN_FILES", "").split(os.pathsep) if p]
    files = dict.fromkeys([*sorted(plugins_folder().glob("*.py")), *listed, *plugin_files])
    modules, others = discover(files=files, disabled=disabled_plugins())
    return Host([("diffir", "built in", builtins), *modules], others=others, tolerant=tolerant)


@cache
def default_host() -> Host:
    """The host of this process, built on first use."""
    return build_host()
