from __future__ import annotations

import json
import textwrap

import pytest

from diffir.host.manager import default_host

PLUGIN = """
from dataclasses import replace
from diffir.codecs.jpeg import Jpeg
from diffir.host.hookspecs import hookimpl

@hookimpl
def register_codecs(register):
    register("mine", f"{__name__}:Mine", summary="my own", needs="mine-lib>=1")

class Mine(Jpeg):
    spec = replace(Jpeg.spec, name="NAME", suffixes=(".mine",))

    def recognizes(self, data):
        return False
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A configuration folder with one plugin that works and one that does not."""
    monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path))
    monkeypatch.delenv("DIFFIR_DISABLE_PLUGINS", raising=False)
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "mine.py").write_text(PLUGIN.replace("NAME", "mine"))
    (folder / "broken.py").write_text("import no_such_package")
    default_host.cache_clear()  # the suite of a plugin asks the host of the process
    yield tmp_path
    default_host.cache_clear()


class TestList:
    def test_a_row_each(self, diffir):
        outcome = diffir("plugins", "list")
        assert outcome.code == 0
        rows = {line.split()[0]: line for line in outcome.out.splitlines()}
        assert "codec jpeg, webp" in rows["diffir"]
        assert rows["mine"].endswith("loaded  codec mine")
        assert "broken  ModuleNotFoundError" in rows["broken"]

    def test_json(self, diffir):
        rows = {row["name"]: row for row in json.loads(diffir("plugins", "list", "--json").out)}
        assert rows["mine"]["components"][0]["needs"] == "mine-lib>=1"
        assert rows["broken"]["state"] == "broken"
        assert "diffir plugins disable broken" in rows["broken"]["hint"]
        assert rows["diffir"]["version"]

    def test_strict(self, diffir, home):
        assert diffir("plugins", "list", "--strict").code == 1
        (home / "plugins" / "broken.py").unlink()
        assert diffir("plugins", "list", "--strict").code == 0


class TestShow:
    def test_one_that_works(self, diffir, home):
        out = diffir("plugins", "show", "mine").out
        assert f"origin: {home / 'plugins' / 'mine.py'}" in out
        assert "diffir_plugin_mine:Mine  mine-lib>=1  my own" in out

    def test_one_that_does_not(self, diffir):
        outcome = diffir("plugins", "show", "broken", "--strict")
        assert outcome.code == 1
        assert "error: ModuleNotFoundError" in outcome.out
        assert "leave it out: diffir plugins disable broken" in outcome.out

    def test_json(self, diffir):
        assert json.loads(diffir("plugins", "show", "mine", "--json").out)["state"] == "loaded"

    def test_one_that_is_not_there(self, diffir):
        outcome = diffir("plugins", "show", "mien")
        assert outcome.code == 1
        assert "no plugin called 'mien'\nhint: Did you mean mine?" in outcome.err


class TestDisable:
    def test_it_is_remembered_until_it_is_enabled(self, diffir, home):
        assert diffir("plugins", "disable", "mine").code == 0
        assert "mine" in (home / "disabled-plugins.txt").read_text()
        assert "my own" not in diffir("list").out
        assert f"switched off by {home}" in diffir("plugins", "list").out
        enabled = json.loads(diffir("plugins", "enable", "mine", "--json").out)
        assert enabled["state"] == "enabled"
        assert "my own" in diffir("list").out

    def test_the_built_ins_stay(self, diffir):
        outcome = diffir("plugins", "disable", "diffir")
        assert outcome.code == 1
        assert "'diffir' cannot be switched off" in outcome.err

    def test_what_a_variable_disables_is_not_enabled(self, diffir, monkeypatch):
        monkeypatch.setenv("DIFFIR_DISABLE_PLUGINS", "mine")
        outcome = diffir("plugins", "enable", "mine")
        assert outcome.code == 1
        assert "switched off by the variable DIFFIR_DISABLE_PLUGINS" in outcome.err

    def test_one_of_two_that_claim_a_name(self, diffir, home):
        (home / "plugins" / "twin.py").write_text(PLUGIN.replace("NAME", "mine"))
        refused = diffir("list")
        assert refused.code == 1
        assert "diffir plugins disable twin" in refused.err
        assert "registered by plugin 'mine'" in diffir("plugins", "list").out
        assert diffir("plugins", "disable", "twin").code == 0
        assert diffir("list").code == 0


class TestCheck:
    def test_a_broken_plugin(self, diffir):
        outcome = diffir("plugins", "check", "broken")
        assert outcome.code == 1
        assert "broken: FAILED" in outcome.out
        assert "no_such_package" in outcome.out

    def test_one_that_is_switched_off(self, diffir):
        assert diffir("plugins", "disable", "mine").code == 0
        outcome = diffir("plugins", "check", "mine")
        assert outcome.code == 1
        assert "plugin 'mine' is switched off by" in outcome.err
        assert "diffir plugins enable mine" in outcome.err

    def test_a_codec_that_lies_about_its_name(self, diffir, home):
        (home / "plugins" / "mine.py").write_text(PLUGIN.replace("NAME", "yours"))
        outcome = diffir("plugins", "check", "mine")
        assert outcome.code == 1
        assert "calls itself 'yours'" in outcome.out
        assert "Register it as 'yours'" in outcome.out

    def test_failed_checks_say_what_to_fix(self, diffir):
        outcome = diffir("plugins", "check", "mine")
        assert outcome.code == 1
        assert "test_recognizes_its_own_bytes FAILED: expected recognizes to be true" in outcome.out

    def test_what_is_declared_is_waived(self, diffir, home):
        path = home / "plugins" / "mine.py"
        waivers = {
            "test_recognizes_its_own_bytes": "they are JPEG's",
            "test_info_tells_name_and_severity": "it says jpeg",
        }
        path.write_text(
            path.read_text() + textwrap.indent(f"expected_failures = {waivers}\n", " " * 4)
        )
        outcome = diffir("plugins", "check", "mine")
        assert "test_recognizes_its_own_bytes waived: they are JPEG's" in outcome.out
        assert "codec mine: 22 of 22 checks" in outcome.out

    def test_json(self, diffir):
        (report,) = json.loads(diffir("plugins", "check", "broken", "--json").out)
        assert report["passed"] is False
        assert report["checked"][0]["error"].startswith("ModuleNotFoundError")

    def test_nothing_to_check(self, diffir, home):
        for path in (home / "plugins").glob("*.py"):
            path.unlink()
        outcome = diffir("plugins", "check")
        assert outcome.code == 0
        assert "diffir plugins check diffir" in outcome.out

    def test_a_router_that_no_recipe_uses_is_skipped(self, diffir, home):
        (home / "plugins" / "mine.py").write_text(
            "from diffir.host.hookspecs import hookimpl\n\n@hookimpl\n"
            "def register_routers(register):\n"
            "    register('mine', 'diffir.moe.router:MoERouter', summary='')\n"
        )
        outcome = diffir("plugins", "check", "mine")
        assert "router mine: not checked: it is created with options" in outcome.out
