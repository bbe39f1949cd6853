from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture
def ablate(diffir, tiny_toml, photos, lpips, tmp_path):
    judged = tmp_path / "judged"
    shutil.copytree(photos, judged)
    small = ("--steps", 1, "--batch", 1, "--crop", 32, "--seeds", 2, "--limit", 1, "--metrics", "")

    def run(*words, spelling="bench"):
        command = ("bench", judged, "--ablation") if spelling == "bench" else ("ablate", judged)
        there = ("--recipe", tiny_toml, "--train", photos, "-o", tmp_path / "out")
        return diffir(*command, *there, *small, "--device", "cpu", "--precision", "no", *words)

    return run


@pytest.mark.parametrize("spelling", ["bench", "ablate"])
def test_a_report_and_a_plot(ablate, tmp_path, spelling):
    outcome = ablate("--only", "prior", "--task", "jpeg-10", spelling=spelling)
    assert outcome.code == 0, outcome.err
    assert "## prior: Is it worth telling the gates codec and severity?" in outcome.out
    assert (tmp_path / "out" / "report.md").read_text() == outcome.out
    assert (tmp_path / "out" / "ablation-prior.png").is_file()
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 4


def test_json_and_resume(ablate, tmp_path):
    words = ("--only", "prior", "--task", "jpeg-10")
    ablate(*words)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "cells").iterdir()}
    outcome = ablate(*words, "--json")
    assert len(json.loads(outcome.out)["cells"]) == 4
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "cells").iterdir()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "prompt"), "there is no ablation called 'prompt'"),
        (("--precision", "fp8"), "--precision must be no, bf16 or fp16, got 'fp8'"),
        (("--task", "jpg-10"), "jpg-10"),
        (("--weights", "poor.safetensors"), "there is no weights file poor.safetensors"),
        (("--stage", "poor"), "there is no training stage 'poor'"),
        (("--crop", "40"), "--crop must be a multiple of 32, got 40"),
    ],
    ids=str,
)
def test_what_is_refused(ablate, words, message):
    outcome = ablate("--only", "prior", *words) if words[0] != "--only" else ablate(*words)
    assert outcome.code == 1
    assert message in outcome.err


def test_pictures_to_judge_by_are_not_trained_on(ablate, tmp_path):
    outcome = ablate("--only", "prior", "--train", tmp_path)
    assert outcome.code == 1
    assert f"{tmp_path / 'judged' / '0.png'} is both trained on and judged by" in outcome.err


def test_bench_without_the_word_is_bench(diffir):
    assert "With --ablation" in diffir("bench", "--help").out
    assert "Train a recipe and variants" in diffir("bench", "--ablation", "--help").out
    assert diffir("bench", "x", "--train", "y").code == 2
