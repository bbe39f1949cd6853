from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from diffir.ablation import cells
from diffir.ablation.cells import run
from diffir.ablation.questions import questions
from diffir.ablation.witnesses import EXACT, Witnesses, multiply_adds
from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.errors import DataError
from diffir.evaluate.metrics import load_metrics
from diffir.host.manager import default_host
from diffir.moe.prompted_level import PromptedLevel
from diffir.pictures.writing import write
from diffir.recipes.derive import derive
from diffir.recipes.recipe import load_recipe, parse_recipe
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import load_checkpoint, save_checkpoint
from diffir.train.synthetic import synthetic_picture

HOST = default_host()
BOX = load_recipe("moe-diffir-tiny", HOST)
VARIANTS = {v.name: v for question in questions(BOX) for v in question.variants}


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_is_a_recipe_whose_weights_come_back(name, tmp_path):
    recipe = derive(BOX, name, VARIANTS[name].changes)
    assert parse_recipe(recipe.text, origin="again") == recipe
    torch.manual_seed(0)
    model, path = assemble(recipe, HOST).eval(), tmp_path / "a.safetensors"
    save_checkpoint(model, path, recipe=recipe, dtype=torch.float32)
    other, read = load_checkpoint(path, HOST)
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        one, two = (m(image, [CodecInfo.unknown()])[0] for m in (model, other))
    assert read == recipe
    torch.testing.assert_close(one.rich, two.rich)
    torch.testing.assert_close(one.faithful, two.faithful)


def test_the_default_is_in_no_question_twice():
    names = [v.name for question in questions(BOX) for v in question.variants]
    assert names.count("default") == len(questions(BOX))
    assert len(set(names)) == 1 + 3 + 2 + 1 + 4 + 4 + 2


def test_a_question_that_there_is_not():
    with pytest.raises(DataError, match="there is no ablation called 'M'") as caught:
        questions(BOX, ["N", "M"])
    assert caught.value.hint == "Known: prompts, text, prior, N, K, kernels."


def test_equal_parts_start_from_equal_weights(plan, tiny_recipe):
    made = plan("text")
    variants = {v.name: v for v in made.questions[0].variants}
    start = {
        name: cells._starting_model(made, derive(tiny_recipe, name, v.changes), 0).state_dict()
        for name, v in variants.items()
    }
    shared = set(start["default"]) & set(start["text-none"])
    assert shared == set(start["text-none"])
    assert all(torch.equal(start["default"][n], start["text-none"][n]) for n in shared)


def test_trained_weights_serve_where_no_variant_differs(plan, build_model, tiny_weights):
    made = replace(plan("K"), weights=tiny_weights)
    recipe = made.recipe
    start = cells._starting_model(made, recipe, 0).state_dict()
    trained = load_checkpoint(tiny_weights, HOST)[0].state_dict()
    kept = {name for name, tensor in start.items() if torch.equal(tensor, trained[name])}
    assert {"encoder.stem.weight", "decoder.faithful_head.weight", "router.stem.weight"} <= kept
    fresh = {"router.pools.0.prompts", "decoder.prompts.1.prompts", "router.prior.unknown"}
    assert not kept & (fresh - {"router.prior.unknown"})  # that one is the same when fresh
    assert "conditioner.tower.0.weight" not in kept


def test_what_a_recipe_does_not_say_is_told_where_it_is_asked():
    silent = replace(BOX.parts["conditioner"], options={})
    odd = replace(BOX, parts={**BOX.parts, "conditioner": silent})
    assert len(questions(odd, ["prior", "N"])) == 2
    with pytest.raises(DataError, match="does not say the width of its conditioner"):
        questions(odd)


def test_crops_that_come_back_exactly_can_be_averaged(tmp_path):
    path = write(Picture(np.full((130, 130, 3), 128, np.uint8)), tmp_path / "plain.png")
    measures = load_metrics(["psnr", "psnr-b"])
    figures = Witnesses([path], ["jpeg-10"], HOST, measures).unrestored()
    assert figures["jpeg-10"] == {"psnr": EXACT, "psnr-b": EXACT}


def test_multiply_adds_are_those_of_a_convolution(build_model):
    lean, whole = build_model(), build_model()
    with_mixture = multiply_adds(whole)
    assert 100 < with_mixture < 100_000
    # Two 3x3 convolutions at a quarter less.
    lean.decoder.detail.levels[-1] = PromptedLevel(8, 0, degradation_width=8)
    assert with_mixture - multiply_adds(lean) == pytest.approx(2 * 9 * 8 * 8 / 4)


