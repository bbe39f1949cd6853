from __future__ import annotations

import importlib
import textwrap
from types import SimpleNamespace

import pytest

from diffir.errors import (
    ComponentError,
    ContractError,
    DuplicateComponentError,
    MissingDependencyError,
    OutputError,
    PictureError,
    UnknownComponentError,
)
from diffir.host import builtins
from diffir.host.component import KINDS, VERBS, Component
from diffir.host.discovery import discover
from diffir.host.hookspecs import hookimpl
from diffir.host.manager import Host, build_host, default_host
from diffir.host.plugin import API_VERSION, check_api
from diffir.host.user_folder import config_folder, disabled_plugins, remember_disabled
from diffir.pictures.reading import read_bytes


def codec_plugin(name: str, target: str = "json:JSONDecoder", *, needs: str | None = None):
    """A plugin, as a module would be, that registers one codec."""

    def register_codecs(register):
        register(name, target, summary="a test's codec", needs=needs)

    return SimpleNamespace(register_codecs=hookimpl(register_codecs))


def host_of(**plugins) -> Host:
    return Host([(name, f"{name}-package", plugin) for name, plugin in plugins.items()])


class TestTable:
    def test_components_come_in_order_of_registration(self):
        host = host_of(one=codec_plugin("b"), two=codec_plugin("a"))
        assert [c.name for c in host.components("codec")] == ["b", "a"]
        assert host.components("router") == ()

    def test_a_component_tells_where_it_comes_from(self):
        component = host_of(one=codec_plugin("b", needs="b-lib>=2")).find("codec", "b")
        assert component == Component(
            "codec", "b", "json:JSONDecoder", "a test's codec", "one", "b-lib>=2"
        )

    def test_two_plugins_that_claim_one_name(self):
        with pytest.raises(
            DuplicateComponentError,
            match=r"codec 'b' is .* plugin 'one' of one-package and again .* 'two' of two-package",
        ) as caught:
            host_of(one=codec_plugin("b"), two=codec_plugin("b"))
        assert "DIFFIR_DISABLE_PLUGINS=two" in caught.value.hint

    def test_one_plugin_that_claims_a_name_twice(self):
        @hookimpl
        def register_codecs(register):
            register("b", "json:one", summary="")
            register("b", "json:two", summary="")

        with pytest.raises(DuplicateComponentError, match="plugin 'one' and again by plugin 'one'"):
            host_of(one=SimpleNamespace(register_codecs=register_codecs))

    def test_one_name_in_two_kinds_is_fine(self):
        @hookimpl
        def register_routers(register):
            register("b", "json:JSONDecoder", summary="")

        both = SimpleNamespace(
            register_codecs=codec_plugin("b").register_codecs, register_routers=register_routers
        )
        assert host_of(one=both).find("router", "b").kind == "router"

    def test_a_name_that_nobody_registered(self):
        with pytest.raises(UnknownComponentError, match="no codec called 'jpge'") as caught:
            default_host().find("codec", "jpge")
        assert "Did you mean jpeg" in caught.value.hint

    def test_a_name_that_is_like_no_other(self):
        with pytest.raises(UnknownComponentError, match="no router called 'xyz'") as caught:
            default_host().find("router", "xyz")
        assert caught.value.hint == "Known: moe, moe-pyramid."


