"""The stages over a frozen prior, on Stable Diffusion's parts at a small width."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState
from small_sd21 import NATIVE, OFFICIAL, small_model, small_recipe

from diffir.contracts.codec import CodecInfo
from diffir.errors import RecipeError
from diffir.host.manager import default_host
from diffir.recipes.recipe import Stage
from diffir.restore.checkpoint import load_checkpoint
from diffir.train.frozen_prior import ADVERSARIAL_FROM, ADVERSARIAL_SHARE
from diffir.train.loop import Settings, Trainer
from diffir.train.pairs import Batch
from diffir.train.stage_run import scaled_groups
from diffir.train.stages import find_stage

JPEG = CodecInfo(name="jpeg", quality=10.0, severity=0.9)

TRAINS = {
    "enhancer": ("conditioner.enhancer.",),
    "steering": (
        "router.stem",
        "router.levels",
        "router.downs",
        "router.pools",
        "conditioner.conv",
        "conditioner.learned",
        "conditioner.down",
        "conditioner.up",
        "denoiser.injections",
    ),
    "compensation": ("decoder.fusions.",),
}


@pytest.fixture(scope="module")
def built():
    return small_model(small_recipe(NATIVE))


@pytest.fixture
def model(built):
    return copy.deepcopy(built).train()


@pytest.fixture
def batch():
    clean, degraded = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return Batch(clean, degraded, (JPEG,), (JPEG,))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", TRAINS)
@pytest.mark.usefixtures("lpips")
def test_a_stage_trains_what_it_names_and_nothing_else(name, model, batch, checkpointing):
    stage = find_stage(name)()
    model.denoiser.checkpointing = model.decoder.checkpointing = checkpointing
    model.requires_grad_(False)
    learned = list(stage.parameters(model))
    assert len(learned) == len({id(p) for p in learned})
    for parameter in learned:
        parameter.requires_grad_()
    loss, _ = stage.loss(model, batch, 0)
    assert loss.isfinite()
    loss.backward()
    named = dict(model.named_parameters())
    expected = {n for n in named if n.startswith(TRAINS[name])}
    assert {n for n, p in named.items() if p.requires_grad} == expected
    reached = {n for n, p in named.items() if p.grad is not None}
    # The trunk's last level norm is not skipped here, and every level's gate is asked.
    assert reached == expected


@pytest.mark.usefixtures("lpips")
def test_the_discriminator_gets_its_share_of_the_gradient(model, batch):
    stage = find_stage("compensation")()
    for parameter in stage.parameters(model):
        parameter.requires_grad_()

    def gradient(step):
        torch.manual_seed(0)
        loss, restored = stage.loss(model, batch, step)
        return torch.autograd.grad(loss, restored)[0]

    before, after = gradient(0), gradient(ADVERSARIAL_FROM)
    share = (after - before).norm() / before.norm()
    assert float(share) == pytest.approx(ADVERSARIAL_SHARE, rel=0.05)


def test_a_conditioner_without_an_enhancer(build_model, batch):
    with pytest.raises(RecipeError, match="VisualToText has no enhancer to train") as caught:
        find_stage("enhancer")().loss(build_model(), batch, 0)
    assert "clip-to-text" in caught.value.hint


class TestLearningRates:
    def test_parts_have_their_own(self, model):
        plan = small_recipe(OFFICIAL).training.stage("steering")
        learned = list(find_stage("steering")().parameters(model))
        groups = scaled_groups(model, learned, plan)
        rates = {group["scale"] * plan.learning_rate for group in groups}
        assert rates == {2e-4, 5e-5}  # the published code's, of which one came out as 0
        assert sum(len(group["params"]) for group in groups) == len(learned)
        router = {id(p) for p in model.router.parameters()}
        twice = next(group for group in groups if group["scale"] == 2.0)
        assert {id(p) for p in twice["params"]} <= router

    def test_a_factor_for_what_does_not_learn(self, model):
        plan = Stage("steering", 1, 1e-4, scales={"decoder": 2.0})
        learned = list(find_stage("steering")().parameters(model))
        with pytest.raises(RecipeError, match="scales the learning rate of decoder, where nothing"):
            scaled_groups(model, learned, plan)


@pytest.fixture
def settings(photos, tmp_path, lpips):
    return Settings(
        data=photos,
        output=tmp_path / "run",
        steps=2,
        batch=1,
        crop=64,
        workers=0,
        cpu=True,
        cache=lpips / "pictures",
        checkpointing=True,
        judge_every=100,
    )


@pytest.fixture
def trained_recipe():
    return small_recipe(NATIVE, ("learning_rate = 5e-5", "learning_rate = 5e-3"))


def test_all_stages_of_the_recipe(trained_recipe, settings):
    host = default_host()
    trainer = Trainer(trained_recipe, host, settings)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    seen = [(now.stage, now.step) for now in trainer.run()]
    assert seen == [(name, step) for name in TRAINS for step in (1, 2)]
    after = trainer.model.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    learned = tuple(prefix for prefixes in TRAINS.values() for prefix in prefixes)
    assert {name for name in moved if not name.startswith(learned)} == set()
    for prefix in learned:
        assert any(name.startswith(prefix) for name in moved), prefix
    loaded, recipe = load_checkpoint(settings.output / "model.safetensors", host)
    assert recipe == trained_recipe
    assert all(tensor.isfinite().all() for tensor in loaded.state_dict().values())


@pytest.fixture
def _fresh_accelerate():
    """Its state is one per process, and fixed by the first run in it."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.mark.usefixtures("_fresh_accelerate")
def test_in_mixed_precision(trained_recipe, settings):
    half = replace(settings, precision="bf16", stages=("steering",), steps=1)
    losses = [now.loss for now in Trainer(trained_recipe, default_host(), half).run()]
    assert len(losses) == 1
    loaded, _ = load_checkpoint(settings.output / "model.safetensors", default_host())
    assert all(tensor.isfinite().all() for tensor in loaded.state_dict().values())


def test_a_run_goes_on_where_it_stopped(trained_recipe, settings):
    host = default_host()
    steering = replace(settings, stages=("steering",))
    list(Trainer(trained_recipe, host, replace(steering, steps=1)).run())
    position = settings.output / "state" / "position.json"
    saved = json.loads(position.read_text())
    assert (saved["stage"], saved["step"]) == (0, 1)
    later = [now.step for now in Trainer(trained_recipe, host, steering).run()]
    assert later == [2]


def test_the_average_shares_the_frozen_prior(trained_recipe, settings):
    from diffir.train.stage_run import StageRun

    trainer = Trainer(trained_recipe, default_host(), replace(settings, stages=("steering",)))
    run = StageRun(trainer, 0)
    ours, theirs = (dict(m.named_parameters()) for m in (trainer.model, run.average))
    shared = {name for name in ours if ours[name] is theirs[name]}
    assert shared == {name for name, p in ours.items() if not p.requires_grad}
    assert run.average.conditioner._decode.__self__ is run.average.decoder