class TestRun:
    def test_each_cell_leaves_a_file_and_nothing_else(self, plan, witnesses):
        made = plan("text", "prior")
        steps = []
        found = {c.name: r for c, r in run(made, witnesses, step=lambda: steps.append(1))}
        assert list(found) == [
            "text-none.faithful.seed-0",
            "text-learned.faithful.seed-0",
            "default.faithful.seed-0",
            "prior-none.compensator.seed-0",
            "default.compensator.seed-0",
        ]
        assert len(steps) == 2 * len(found)
        left = sorted(p.relative_to(made.output) for p in made.output.rglob("*") if p.is_file())
        assert [p.name for p in left] == sorted(f"{name}.json" for name in found)
        for result in found.values():
            assert set(result.figures) == {"jpeg-10", "webp-5"}
            assert set(result.figures["jpeg-10"]) == {"psnr", "ssim"}

    def test_it_goes_on_where_it_was_stopped(self, plan, witnesses):
        made, steps = plan("text"), []
        for number, _ in enumerate(run(made, witnesses), start=1):
            if number == 2:
                break
        whole = list(run(made, witnesses, step=lambda: steps.append(1)))
        assert len(whole) == 3
        assert len(steps) == 2

    def test_the_same_cell_comes_out_the_same_alone(self, plan, witnesses, tmp_path):
        made = plan("prior")
        first = {c.name: r.figures for c, r in run(made, witnesses)}
        again = {c.name: r.figures for c, r in run(replace(made, output=tmp_path / "b"), witnesses)}
        assert first == again

    def test_a_result_of_another_budget(self, plan, witnesses):
        list(run(plan("prior"), witnesses))
        with pytest.raises(DataError, match="was made with another steps") as caught:
            list(run(plan("prior", steps=3), witnesses))
        assert "Use another folder" in caught.value.hint

    @pytest.mark.parametrize("changed", ["weights", "data", "crops", "metrics"])
    def test_a_result_of_other_inputs(
        self, plan, witnesses, photos, tiny_weights, tmp_path, changed
    ):
        """Files of the same names: `diffir train` calls each of its results model.safetensors."""
        other = tmp_path / "other"
        other.mkdir()
        pixels = synthetic_picture(100, np.random.default_rng(9))
        for path in photos.iterdir():
            write(Picture(pixels), other / path.name)
        paths, measures = sorted(photos.iterdir())[:2], load_metrics(["psnr", "ssim"])
        made = plan("prior")
        list(run(made, witnesses))
        if changed == "weights":
            made = replace(made, weights=tiny_weights)
        elif changed == "data":
            made = replace(made, data=other)
        elif changed == "crops":
            paths = [other / path.name for path in paths]
        else:
            measures = load_metrics(["psnr"])
        tasks = ["jpeg-10", "webp-5"]
        with pytest.raises(DataError, match=f"another {changed.replace('crops', 'pixels')}"):
            list(run(made, Witnesses(paths, tasks, HOST, measures)))

    def test_what_else_is_in_the_folder_stays(self, plan, witnesses):
        made = plan("prior")
        mine = made.output / "running" / "notes.txt"
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        list(run(made, witnesses))
        assert mine.read_text() == "mine"
        assert {path.name for path in made.output.iterdir()} == {"cells", "running"}

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"setup": {}}'])
    def test_a_damaged_result(self, plan, witnesses, text):
        made = plan("prior")
        path = made.output / "cells" / "prior-none.compensator.seed-0.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        with pytest.raises(DataError, match="is not the result of a cell"):
            list(run(made, witnesses))

    def test_stages_for_every_cell(self, plan, witnesses):
        made = plan("prior", stages=("compensator", "faithful"), steps=4, learning_rate=0.01)
        found = [(c.name, json.dumps(r.figures)) for c, r in run(made, witnesses)]
        assert found[0][0] == "prior-none.compensator+faithful.seed-0"
        assert found[0][1] != found[1][1]


def test_pairs_are_made_once(plan, witnesses, monkeypatch):
    from diffir.train.pairs import Pairs

    made, whole = [], Pairs.__getitem__
    monkeypatch.setattr(Pairs, "__getitem__", lambda s, i: made.append(i) or whole(s, i))
    list(run(plan("prior"), witnesses))
    assert sorted(made) == [0, 1, 2, 3]  # two steps of two crops, for both cells
