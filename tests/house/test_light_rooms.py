"""`diffir --help` answers at once: the rooms that it needs import nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import sources
from twenty_plugins import COUNT, install_plugins

LIGHT = {"", "errors", "contracts", "host", "recipes", "cli"}
HEAVY = {
    "accelerate",
    "av",
    "diffusers",
    "kornia",
    "numpy",
    "PIL",
    "safetensors",
    "timm",
    "torch",
}

PROGRAM = """
import json, sys
from diffir.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as leaving:
    code = leaving.code or 0
print()
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def packages_imported_by(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True
    )
    code, packages = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(packages)


def test_light_rooms_import_nothing_heavy():
    wrong = [
        f"{path.relative_to(sources.ROOT)}:{imported.line} imports {imported.name}"
        for path in sources.modules()
        if sources.room(path) in LIGHT
        for imported in sources.imports(path)
        if imported.at_import_time and imported.name.partition(".")[0] in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("list",),
        ("list", "plugins", "--json"),
        ("plugins", "list", "--strict"),
        ("degrade", "--help"),
        ("add-codec", "--help"),
        ("doctor", "--help"),
    ],
    ids=" ".join,
)
def test_commands_that_only_tell_load_nothing_heavy(words):
    loaded = packages_imported_by(*words)
    assert not loaded & (HEAVY | {"rich"})


def test_twenty_plugins_make_it_no_heavier(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(install_plugins(tmp_path)))
    loaded = packages_imported_by("--help")
    assert len([name for name in loaded if name.startswith("twenty")]) == COUNT
    assert not loaded & (HEAVY | {"rich"})


def test_importing_diffir_loads_nothing_heavy():
    program = "import json, sys, diffir; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {name.partition(".")[0] for name in json.loads(done.stdout)} & HEAVY
