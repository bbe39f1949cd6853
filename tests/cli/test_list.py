from __future__ import annotations

import json

import pytest


def test_everything(diffir):
    out = diffir("list").out
    for word in ("jpeg", "double-jpeg", "moe", "moe-diffir-tiny", "built in"):
        assert word in out


@pytest.mark.parametrize("kind", ["codec", "codecs"])
def test_one_kind(diffir, kind):
    out = diffir("list", kind).out
    assert "jpeg2000" in out
    assert "double-jpeg" not in out


@pytest.mark.parametrize("kind", ["prompt-pack", "prompt_packs"])
def test_a_kind_without_components(diffir, kind):
    outcome = diffir("list", kind)
    assert outcome.code == 0


def test_json(diffir):
    rows = json.loads(diffir("list", "--json").out)
    jpeg = next(row for row in rows["components"] if row["name"] == "jpeg")
    assert jpeg["target"] == "diffir.codecs.jpeg:Jpeg"
    first = rows["plugins"][0]
    assert (first["name"], first["origin"], first["error"]) == ("diffir", "built in", None)


def test_a_kind_that_is_none(diffir):
    outcome = diffir("list", "coder")
    assert outcome.code == 2
    assert "'coder' is none of codec, degradation" in outcome.err
