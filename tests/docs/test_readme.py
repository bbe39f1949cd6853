"""What the pages tell people to type works when it is typed, block by block."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pages
import pytest

from diffir.cli.main import main
from diffir.host.manager import default_host

PAGES = (
    "README.md",
    "docs/quickstart.md",
    "docs/plugins/index.md",
    "docs/plugins/parts.md",
    "docs/plugins/test.md",
)
SETS_UP = "python3 -m venv"
INCLUDES = "--8<--"


def runnable(language: str) -> list[object]:
    """Blocks of the pages, but for those that set up an environment or include a file."""
    found = [block for page in PAGES for block in pages.blocks(page)]
    return [
        pytest.param(block, id=str(block))
        for block in found
        if block.language == language and not re.search(f"{SETS_UP}|{INCLUDES}", block.text)
    ]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder as a new user has it, to work in."""
    shutil.copytree(pages.ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFFIR_PLUGIN_FILES", "")  # `--plugin` sets it: take it back afterwards
    yield tmp_path
    default_host.cache_clear()  # it may have the plugins of a line


@pytest.mark.parametrize("block", runnable("bash"))
def test_commands(block, desk, capsys):
    for line in block.text.splitlines():
        command, *words = shlex.split(line, comments=True)
        assert command == "diffir"
        default_host.cache_clear()  # as in a process of its own
        with pytest.raises(SystemExit) as leaving:
            main(words)
        assert not leaving.value.code, f"{line}\n{capsys.readouterr().err}"
        # An existing file is what is written, unless the line says that nothing is.
        for target in re.findall(r" -o (\S+)", line if "--plan" not in line else ""):
            assert (desk / target).exists()


@pytest.mark.parametrize("block", runnable("python"))
def test_python(block, desk):
    before = set(desk.iterdir())
    exec(compile(block.text, str(block), "exec"), {"__name__": "block"})
    if "diffir.write(" in block.text:
        assert set(desk.iterdir()) > before


class TestSetUp:
    """The two commands that `.ci/run` takes out of the README."""

    def test_each_stands_alone_in_its_block(self):
        found = [b.text for b in pages.blocks("README.md") if SETS_UP in b.text]
        assert [text.count("\n") for text in found] == [1, 1]

    def test_ci_finds_each_once(self):
        patterns = re.findall(r"grep '(.+)' README\.md", pages.text_of(".ci/run"))
        assert len(patterns) == 2
        for pattern in patterns:
            found = subprocess.run(
                ["grep", pattern, pages.ROOT / "README.md"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert found.stdout.count("\n") == 1

    def test_the_quickstart_tells_the_same(self):
        command = pages.blocks("README.md")[0].text
        assert pages.blocks("docs/quickstart.md")[0].text == command

    def test_ci_is_a_script(self):
        script = pages.ROOT / ".ci" / "run"
        subprocess.run(["bash", "-n", script], check=True)
        assert script.stat().st_mode & 0o111


def test_the_readme_links_to_what_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)", pages.text_of("README.md"))
    missing = [link for link in links if not (pages.ROOT / link).exists()]
    assert not missing
