"""Each check of the plugin suite catches a plugin that is broken in one place."""

from __future__ import annotations

import pytest

from diffir.host.manager import default_host
from diffir.testing import PluginSuite, run_suite
from diffir.testing.suite import check_names

HEAD = """
from dataclasses import replace
from diffir.host.hookspecs import hookimpl

def __getattr__(name):  # heavy imports where the class is asked for, as an import string would
    if name != "Stairs":
        raise AttributeError(name)
    from diffir.codecs.jpeg import Jpeg
    class Stairs(Jpeg):
        spec = replace(Jpeg.spec, name="stairs")
    return Stairs
"""

REGISTERS = (
    HEAD
    + """
@hookimpl
def register_codecs(register):
    register({name}, {target}, summary={summary}, needs={needs})
"""
)


def plugin_text(name="stairs", target=None, summary="stairs", needs="pillow>=12"):
    target = repr(target) if target else 'f"{__name__}:Stairs"'
    return REGISTERS.format(
        name=repr(name), target=target, summary=repr(summary), needs=repr(needs)
    )


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Write a plugin of one file, called "own", and have the host find it."""

    def written(text: str, stem: str = "own") -> str:
        (tmp_path / f"{stem}.py").write_text(text, encoding="utf-8")
        monkeypatch.setenv("DIFFIR_PLUGINS_DIR", str(tmp_path))
        default_host.cache_clear()
        return stem

    yield written
    default_host.cache_clear()


class TestOwn(PluginSuite):
    @pytest.fixture
    def plugin(self, install):
        return install(plugin_text())


BROKEN = [
    ("1 / 0", "test_is_loaded", "plugin 'own' to load, got .*ZeroDivisionError.* Import"),
    ("import numpy\n" + plugin_text(), "test_import_is_light", "heavy, .*got numpy imported. Put"),
    (
        "import os, sys\nif 'pytest' not in sys.modules: os._exit(3)\n" + plugin_text(),
        "test_import_is_light",
        "imported in a new process, got exit status 3: . Do not rely on what the main process",
    ),
    (HEAD, "test_brings_components", "components from plugin 'own', got none. Mark the hooks"),
    (plugin_text(name="My Stairs"), "test_names_are_plain", r"got \['My Stairs'\]. Rename them"),
    (plugin_text(summary=" "), "test_summaries_are_one_line", "at codec 'stairs' of plugin 'own'"),
    (plugin_text(summary="a\nb"), "test_summaries_are_one_line", "none or several at codec"),
    (plugin_text(needs="pip install x"), "test_needs_can_be_installed", r"got \['pip install x'\]"),
    (
        plugin_text(target="diffir.codecs.jpeg:Jpg"),
        "test_components_load",
        "'stairs' of plugin 'own' to load, got ComponentError: .* has no 'Jpg'. Correct",
    ),
    (
        plugin_text(target="no_such_package:Codec", needs="no-such>=1"),
        "test_components_load",
        "got MissingDependencyError: .* Install it with: pip install 'no-such>=1'",
    ),
    (
        HEAD + "@hookimpl\ndef register_recipes(register):\n"
        '    register("r", "diffir.recipes:r.toml", summary="r")\n',
        "test_components_load",
        "the file diffir.recipes:r.toml of recipe 'r' of plugin 'own', got none. List it",
    ),
    (
        plugin_text(target="diffir.codecs.jpeg:Jpeg"),
        "test_codecs_and_degradations_are_created",
        "'jpeg'.* name",
    ),
    (
        plugin_text(target="diffir.codecs.ijg_quality:nearest_quality"),
        "test_codecs_and_degradations_are_created",
        "'stairs' of plugin 'own' to be created, got ComponentError: .* does not accept",
    ),
]


@pytest.mark.parametrize(("text", "check", "message"), BROKEN)
def test_a_broken_plugin_is_caught(install, text, check, message):
    plugin = install(text)
    with pytest.raises(AssertionError, match=f"(?s)^expected .*?{message}"):
        getattr(PluginSuite(), check)(plugin)


def test_no_check_is_without_a_plugin_that_fails_it():
    assert {check for _, check, _ in BROKEN} == set(check_names(PluginSuite))


def test_a_plugin_that_is_not_there():
    with pytest.raises(AssertionError, match=r"called 'absent', got diffir.*Install it: pip"):
        PluginSuite().test_is_loaded("absent")


def test_a_name_that_another_plugin_has(install):
    install(plugin_text(name="jpeg"))
    with pytest.raises(AssertionError, match=r"get along, got Duplicate.* codec 'jpeg'"):
        PluginSuite().test_is_loaded("own")


def test_a_broken_neighbor_changes_nothing(install):
    plugin = install(plugin_text())
    install("raise SystemExit('never')", stem="later")
    results = run_suite(PluginSuite, plugin)
    assert [result.message for result in results if not result.passed] == []


@pytest.mark.parametrize(
    "needs", ["numpy", "pillow-heif>=0.20", "torch[cpu] >=2,<3", "a==1.*; python_version<'4'"]
)
def test_requirements_that_can_be_installed(install, needs):
    PluginSuite().test_needs_can_be_installed(install(plugin_text(needs=needs)))
