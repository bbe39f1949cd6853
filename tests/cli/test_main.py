from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import diffir as package
from diffir.cli.main import build_app, main
from diffir.host.manager import default_host

PLUGIN = '''
import typer
from diffir.errors import CodecError
from diffir.host.hookspecs import hookimpl

@hookimpl
def register_codecs(register):
    register("mine", "mine_package.codec:Mine", summary="my own")

@hookimpl
def register_commands(app):
    @app.command("greet")
    def greet(name: str) -> None:
        """Say hello."""
        if name == "nobody":
            raise CodecError("nobody is there", hint="Name somebody.")
        if name == "bug":
            raise ZeroDivisionError("one over nothing")
        typer.echo(f"hello {name}")
'''


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "greeter.py"
    path.write_text(PLUGIN)
    return path


def test_version(diffir):
    assert diffir("--version").out == f"diffir {package.__version__}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_the_commands(diffir, flag):
    outcome = diffir(flag)
    assert outcome.code == 0
    for command in ("inspect", "degrade", "list", "fetch-metrics"):
        assert command in outcome.out


@pytest.mark.parametrize("group", [(), ("plugins",), ("prompts",)])
def test_help_cuts_no_sentence(diffir, group):
    lines = diffir(*group, "--help").out.splitlines()
    assert not [line for line in lines if line.startswith("  ") and line.endswith("...")]


def test_an_unknown_command_is_wrong_usage(diffir):
    assert diffir("restroe").code == 2


def test_the_app_is_a_function_of_the_host():
    assert build_app(default_host()) is not build_app(default_host())


class TestPlugins:
    @pytest.mark.parametrize("form", ["two words", "one word"])
    def test_a_plugin_brings_components_and_commands(self, diffir, plugin, form):
        option = ("--plugin", plugin) if form == "two words" else (f"--plugin={plugin}",)
        assert diffir(*option, "greet", "Ada").out == "hello Ada\n"
        assert "mine" in diffir(*option, "list", "codec").out

    def test_a_plugin_that_does_not_exist(self, diffir, tmp_path):
        outcome = diffir("--plugin", tmp_path / "lost.py", "list")
        assert outcome.code == 2
        assert "does not exist" in outcome.err

    def test_a_broken_plugin_is_a_warning(self, diffir, tmp_path):
        broken = tmp_path / "broken.py"
        broken.write_text("import no_such_package")
        outcome = diffir("--plugin", broken, "list", "plugins")
        assert outcome.code == 0
        assert f"warning: plugin {broken} does not work" in outcome.err
        assert "broken: ModuleNotFoundError" in outcome.out

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("    app.no_such_method()", "does not work: AttributeError"),
            (
                "    import typer\n\n    @app.command()\n    def greet(ctx: typer.Context): ...",
                "does not work: NameError: name 'typer' is not defined",
            ),
        ],
        ids=["its hook fails", "a signature has a mistake"],
    )
    def test_commands_that_fail_to_register_are_a_warning(self, diffir, tmp_path, body, message):
        path = tmp_path / "clumsy.py"
        path.write_text(
            "from __future__ import annotations\n"
            "from diffir.host.hookspecs import hookimpl\n\n"
            f"@hookimpl\ndef register_commands(app):\n{body}\n"
        )
        outcome = diffir("--plugin", path, "list")
        assert outcome.code == 0, outcome.err
        assert "jpeg" in outcome.out
        assert message in outcome.err

    def test_a_command_of_a_name_that_is_taken(self, diffir, tmp_path):
        path = tmp_path / "greedy.py"
        path.write_text(PLUGIN.replace('@app.command("greet")', '@app.command("restore")'))
        outcome = diffir("--plugin", path, "restore", "--help")
        assert "Restore compressed pictures" in outcome.out
        assert "there is a command 'restore' already" in outcome.err

    def test_two_plugins_with_one_name_are_an_error(self, diffir, plugin):
        twin = plugin.with_name("twin.py")
        twin.write_text(PLUGIN)
        outcome = diffir("--plugin", plugin, "--plugin", twin, "list")
        assert outcome.code == 1
        assert "error: codec 'mine' is registered by plugin 'greeter'" in outcome.err
        assert "DIFFIR_DISABLE_PLUGINS=twin" in outcome.err


class TestErrors:
    def test_an_error_of_ours_has_a_message_and_a_hint(self, diffir, plugin):
        outcome = diffir("--plugin", plugin, "greet", "nobody")
        assert outcome.code == 1
        assert outcome.err == "error: nobody is there\nhint: Name somebody.\n"

    def test_an_error_that_nobody_expected(self, diffir, plugin):
        outcome = diffir("--plugin", plugin, "greet", "bug")
        assert outcome.code == 1
        assert "error: internal error: ZeroDivisionError: one over nothing" in outcome.err
        assert "DIFFIR_TRACE=1" in outcome.err

    def test_trace_shows_the_traceback(self, plugin, monkeypatch):
        monkeypatch.setenv("DIFFIR_TRACE", "1")
        with pytest.raises(ZeroDivisionError, match="one over nothing"):
            main(["--plugin", str(plugin), "greet", "bug"])

    @pytest.mark.skipif(os.name == "nt", reason="signals differ there")
    def test_interrupt_leaves_with_130(self, tmp_path):
        path = tmp_path / "sleeper.py"
        path.write_text(
            PLUGIN.replace('typer.echo(f"hello {name}")', "print('up', flush=True); input()")
        )
        # What starts in the background of a shell ignores SIGINT, and hands that down.
        program = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from diffir.cli.main import main; main()"
        )
        command = [sys.executable, "-c", program, "--plugin", str(path), "greet", "Ada"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            assert process.stdout.readline() == "up\n"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in err
