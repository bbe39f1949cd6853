"""Prompts for one more codec, on a model that samples from noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_sd21 import NATIVE, small_model, small_recipe

import diffir
from diffir.contracts.picture import Picture
from diffir.errors import DataError, RecipeError
from diffir.host.manager import default_host
from diffir.restore.checkpoint import save_checkpoint
from diffir.restore.pack_file import save_packs
from diffir.restore.restorer import load
from diffir.train.finetuning import SAMPLED_SIDE, FineTuning, Request
from diffir.train.synthetic import synthetic_picture
from diffir.train.transfer import Effort
from diffir.train.transfer_rows import predict_rows

EFFORT = Effort(2, batch=2, learning_rate=1e-2)


def folder(path, side):
    path.mkdir()
    for index in range(4):
        pixels = synthetic_picture(side, np.random.default_rng(index))
        diffir.write(Picture(pixels), path / f"{index}.png")
    return path


@pytest.fixture
def request_of(tmp_path, lpips):
    recipe = small_recipe(NATIVE)
    weights = tmp_path / "small.safetensors"
    save_checkpoint(small_model(recipe), weights, recipe=recipe, dtype=torch.float32)

    def request(side):
        return Request(
            codec="avif",
            data=folder(tmp_path / f"{side}", side),
            model=str(weights),
            crops=3,
            device="cpu",
            effort=EFFORT,
        )

    return request


def test_a_pack_of_prompts(request_of, tmp_path):
    asked = request_of(SAMPLED_SIDE + 32)
    tuning = FineTuning(asked, default_host())
    rows = tuning.cache.rows([0, 1], torch.device("cpu"))
    assert rows.target.shape == rows.encoded.latent.shape == (2, 4, 24, 24)
    assert rows.encoded.features == ()  # nothing is decoded to learn
    assert rows.seen.shape == (2, 49, 12)  # nor is the degradation tower asked again
    asked_anew = predict_rows(tuning.base, replace(rows, seen=None))
    torch.testing.assert_close(predict_rows(tuning.base, rows), asked_anew, rtol=0, atol=2e-2)
    transfer = tuning.transfer
    first = float(transfer._loss(rows)[0].detach())
    expected = (predict_rows(transfer.model, rows) - rows.target).square().mean()
    assert first == pytest.approx(float(expected.detach()))
    assert {name.split(".")[1] for name in transfer.learned} == {"pools"}
    *_, last = transfer.run()
    assert last.step == 2
    pack = tuning.pack(last.verdict)
    save_packs([pack], tmp_path / "avif.safetensors")
    restorer = load(asked.model, device="cpu", prompts=str(tmp_path / "avif.safetensors"))
    picture = Picture(synthetic_picture(96, np.random.default_rng(9)))
    assert restorer(picture).pixels.shape == (96, 96, 3)
    assert restorer.treatment(picture).card.name == "avif"


def test_the_pack_of_the_full_size_stays_small():
    from diffir.recipes.recipe import load_recipe
    from diffir.restore.assemble import assemble
    from diffir.restore.pack_file import MAX_BYTES
    from diffir.restore.prompt_packs import new_parameters, with_new_experts

    with torch.device("meta"):
        base = assemble(load_recipe(NATIVE, default_host()), default_host())
        bytes_by_experts = [
            sum(2 * p.numel() for p in new_parameters(with_new_experts(base, n), base).values())
            for n in (Effort(1).experts, 2)
        ]
    assert bytes_by_experts[0] < 0.3 * MAX_BYTES
    assert bytes_by_experts[1] < 0.6 * MAX_BYTES


def test_training_everything_is_another_commands_work(request_of):
    everything = replace(request_of(SAMPLED_SIDE), effort=replace(EFFORT, full=True))
    with pytest.raises(RecipeError, match="'moe-diffir-sd21' samples from noise") as caught:
        FineTuning(everything, default_host())
    assert "--stage steering" in caught.value.hint


def test_a_critic_has_nothing_to_look_at(request_of):
    critical = replace(request_of(SAMPLED_SIDE), effort=replace(EFFORT, critic=True))
    with pytest.raises(RecipeError, match="'moe-diffir-sd21' samples from noise: while its"):
        FineTuning(critical, default_host())


def test_pictures_that_are_too_small(request_of):
    with pytest.raises(DataError, match="128x128 pixels; this model learns from crops of 192x192"):
        FineTuning(request_of(128), default_host())