class TestLoading:
    def load(self, target: str, *, needs: str | None = None, kind="codec"):
        return Component(kind, "mine", target, "", "my-plugin", needs).load()

    def test_a_missing_package_is_named_with_the_way_to_get_it(self):
        with pytest.raises(
            MissingDependencyError, match="codec 'mine' of plugin 'my-plugin' cannot be imported"
        ) as caught:
            self.load("no_such_package.codec:Codec", needs="no-such>=1")
        assert caught.value.hint == "Install it with: pip install 'no-such>=1'"

    def test_a_missing_package_of_a_plugin_that_names_none(self):
        with pytest.raises(MissingDependencyError, match="no_such_package") as caught:
            self.load("no_such_package.codec:Codec")
        assert "Reinstall the plugin 'my-plugin'" in caught.value.hint

    def test_missing_verbs_are_named(self):
        with pytest.raises(
            ContractError, match="JSONDecoder lacks recognizes, encode, read_info"
        ) as caught:
            self.load("json:JSONDecoder")
        assert "recognizes, encode, decode, read_info" in caught.value.hint

    def test_a_wrong_signature_is_shown_beside_the_right_one(self, tmp_path, monkeypatch):
        (tmp_path / "odd_router.py").write_text(
            "class Odd:\n    def route(self, latent):\n        return latent\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        odd = Component("router", "odd", "odd_router:Odd", summary="", plugin="p")
        with pytest.raises(ContractError, match=r"Odd.route is \(self, latent\)") as caught:
            odd.load()
        assert "route(self, latent, codecs)" in caught.value.hint

    def test_a_target_without_an_object(self):
        with pytest.raises(ComponentError, match="'json' is not of the form"):
            self.load("json")

    def test_an_object_that_is_not_in_its_module(self):
        with pytest.raises(ComponentError, match="module 'json' has no 'Nothing'"):
            self.load("json:Nothing")

    def test_a_module_that_fails(self, tmp_path, monkeypatch):
        (tmp_path / "failing_module.py").write_text("1 / 0")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ComponentError, match="fails on import: ZeroDivisionError"):
            self.load("failing_module:Codec")

    def test_a_codec_that_lies_about_its_name(self, tmp_path, monkeypatch):
        (tmp_path / "lying_codec.py").write_text(
            "from diffir.codecs.jpeg import Jpeg\n\nclass Mine(Jpeg):\n    pass\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(
            ContractError, match="codec 'mine' of plugin 'one' calls itself 'jpeg'"
        ) as caught:
            host_of(one=codec_plugin("mine", "lying_codec:Mine")).codec("mine")
        assert "Register it as 'jpeg', or write spec.name = 'mine'" in caught.value.hint

    def test_a_factory_that_makes_something_else(self):
        with pytest.raises(ContractError, match="list lacks recognizes"):
            host_of(one=codec_plugin("b", "gc:get_objects")).codec("b")

    def test_a_codec_whose_constructor_fails(self, tmp_path, monkeypatch):
        (tmp_path / "failing_codec.py").write_text(
            "from diffir.codecs.jpeg import Jpeg\n\nclass Mine(Jpeg):\n"
            "    def __init__(self):\n        1 / 0\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ComponentError, match="fails when it is created: ZeroDivisionError"):
            host_of(one=codec_plugin("mine", "failing_codec:Mine")).codec("mine")

    def test_a_factory_whose_imports_fail(self, tmp_path, monkeypatch):
        (tmp_path / "late_codec.py").write_text("def mine():\n    import no_such_package\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(MissingDependencyError, match="cannot be created") as caught:
            host_of(one=codec_plugin("mine", "late_codec:mine", needs="late>=1")).codec("mine")
        assert caught.value.hint == "Install it with: pip install 'late>=1'"

    def test_a_factory_function_may_stand_for_a_class(self):
        assert callable(self.load("json:loads", kind="degradation"))

    def test_options_that_are_not_taken(self):
        with pytest.raises(
            ComponentError, match=r"does not accept the options \['depth'\]"
        ) as caught:
            default_host().create("codec", "jpeg", depth=3)
        assert "diffir.codecs.jpeg:Jpeg" in caught.value.hint

    def test_every_kind_has_its_verbs(self):
        assert set(VERBS) == set(KINDS)

    @pytest.mark.parametrize(
        "component",
        [c for kind in KINDS if VERBS[kind] for c in default_host().components(kind)],
        ids=str,
    )
    def test_built_ins_can_be_loaded(self, component):
        component.load()


class TestCodecs:
    def test_one_instance_per_host(self):
        host = default_host()
        assert host.codec("jpeg") is host.codec("jpeg")

    def test_nobody_recognizes_text(self):
        assert default_host().recognize(b"plain text, and no picture") is None

    def test_a_codec_that_cannot_be_loaded_is_passed_over(self):
        host = Host(
            [
                ("lost", "lost-package", codec_plugin("lost", "no_such_package:Codec")),
                ("diffir", "built in", builtins),
            ]
        )
        codec = host.recognize(bytes.fromhex("ffd8ffe000104a464946"))
        assert codec is not None
        assert codec.spec.name == "jpeg"

    def test_a_codec_that_fails_to_recognize_is_passed_over(self, tmp_path, monkeypatch, caplog):
        (tmp_path / "clumsy_codec.py").write_text(
            "from dataclasses import replace\nfrom diffir.codecs.jpeg import Jpeg\n\n"
            "class Mine(Jpeg):\n    spec = replace(Jpeg.spec, name='mine')\n"
            "    def recognizes(self, data):\n        return data[99] == 0\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        clumsy = codec_plugin("mine", "clumsy_codec:Mine")
        host = Host([("clumsy", "here", clumsy), ("diffir", "built in", builtins)])
        codec = host.recognize(bytes.fromhex("ffd8ffe000104a464946"))
        assert codec is not None
        assert codec.spec.name == "jpeg"
        assert "codec 'mine' of plugin 'clumsy' is passed over" in caplog.text


class TestPlugins:
    FILE = textwrap.dedent(
        """
        from diffir.host.hookspecs import hookimpl

        @hookimpl
        def register_codecs(register):
            register("mine", __name__ + ":Mine", summary="my own")

        class Mine:
            def recognizes(self, data): ...
            def encode(self, pixels, quality, *, subsampling=None): ...
            def decode(self, data): ...
            def read_info(self, data): ...
        """
    )

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        (tmp_path / "my_codec.py").write_text(self.FILE)
        monkeypatch.setenv("DIFFIR_PLUGINS_DIR", str(tmp_path))
        monkeypatch.delenv("DIFFIR_DISABLE_PLUGINS", raising=False)
        return tmp_path

    def test_a_file_in_the_plugins_folder(self, folder):
        component = build_host().find("codec", "mine")
        assert component.plugin == "my_codec"
        assert component.load().__name__ == "Mine"

    def test_a_file_that_is_named(self, folder, monkeypatch):
        monkeypatch.delenv("DIFFIR_PLUGINS_DIR")
        host = build_host(plugin_files=[folder / "my_codec.py"])
        assert host.plugins[-1].origin == str(folder / "my_codec.py")

    def test_a_plugin_can_be_left_out(self, folder, monkeypatch):
        monkeypatch.setenv("DIFFIR_DISABLE_PLUGINS", "other,my_codec")
        host = build_host()
        assert host.plugin("my_codec").state == "disabled"
        assert host.plugin("my_codec").disabled_by == "DIFFIR_DISABLE_PLUGINS"
        assert "mine" not in [component.name for component in host.components("codec")]

    def test_a_file_that_only_it_could_read_is_refused_with_its_name(self, folder, monkeypatch):
        monkeypatch.setenv("DIFFIR_DISABLE_PLUGINS", "my_codec")
        with pytest.raises(PictureError, match="not a picture that diffir knows") as caught:
            read_bytes(b"mine and mine alone", name="x.mine", host=build_host())
        assert "Plugins left out: my_codec (disabled); see: diffir" in str(caught.value.hint)

    def test_a_file_that_cannot_be_imported_is_a_row(self, folder):
        (folder / "broken.py").write_text("import no_such_package")
        host = build_host()
        rows = {plugin.name: plugin for plugin in host.plugins}
        assert "no_such_package" in rows["broken"].error
        assert rows["my_codec"].error is None
        assert host.find("codec", "mine")

    def test_a_file_that_claims_a_built_in_name(self, folder):
        text = self.FILE.replace('"mine"', '"jpeg"')
        assert text != self.FILE
        (folder / "twin.py").write_text(text)
        with pytest.raises(DuplicateComponentError, match="by plugin 'diffir' and again") as caught:
            build_host()
        assert f"by plugin 'twin' of {folder / 'twin.py'}" in str(caught.value)

    def test_a_mistake_of_syntax_is_told_with_its_line(self, folder):
        (folder / "broken.py").write_text("x = 1\nx = = 2")
        row = build_host().plugin("broken")
        assert row.error.startswith("SyntaxError: invalid syntax")
        assert "broken.py, line 2" in row.error

    def test_a_name_that_a_broken_plugin_may_bring(self, folder):
        (folder / "broken.py").write_text("raise ValueError")
        with pytest.raises(UnknownComponentError, match="no codec called 'lost'") as caught:
            build_host().codec("lost")
        assert "Plugins left out: broken (broken); see: diffir plugins list" in caught.value.hint

    def test_a_hook_that_fails_is_a_row_and_registers_nothing(self):
        @hookimpl
        def register_codecs(register):
            register("half", "json:one", summary="")
            raise RuntimeError("out of codecs")

        host = host_of(good=codec_plugin("b"), bad=SimpleNamespace(register_codecs=register_codecs))
        assert [c.name for c in host.components("codec")] == ["b"]
        assert host.plugins[-1].error == "RuntimeError: out of codecs"

    def test_a_hook_with_other_arguments_is_a_row(self):
        @hookimpl
        def register_codecs(registry):
            raise AssertionError("never called")

        (row,) = host_of(odd=SimpleNamespace(register_codecs=register_codecs)).plugins
        assert "registry" in row.error

    def test_installed_plugins_are_found_and_broken_ones_kept(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "good_plugin.py").write_text(self.FILE)
        for name, module in (("good", "good_plugin"), ("bad", "no_such_module")):
            info = tmp_path / f"{name}_pkg-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}-pkg\nVersion: 1.0\n"
            )
            (info / "entry_points.txt").write_text(f"[diffir.plugins]\n{name} = {module}\n")
        importlib.invalidate_caches()
        modules, broken = discover()
        assert ("good", "good-pkg") in [(name, origin) for name, origin, _ in modules]
        (row,) = [plugin for plugin in broken if plugin.name == "bad"]
        assert row.origin == "bad-pkg"
        assert "no_such_module" in row.error
        rows = {p.name: p for p in discover(disabled={"bad": "a list"})[1]}
        assert (rows["bad"].state, rows["bad"].origin) == ("disabled", "bad-pkg")

    def test_two_plugins_of_one_name_are_an_error(self):
        plugins = [("one", "a-pkg", codec_plugin("a")), ("one", "b-pkg", codec_plugin("b"))]
        with pytest.raises(
            DuplicateComponentError, match="two plugins are called 'one': one of a-pkg and one of b"
        ) as caught:
            Host(plugins)
        assert "Uninstall b-pkg or a-pkg" in caught.value.hint

    def test_a_tolerant_host_keeps_the_second_as_a_row(self):
        plugins = [("one", "a-pkg", codec_plugin("b")), ("two", "b-pkg", codec_plugin("b"))]
        host = Host(plugins, tolerant=True)
        assert host.find("codec", "b").plugin == "one"
        row = host.plugin("two")
        assert row.state == "broken"
        assert "diffir plugins disable two" in row.hint

    def test_a_plugin_that_ends_the_program_is_a_row(self, folder):
        (folder / "quitter.py").write_text("import sys\nsys.exit('no display')")
        row = build_host().plugin("quitter")
        assert row.error == "SystemExit: no display"
        assert "diffir plugins disable quitter" in row.hint

    def test_a_plugin_that_is_not_there(self):
        with pytest.raises(UnknownComponentError, match="no plugin called 'onne'") as caught:
            host_of(one=codec_plugin("b")).plugin("onne")
        assert caught.value.hint == "Did you mean one?"

    def test_what_a_plugin_brings(self):
        host = default_host()
        names = [c.name for c in host.components_of("diffir") if c.kind == "router"]
        assert names == ["moe", "moe-pyramid"]
        assert not host.has_commands("diffir")


class TestApiVersion:
    @pytest.mark.parametrize(
        ("version", "step"),
        [(2, "Upgrade diffir"), (0, "newer release of the plugin"), ("x", "newer release")],
    )
    def test_a_plugin_for_another_api_is_a_row(self, version, step):
        module = SimpleNamespace(
            diffir_api=version, register_codecs=codec_plugin("b").register_codecs
        )
        (row,) = host_of(odd=module).plugins
        assert row.state == "broken"
        assert row.error == (
            f"it was made for plugin API {version!r}, this diffir has plugin API {API_VERSION}"
        )
        assert step in row.hint

    def test_a_plugin_that_names_ours_is_loaded(self):
        check_api(SimpleNamespace(diffir_api=API_VERSION))
        with pytest.raises(ContractError, match="made for plugin API 9"):
            check_api(SimpleNamespace(diffir_api=9))


class TestUserFolder:
    @pytest.fixture(autouse=True)
    def home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path))
        monkeypatch.delenv("DIFFIR_PLUGINS_DIR", raising=False)
        monkeypatch.delenv("DIFFIR_DISABLE_PLUGINS", raising=False)
        return tmp_path

    def test_a_name_is_remembered_and_forgotten(self, home):
        (home / "disabled-plugins.txt").write_text("old # since March\n\n# remark\n")
        remember_disabled("mine", disabled=True)
        remember_disabled("mine", disabled=True)
        assert list(disabled_plugins()) == ["old", "mine"]
        remember_disabled("old", disabled=False)
        text = (home / "disabled-plugins.txt").read_text()
        assert text == "\n# remark\nmine\n"

    def test_plugins_lie_in_the_configuration(self, home):
        (home / "plugins").mkdir()
        (home / "plugins" / "my_codec.py").write_text(TestPlugins.FILE)
        assert build_host().find("codec", "mine").plugin == "my_codec"
        remember_disabled("my_codec", disabled=True)
        row = build_host().plugin("my_codec")
        assert row.disabled_by == str(home / "disabled-plugins.txt")

    def test_where_it_is(self, home, monkeypatch):
        monkeypatch.delenv("DIFFIR_CONFIG")
        monkeypatch.setenv("XDG_CONFIG_HOME", "/x")
        assert str(config_folder()) == "/x/diffir"
        monkeypatch.delenv("XDG_CONFIG_HOME")
        monkeypatch.setenv("HOME", "/h")
        assert str(config_folder()) == "/h/.config/diffir"

    def test_a_list_that_cannot_be_read(self, home):
        (home / "disabled-plugins.txt").mkdir()
        with pytest.raises(ComponentError, match=r"list of disabled plugins .* cannot be read"):
            build_host()

    def test_a_folder_that_cannot_be_written(self, home, monkeypatch):
        (home / "file").touch()
        monkeypatch.setenv("DIFFIR_CONFIG", str(home / "file"))
        with pytest.raises(ComponentError, match="cannot be read"):
            remember_disabled("mine", disabled=True)
        monkeypatch.setenv("DIFFIR_CONFIG", "/proc/diffir")
        with pytest.raises(OutputError, match="cannot be written") as caught:
            remember_disabled("mine", disabled=True)
        assert "DIFFIR_CONFIG" in caught.value.hint
