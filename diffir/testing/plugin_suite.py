"""The conformance suite of a plugin as a whole: it loads, is light, and tells what it brings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from diffir.errors import DiffirError
from diffir.host.component import CONTRACTS, KINDS
from diffir.host.manager import default_host
from diffir.testing.suite import Suite, require

if TYPE_CHECKING:
    from diffir.host.component import Component
    from diffir.host.manager import Host

HEAVY = ("torch", "numpy", "PIL", "av", "safetensors", "timm", "diffusers")
SECONDS = 60
NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
# PEP 508, without direct references: name, extras, versions, marker.
VERSION = r"(===|[<>=!~]=|[<>])\s*[\w.*+!-]+"
REQUIREMENT = re.compile(
    rf"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?\s*(\[[\w\s,.-]*\])?\s*({VERSION}(\s*,\s*{VERSION})*)?\s*(;.+)?"
)

PROGRAM = """
import json, sys
from diffir.host.manager import build_host
build_host()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


class PluginSuite(Suite):
    """Checks one plugin. The fixture `plugin` returns the name that it is registered by.

    It must be installed, or named by `DIFFIR_PLUGIN_FILES` or `DIFFIR_PLUGINS_DIR`.
    """

    def test_is_loaded(self, plugin: str) -> None:
        """The host has it, without an error."""
        rows = {row.name: row for row in _host().plugins}
        require(
            plugin in rows,
            expected=f"a plugin called '{plugin}'",
            got=", ".join(rows),
            fix='Install it: pip install -e . with an entry point in the group "diffir.plugins".',
        )
        require(
            rows[plugin].error is None,
            expected=f"plugin '{plugin}' to load",
            got=rows[plugin].error,
            fix="Import its module in Python and correct what is raised.",
        )

    def test_import_is_light(self, plugin: str) -> None:
        """Importing its module and calling its hooks imports no array library."""
        others = [row.name for row in _host().plugins if row.name not in (plugin, "diffir")]
        without_others = {**os.environ, "DIFFIR_DISABLE_PLUGINS": ",".join(others)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=without_others,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        require(
            done.returncode == 0,
            expected="the plugin to be imported in a new process",
            got=f"exit status {done.returncode}: {done.stderr.strip()[-400:]}",
            fix="Do not rely on what the main process has set up.",
        )
        loaded = set(json.loads(done.stdout.splitlines()[-1])).intersection(HEAVY)
        require(
            not loaded,
            expected="the plugin's module to import nothing heavy, as `diffir --help` waits for it",
            got=f"{', '.join(sorted(loaded))} imported",
            fix="Put hooks alone into that module, and name classes by import strings.",
        )

    def test_brings_components(self, plugin: str) -> None:
        """At least one. A plugin that only adds commands waives this check."""
        require(
            _components(plugin),
            expected=f"components from plugin '{plugin}'",
            got="none",
            fix="Mark the hooks with @hookimpl and call register(...) in them.",
        )

    def test_names_are_plain(self, plugin: str) -> None:
        """Lower case, digits, and single dashes: what users type."""
        odd = [c.name for c in _components(plugin) if not NAME.fullmatch(c.name)]
        require(
            not odd,
            expected="names in lower case, with digits and single dashes",
            got=odd,
            fix="Rename them where they are registered.",
        )

    def test_summaries_are_one_line(self, plugin: str) -> None:
        """Each component says in one line what it is."""
        lacking = [
            str(c) for c in _components(plugin) if not c.summary.strip() or "\n" in c.summary
        ]
        require(
            not lacking,
            expected="a summary of one line for each component",
            got=f"none or several at {', '.join(lacking)}",
            fix="Pass summary= to register: it is what `diffir list` shows.",
        )

    def test_needs_can_be_installed(self, plugin: str) -> None:
        """What a component needs is a requirement that `pip install` takes."""
        odd = [
            c.needs for c in _components(plugin) if c.needs and not REQUIREMENT.fullmatch(c.needs)
        ]
        require(
            not odd,
            expected='needs= like "pillow-heif>=0.20"',
            got=odd,
            fix="Write a name and versions, as in a project's dependencies.",
        )

    def test_components_load(self, plugin: str) -> None:
        """Each class is found and has its verbs, each file is there."""
        for component in _components(plugin):
            try:
                found = _loads(component)
            except DiffirError as error:
                raise _does_not(f"{component} to load", error) from error
            require(
                found,
                expected=f"the file {component.target} of {component}",
                got="none",
                fix="List it among the package's data files, beside the module.",
            )

    def test_codecs_and_degradations_are_created(self, plugin: str) -> None:
        """Without arguments, as tasks do; a codec calls itself as it is registered."""
        for component in _components(plugin):
            if component.kind in ("codec", "degradation"):
                try:
                    created = _host().create(component.kind, component.name)
                except DiffirError as error:
                    raise _does_not(f"{component} to be created", error) from error
                said = created.spec.name if component.kind == "codec" else component.name
                require(
                    said == component.name,
                    expected=f"the spec.name '{component.name}', as registered",
                    got=f"'{said}'",
                    fix="Use one name in register() and in CodecSpec.",
                )


def _host() -> Host:
    try:
        return default_host()
    except DiffirError as error:
        raise _does_not("the installed plugins to get along", error) from error


def _does_not(expected: str, error: DiffirError) -> AssertionError:
    fix = error.hint or "Correct its import string, or what it names."
    return AssertionError(
        f"expected {expected}, got {type(error).__name__}: {error.message}. {fix}"
    )


def _components(plugin: str) -> list[Component]:
    return [c for kind in KINDS for c in _host().components(kind) if c.plugin == plugin]


def _loads(component: Component) -> bool:
    if component.kind in CONTRACTS:
        return component.load() is not None
    return component.find_file().is_file()
