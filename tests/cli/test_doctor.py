from __future__ import annotations

import json

import pytest

PLUGIN = """
from diffir.host.hookspecs import hookimpl

@hookimpl
def register_codecs(register):
    register("lost", "no_such_package:Codec", summary="", needs="lost>=1")

@hookimpl
def register_recipes(register):
    register("odd", "diffir.recipes:no-such-file.toml", summary="")
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path))
    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "broken.py").write_text('raise ValueError("one line\\nand another")')
    return tmp_path


def test_what_works_and_what_to_install(diffir, home):
    outcome = diffir("doctor")
    assert outcome.code == 0, outcome.out
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["codec", "jpeg", "diffir", "works"] in rows
    assert ["weights", "moe-diffir-tiny", "diffir", "works"] in rows
    assert ["codec", "lost", "mine", "missing"] in [row[:4] for row in rows]
    assert ["weights", "odd", "mine", "missing"] in [row[:4] for row in rows]
    assert ["plugin", "broken", "broken", "broken"] in [row[:4] for row in rows]
    assert "codec lost: Install it with: pip install 'lost>=1'" in outcome.out
    assert "metric dists: run: diffir fetch-metrics" in outcome.out
    assert "device: " in outcome.out
    assert "ValueError: one line" in outcome.out
    assert "and another" not in outcome.out


def test_a_built_in_that_is_broken(diffir, home, monkeypatch):
    (home / "cache" / "metrics").mkdir(parents=True)
    (home / "cache" / "metrics" / "dists.safetensors").write_bytes(b"damaged")
    shadow = home / "shadow"
    shadow.mkdir()
    (shadow / "av.py").write_text("raise ImportError('a library is missing')")
    monkeypatch.setenv("PYTHONPATH", str(shadow))  # of the processes in which codecs are tried
    outcome = diffir("doctor", "--json")
    assert outcome.code == 1
    record = json.loads(outcome.out)
    found = {(row["kind"], row["name"]): row for row in record["findings"]}
    assert record["healthy"] is False
    assert record["versions"]["diffir"]
    assert found["codec", "mpeg2"]["state"] == "broken"
    assert "a library is missing" in found["codec", "mpeg2"]["note"]
    assert found["codec", "jpeg"]["state"] == "works"
    assert found["metric", "dists"]["state"] == "broken"
    assert found["metric", "lpips-vgg"]["state"] == "missing"
