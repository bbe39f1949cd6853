from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from diffir.contracts.codec import CodecInfo
from diffir.errors import (
    CheckpointError,
    CodecError,
    DataError,
    DeviceError,
    OutputError,
    RecipeError,
    UnknownComponentError,
)
from diffir.host.manager import default_host
from diffir.recipes.recipe import parse_recipe
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import load_checkpoint, read_card, save_checkpoint
from diffir.restore.restorer import load
from diffir.train.loop import Settings, Trainer
from diffir.train.pairs import Pairs
from diffir.train.stage_run import StageRun
from diffir.train.stages import AutoencoderStage

pytestmark = pytest.mark.usefixtures("lpips")


@pytest.fixture
def settings(photos, tmp_path, lpips):
    return Settings(
        data=photos,
        output=tmp_path / "run",
        stages=("prior", "rich"),
        steps=3,
        batch=2,
        crop=32,
        workers=0,
        cpu=True,
        cache=lpips / "pictures",
    )


@pytest.fixture
def trainer(tiny_recipe, settings):
    def build(recipe=tiny_recipe, **changes):
        return Trainer(recipe, default_host(), replace(settings, **changes))

    return build


@pytest.fixture(scope="module")
def straight(tiny_recipe, photos, tmp_path_factory, _lpips_folder):
    """Two stages of three steps, in one go."""
    output = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFIR_CACHE", str(_lpips_folder))
        options = {"stages": ("prior", "rich"), "steps": 3, "batch": 2, "crop": 32}
        settings = Settings(photos, output, **options, workers=0, cpu=True)
        list(Trainer(tiny_recipe, default_host(), settings).run())
    return output


def result(folder) -> dict[str, torch.Tensor]:
    """Every weight that a run leaves: the averages, and the state to go on from."""
    averages = load_file(folder / "model.safetensors")
    states = {
        f"{path.name}:{name}": tensor
        for path in (folder / "state").glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }
    return averages | states


def assert_same(one, other) -> None:
    first, second = result(one), result(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_all_stages_end_with_a_model(trainer, tiny_recipe, tmp_path):
    progress = list(trainer(stages=None, steps=None).run())
    names = [stage.name for stage in tiny_recipe.training.stages]
    assert [(p.stage, p.step) for p in progress] == [(n, s) for n in names for s in (1, 2)]
    assert all(math.isfinite(p.loss) for p in progress)
    assert progress[-1].judgement is not None
    assert all(math.isfinite(figure) for figure in vars(progress[-1].judgement).values())

    output = tmp_path / "run"
    model, recipe = load_checkpoint(output / "model.safetensors", default_host())
    assert recipe == tiny_recipe
    assert all(p.isfinite().all() for p in model.parameters())
    assert load(output / "model.safetensors", device="cpu").tile is None
    card = read_card(output / "model.safetensors")
    assert card["license"] == "unstated"
    assert card["stages"] == ", ".join(names)
    assert card["held_out"] == str(progress[-1].judgement)
    rows = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["step"]) for row in rows] == [(name, 2) for name in names]
    assert sorted(p.name for p in output.iterdir()) == ["log.jsonl", "model.safetensors", "state"]


