from __future__ import annotations

import json

import pytest
import torch

from diffir.host.manager import default_host
from diffir.restore.checkpoint import load_checkpoint, read_card


@pytest.fixture
def train(diffir, tiny_toml, photos, lpips, tmp_path):
    small = ("--steps", 1, "--batch", 1, "--crop", 32, "--workers", 0)

    def run(*words, recipe=tiny_toml, data=photos):
        return diffir("train", recipe, "--data", data, "-o", tmp_path / "run", *small, *words)

    return run


def test_weights_for_a_recipe(train, tiny_recipe, tmp_path):
    stages = ("--device", "cpu", "--stage", "prior", "--stage", "compensator")
    outcome = train(*stages, "--license", "CC0-1.0")
    assert outcome.code == 0, outcome.err
    path = tmp_path / "run" / "model.safetensors"
    assert f"{path}: LPIPS " in outcome.out
    assert load_checkpoint(path, default_host())[1] == tiny_recipe
    assert read_card(path)["license"] == "CC0-1.0"
    rows = [json.loads(row) for row in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in rows] == ["prior", "compensator"]
    again = train(*stages)
    assert again.code == 0, again.err
    assert f"{path}: finished before; nothing was left" in again.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "gpu"), "--device must be auto, cpu or cuda, got 'gpu'"),
        (("--precision", "fp8"), "--precision must be no, bf16 or fp16, got 'fp8'"),
        (("--crop", "40"), "--crop must be a multiple of 32, got 40"),
        (("--stage", "poor"), "the recipe has no stage 'poor'"),
    ],
    ids=str,
)
def test_what_is_refused(train, words, message):
    outcome = train(*words)
    assert outcome.code == 1
    assert message in outcome.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_here(train):
    outcome = train("--device", "cuda")
    assert outcome.code == 1
    assert "no device 'cuda' here" in outcome.err


def test_a_folder_without_pictures(train, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = train("--device", "cpu", data=tmp_path / "empty")
    assert outcome.code == 1
    assert "holds no pictures" in outcome.err


def test_a_recipe_that_is_not_there(train):
    outcome = train(recipe="none.toml")
    assert outcome.code == 1
    assert "cannot read the recipe none.toml" in outcome.err
