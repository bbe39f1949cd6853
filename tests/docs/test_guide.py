"""The guide to a codec, from start to finish: every line that it shows is run, in order."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pages
import pytest

from diffir.cli.main import main
from diffir.host.manager import default_host

PAGE = "docs/plugins/codec.md"
INSTALL = "-m pip install -q --no-build-isolation --no-deps --no-index --target"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder, a configuration and an environment as a new user has them."""
    shutil.copytree(pages.ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("DIFFIR_PLUGINS_DIR", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    default_host.cache_clear()
    yield tmp_path
    default_host.cache_clear()


def install(package: str, site: Path, monkeypatch) -> None:
    """As `pip install -e`, into a folder of its own and without a network."""
    subprocess.run([sys.executable, *INSTALL.split(), site, package], check=True)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    importlib.invalidate_caches()


def test_the_guide_to_a_codec(desk, monkeypatch, capsys):
    commands = [b.text for b in pages.blocks(PAGE) if b.language == "bash"]
    lines = "".join(commands).splitlines()
    assert len(lines) >= 10
    for line in lines:
        program, *words = shlex.split(line)
        if program == "pip":
            install(words[-1], desk / "site", monkeypatch)
            continue
        assert program == "diffir"
        default_host.cache_clear()  # as in a process of its own
        with pytest.raises(SystemExit) as leaving:
            main(words)
        printed = capsys.readouterr()
        assert not leaving.value.code, f"{line}\n{printed.out}\n{printed.err}"
        for target in re.findall(r" -o (\S+)", line):
            assert (desk / target).exists()
    assert (desk / "plugins/diffir-my-codec/pictures/rate-distortion.png").is_file()
    default_host.cache_clear()
    (script,) = (b.text for b in pages.blocks(PAGE) if "default_host()" in b.text)
    exec(script, {})
    assert (desk / "more.png").is_file()