class TestResume:
    @pytest.mark.parametrize("stopped_after", [2, 3, 4])
    def test_ends_with_the_same_weights(self, trainer, straight, tmp_path, stopped_after):
        run = trainer(save_minutes=0).run()
        for _ in range(stopped_after):
            next(run)
        run.close()
        torch.manual_seed(999)  # another process would not have this one's random state
        rest = list(trainer().run())
        assert len(rest) == 6 - stopped_after
        assert_same(tmp_path / "run", straight)

    def test_killed_in_the_middle_of_an_exchange(self, trainer, straight, tmp_path):
        run = trainer(save_minutes=0).run()
        for _ in range(2):
            next(run)
        run.close()
        os.replace(tmp_path / "run" / "state", tmp_path / "run" / "state.previous")
        assert len(list(trainer().run())) == 4
        assert_same(tmp_path / "run", straight)

    def test_any_number_of_workers(self, trainer, straight, tmp_path):
        list(trainer(workers=2).run())
        assert_same(tmp_path / "run", straight)

    def test_a_finished_run_has_nothing_left_to_do(self, trainer, tmp_path):
        assert len(list(trainer(stages=("prior",), steps=1).run())) == 1
        before = (tmp_path / "run" / "model.safetensors").read_bytes()
        assert list(trainer(stages=("prior",), steps=1).run()) == []
        assert (tmp_path / "run" / "model.safetensors").read_bytes() == before

    def test_not_wanted(self, trainer):
        for _ in range(2):
            assert len(list(trainer(stages=("prior",), steps=1, resume=False).run())) == 1

    def test_not_wanted_and_killed_before_its_first_state(self, trainer, tmp_path):
        list(trainer(stages=("prior",), steps=1).run())
        run = trainer(stages=("prior",), steps=3, resume=False).run()
        next(run)
        run.close()
        assert not (tmp_path / "run" / "state").exists()
        assert len(list(trainer(stages=("prior",), steps=2).run())) == 2

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"stages": ("compensator",)}, r"with other stages: \['prior'\], and this one has"),
            ({"seed": 7}, "with other seed: 0, and this one has 7"),
        ],
    )
    def test_another_run(self, trainer, changes, message):
        list(trainer(stages=("prior",), steps=1).run())
        with pytest.raises(CheckpointError, match=f"belongs to a run {message}") as caught:
            list(trainer(**{"stages": ("prior",), **changes}).run())
        assert "--no-resume" in caught.value.hint

    def test_another_model(self, trainer, tiny_recipe):
        list(trainer(stages=("prior",), steps=1).run())
        other = trainer(stages=("prior",), steps=1)
        router = replace(tiny_recipe.parts["router"], options={"experts": 2})
        other.recipe = replace(tiny_recipe, parts={**tiny_recipe.parts, "router": router})
        with pytest.raises(CheckpointError, match="with other model: tiny "):
            list(other.run())

    @pytest.mark.parametrize("text", ["", "{}", "[1"])
    def test_a_damaged_state(self, trainer, tmp_path, text):
        list(trainer(stages=("prior",), steps=1).run())
        (tmp_path / "run" / "state" / "position.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"position\.json is damaged") as caught:
            list(trainer(stages=("prior",), steps=1).run())
        assert "--no-resume" in caught.value.hint

    def test_a_full_disk(self, trainer, tmp_path, small_files):
        list(trainer(stages=("prior",), steps=1).run())
        before = (tmp_path / "run" / "state" / "position.json").read_text()
        # Room for the weights, which are half precision, but not for the state.
        most = (tmp_path / "run" / "model.safetensors").stat().st_size + 1000
        message = "cannot write the state to"
        with small_files(most), pytest.raises(OutputError, match=message) as caught:
            list(trainer(stages=("prior",), steps=2).run())
        assert "Free some space" in caught.value.hint
        assert (tmp_path / "run" / "state" / "position.json").read_text() == before
        assert not (tmp_path / "run" / "state.partial").exists()

    @pytest.mark.slow
    def test_killed_by_force(self, straight, photos, tiny_toml, tmp_path):
        program = Path(__file__).with_name("short_run.py")
        words = [sys.executable, program, photos, tmp_path / "run", tiny_toml]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if line == "rich 1\n":
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == -signal.SIGKILL
        subprocess.run(words, check=True, capture_output=True)
        assert_same(tmp_path / "run", straight)


def test_a_codec_that_fails_is_told_as_it_said_it(trainer, monkeypatch):
    def fails(self, index):
        raise CodecError("the encoder failed", hint="Look at what it said.")

    run = trainer(stages=("prior",)).run()
    monkeypatch.setattr(Pairs, "__getitem__", fails)
    with pytest.raises(CodecError, match=r"^the encoder failed$") as caught:
        next(run)
    assert caught.value.hint == "Look at what it said."


def test_a_step_in_parts_is_the_same_step(trainer, tmp_path):
    def trained(name, **changes):
        output = tmp_path / name
        changes = {"stages": ("autoencoder",), "batch": 4, "output": output, **changes}
        list(trainer(**changes).run())
        return load_file(output / "state" / "model.safetensors")

    whole, parts, half = trained("a"), trained("b", accumulate=4), trained("c", batch=2)

    def distance(one, other):
        return sum(float((one[n] - t).square().sum()) for n, t in other.items()) ** 0.5

    # Adam divides by the gradient's size, which lets rounding through where that is next to zero.
    assert distance(whole, parts) < 0.02 * distance(whole, half)


class TestWeights:
    def test_to_start_from(self, trainer, tiny_weights, tmp_path):
        list(trainer(weights=tiny_weights, stages=("prior",), steps=1).run())
        ours = load_file(tmp_path / "run" / "model.safetensors")
        given = load_file(tiny_weights)
        assert all(torch.equal(ours[n], given[n]) for n in given if n.startswith("router."))

    def test_of_another_recipe(self, trainer, build_model, tiny_recipe, tmp_path):
        other = parse_recipe(tiny_recipe.text.replace('"tiny"', '"other"'), origin="other.toml")
        path = tmp_path / "other.safetensors"
        save_checkpoint(build_model(), path, recipe=other, dtype=torch.float16)
        with pytest.raises(CheckpointError, match="holds 'other', not 'tiny'"):
            trainer(weights=path)

    def test_of_the_same_name_and_other_sizes(self, trainer, tiny_recipe, tmp_path):
        path = altered(tiny_recipe, "detail_blocks = 1", "detail_blocks = 2", tmp_path)
        with pytest.raises(CheckpointError, match="holds 'tiny' of other sizes or parts"):
            trainer(weights=path)

    def test_of_other_widths(self, trainer, tiny_recipe, tmp_path):
        path = altered(tiny_recipe, "widths = [8, 12, 16]", "widths = [8, 12, 24]", tmp_path)
        with pytest.raises(CheckpointError, match="holds 'tiny' of other sizes or parts"):
            trainer(weights=path)

    def test_of_fewer_blocks_grow_and_do_as_before(self, trainer, tiny_weights, tiny_recipe):
        text = tiny_recipe.text.replace("detail_blocks = 1", "detail_blocks = 3")
        deeper = parse_recipe(text, origin="deeper.toml")
        grown = trainer(recipe=deeper, weights=tiny_weights).model
        model, _ = load_checkpoint(tiny_weights, default_host())
        added = grown.state_dict().keys() - model.state_dict().keys()
        assert added
        assert all(".detail." in name for name in added)
        image = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            before, after = model(image, [CodecInfo()])[0], grown(image, [CodecInfo()])[0]
        torch.testing.assert_close(after.rich, before.rich)
        torch.testing.assert_close(after.faithful, before.faithful)

    def test_of_no_noise_get_some(self, trainer, tiny_weights, tiny_recipe):
        text = tiny_recipe.text.replace("detail_blocks = 1", "detail_blocks = 1\nnoise_planes = 2")
        noisy = parse_recipe(text, origin="noisy.toml")
        grown = trainer(recipe=noisy, weights=tiny_weights).model
        model, _ = load_checkpoint(tiny_weights, default_host())
        given, all_of_it = model.state_dict(), grown.state_dict()
        assert all_of_it.keys() - given.keys() == {"decoder.detail.grain.weight"}
        assert all_of_it["decoder.detail.grain.weight"].count_nonzero()
        assert all(torch.equal(all_of_it[name], given[name]) for name in given)

    def test_of_no_kernel_experts_get_some_and_do_as_before(self, trainer, tiny_recipe, tmp_path):
        plain = altered(tiny_recipe, "kernel_experts = 2", "kernel_experts = 0", tmp_path)
        grown = trainer(weights=plain).model
        model, _ = load_checkpoint(plain, default_host())
        added = grown.state_dict().keys() - model.state_dict().keys()
        assert {name.rpartition("levels.2.0.")[2] for name in added} == {
            "conv1.experts",
            "conv2.experts",
            "gate.weight",
            "gate.bias",
        }
        image = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            before, after = (m(image, [CodecInfo()])[0].faithful for m in (model, grown))
        torch.testing.assert_close(after, before)


def test_expert_kernels_that_are_not_there_are_told_before_any_stage(trainer, tiny_recipe):
    text = tiny_recipe.text.replace("kernel_experts = 2", "kernel_experts = 0")
    plain = parse_recipe(text, origin="plain.toml")
    with pytest.raises(RecipeError, match="has no expert kernels here"):
        trainer(recipe=plain, stages=("autoencoder", "kernels"))


def altered(recipe, old, new, folder):
    """Weights of a recipe with one line changed."""
    text = recipe.text.replace(old, new)
    assert text != recipe.text
    other = parse_recipe(text, origin="other.toml")
    path = folder / "other.safetensors"
    save_checkpoint(assemble(other, default_host()), path, recipe=other, dtype=torch.float16)
    return path


def test_the_recipe_says_how_long_weights_are_averaged(trainer, tiny_recipe, tmp_path):
    stages = tuple(replace(s, average=0.0) for s in tiny_recipe.training.stages)
    at_once = replace(tiny_recipe, training=replace(tiny_recipe.training, stages=stages))
    run = trainer(recipe=at_once, stages=("prior",))
    list(run.run())
    saved = load_file(tmp_path / "run" / "model.safetensors")
    latest = run.model.state_dict()
    assert all(torch.equal(saved[name], latest[name].half()) for name in saved)


@pytest.mark.parametrize(("schedule", "last"), [("constant", 1e-3), ("cosine", 1e-3 * 3 / 50)])
def test_the_recipe_says_how_a_stage_is_optimized(trainer, tiny_recipe, schedule, last):
    changes = {"schedule": schedule, "betas": [0.5, 0.9], "weight_decay": 0.0}
    stages = tuple(replace(s, **changes) for s in tiny_recipe.training.stages)
    changed = replace(tiny_recipe, training=replace(tiny_recipe.training, stages=stages))
    run = StageRun(trainer(recipe=changed, stages=("prior",)), 0)
    assert len(list(run.steps_from(0))) == 3
    [group] = run.optimizer.param_groups
    assert group["lr"] == pytest.approx(last)
    assert tuple(group["betas"]) == (0.5, 0.9)
    assert group["weight_decay"] == 0.0


class TestRefusedBeforeAnyWork:
    def test_a_crop_off_the_grid(self, trainer):
        with pytest.raises(DataError, match="--crop must be a multiple of 32, got 40"):
            trainer(crop=40)

    def test_crops_that_cannot_be_divided(self, trainer):
        with pytest.raises(DataError, match="'prior' has 2 crops a step, which cannot be divided"):
            trainer(accumulate=3)

    def test_a_crop_larger_than_the_pictures(self, trainer):
        with pytest.raises(DataError, match="no picture is at least 128 pixels"):
            next(trainer(crop=128).run())

    def test_no_degradations(self, tiny_recipe, settings):
        text = tiny_recipe.text.partition("[training]")[0]
        with pytest.raises(RecipeError, match="says no degradations to train on"):
            Trainer(parse_recipe(text, origin="x.toml"), default_host(), settings)

    def test_a_codec_that_is_not_installed(self, tiny_recipe, trainer, tmp_path):
        text = tiny_recipe.text.replace('codec = "webp"', 'codec = "of-a-plugin"')
        with pytest.raises(UnknownComponentError, match="no codec called 'of-a-plugin'"):
            trainer(parse_recipe(text, origin="x.toml"), output=tmp_path / "never")
        assert not (tmp_path / "never").exists()

    def test_a_stage_that_the_recipe_lacks(self, trainer):
        with pytest.raises(RecipeError, match="the recipe has no stage 'poor'"):
            trainer(stages=("prior", "poor"))

    def test_a_stage_that_nobody_knows(self, tiny_recipe, settings):
        text = tiny_recipe.text.replace('"compensator"', '"compensater"')
        with pytest.raises(RecipeError, match="there is no training stage 'compensater'"):
            Trainer(
                parse_recipe(text, origin="x.toml"), default_host(), replace(settings, stages=None)
            )

    def test_no_weights_to_judge_with(self, trainer, monkeypatch, tmp_path):
        monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "empty"))
        with pytest.raises(CheckpointError, match="lpips-alex are not at") as caught:
            trainer()
        assert "fetch-metrics" in caught.value.hint


def test_a_loss_that_explodes_is_told(tiny_recipe, settings):
    text = tiny_recipe.text.replace("learning_rate = 1e-3", "learning_rate = 1e38")
    trainer = Trainer(
        parse_recipe(text, origin="x.toml"),
        default_host(),
        replace(settings, stages=("autoencoder",), steps=8),
    )
    with pytest.raises(DataError, match=r"the loss became (nan|inf) at step \d"):
        list(trainer.run())


def test_a_step_that_does_not_fit_into_memory(trainer, monkeypatch):
    def greedy(self, model, batch, step):
        return torch.empty(1 << 50), batch.clean

    monkeypatch.setattr(AutoencoderStage, "loss", greedy)
    with pytest.raises(DeviceError, match="out of memory") as caught:
        list(trainer(stages=("autoencoder",)).run())
    assert "--accumulate" in caught.value.hint
