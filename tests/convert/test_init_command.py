"""`diffir init`: a base, towers, and fresh parts."""

from __future__ import annotations

from dataclasses import replace

import ldm_layout as ldm
import official_layout as official
import pytest
import small_checkpoints as small
import torch
from safetensors.torch import load_file, save_file
from small_sd21 import small_recipe

import diffir as library
from diffir.convert.base_fit import looks_like, tensors_of_base
from diffir.convert.recipe_tables import with_table
from diffir.errors import CheckpointError
from diffir.restore.checkpoint import read_card
from diffir.weights.base_weights import BaseWeights
from diffir.weights.ldm_unet import unet_name
from diffir.weights.tensor_file import sha256_of

SIZE = small.SIZE

TRAINING = """
degradations = [{ weight = 1.0, codec = "jpeg", quality = [10, 20] }]

[[training.stages]]
name = "steering"
steps = 1
learning_rate = 1e-3
batch = 1
crop = 64
"""


def base(size: ldm.Size, *, text: bool = True) -> dict[str, torch.Tensor]:
    """A single file as Stable Diffusion was first published."""
    shapes = ldm.prefixed("model.diffusion_model.", ldm.unet(size))
    shapes |= ldm.prefixed("first_stage_model.", ldm.autoencoder(size))
    if text:
        shapes |= ldm.prefixed("cond_stage_model.", official.text_tower(SIZE))
    return small.weights(shapes, seed=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("init")
    text = small.recipe().text
    (folder / "small.toml").write_text(text, encoding="utf-8")
    captioned = with_table(text, "conditioner", 'use = "empty-text"\nwidth = 64')
    (folder / "captioned.toml").write_text(captioned, encoding="utf-8")
    torch.save({"state_dict": base(SIZE.sd)}, folder / "sd.ckpt")
    resnet = small.weights(official.clip_resnet(SIZE), seed=3)
    save_file({f"visual.{n}": t for n, t in resnet.items()}, folder / "rn50.safetensors")
    daclip = small.weights(official.da_clip(SIZE), seed=4)
    torch.save({f"module.{n}": t for n, t in daclip.items()}, folder / "daclip.pt")
    return folder


@pytest.fixture
def init(diffir, folder, tmp_path):
    def init(*words, recipe="small.toml", base="sd.ckpt"):
        target = tmp_path / "start.safetensors"
        return diffir("init", folder / recipe, "--base", folder / base, "-o", target, *words)

    return init


def test_it_restores_a_picture(init, diffir, folder, tmp_path, photos):
    towers = ["--tower", folder / "rn50.safetensors", "--tower", folder / "daclip.pt"]
    told = init(*towers)
    assert (told.code, told.err) == (0, "")
    assert told.out.endswith(f"moe-diffir-sd21-official on {folder / 'sd.ckpt'}\n")
    stored = load_file(tmp_path / "start.safetensors")
    given = base(SIZE.sd)
    conv = given["model.diffusion_model.input_blocks.0.0.weight"]
    assert torch.equal(stored["denoiser.unet.conv_in.weight"], conv)
    resnet = load_file(folder / "rn50.safetensors")
    assert torch.equal(
        stored["conditioner.tower.stem.conv1.bn.weight"], resnet["visual.bn1.weight"]
    )
    card = read_card(tmp_path / "start.safetensors")
    assert card["base sd.ckpt"] == f"sha256 {sha256_of(folder / 'sd.ckpt')}"
    assert card["DA-CLIP"].startswith("daclip.pt, sha256")
    picture = next(photos.glob("*.png"))
    done = diffir(
        "restore", picture, "-o", tmp_path / "y.png", "--model", tmp_path / "start.safetensors"
    )
    assert done.code == 0, done.err
    assert library.read(tmp_path / "y.png").pixels.shape == library.read(picture).pixels.shape


def test_training_starts_from_it(diffir, folder, tmp_path, photos, lpips):
    text = with_table(small.recipe().text, "training", TRAINING)
    (tmp_path / "jpeg.toml").write_text(text, encoding="utf-8")
    files = tmp_path / "jpeg.toml", "--base", folder / "sd.ckpt", "-o", tmp_path / "a.safetensors"
    assert diffir("init", *files).code == 0
    told = diffir(
        "train", tmp_path / "jpeg.toml", "--weights", tmp_path / "a.safetensors", "--data", photos,
        "-o", tmp_path / "run", "--device", "cpu", "--workers", "0",
    )  # fmt: skip
    assert told.code == 0, told.err
    before = load_file(tmp_path / "a.safetensors")
    after = load_file(tmp_path / "run" / "model.safetensors")
    frozen, learned = "denoiser.unet.conv_in.weight", "router.pools.0.prompts"
    torch.testing.assert_close(after[frozen].float(), before[frozen], rtol=1e-3, atol=1e-3)
    assert not torch.equal(after[learned].float(), before[learned].half().float())


def test_towers_that_are_not_given_are_told(init):
    told = init()
    assert told.code == 0
    assert "warning: CLIP RN50 has random weights" in told.err
    assert "warning: DA-CLIP has random weights" in told.err


def test_the_seed_makes_the_fresh_parts(init, tmp_path):
    found = []
    for seed in (1, 1, 2):
        init("--seed", seed, "--overwrite")
        found.append(load_file(tmp_path / "start.safetensors")["router.pools.0.prompts"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_empty_caption_comes_from_the_base(init, tmp_path):
    told = init(recipe="captioned.toml")
    assert told.code == 0, told.err
    tokens = load_file(tmp_path / "start.safetensors")["conditioner.tokens"]
    assert tokens.shape == (1, 77, 64)
    assert tokens.std() > 0.1


class TestAnotherBase:
    def test_of_another_family(self, init, folder, tmp_path):
        other = replace(SIZE.sd, context=768, linear=False)
        save_file(base(other, text=False), folder / "sd15.safetensors")
        told = init(base="sd15.safetensors")
        assert told.code == 1
        assert "is Stable Diffusion 1.x (context 768)" in told.err
        assert "wants context 64" in told.err
        assert "attn2.to_k.weight should be (16, 64)" in told.err
        assert "hint: Use --base stable-diffusion-2-1-base." in told.err
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("inputs", "context", "looks"),
        [
            (9, 1024, "Stable Diffusion 2.x, made for inpainting (context 1024)"),
            (4, 2048, "Stable Diffusion XL (context 2048)"),
            (4, 5, "no Stable Diffusion that is known (context 5)"),
        ],
    )
    def test_its_name(self, inputs, context, looks):
        key = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        unet = {"conv_in.weight": torch.ones(2, inputs, 3, 3), key: torch.ones(2, context)}
        assert looks_like(unet) == looks

    @pytest.mark.parametrize(
        ("context", "changes", "message", "line"),
        [
            (
                768,
                (("context_width = 24", "context_width = 768"),),
                "Stable Diffusion 1.x (context 768): its attentions have 8 heads",
                "heads = 8",
            ),
            (
                1024,
                (("head_width = 8", "heads = 8"), ("context_width = 24", "context_width = 1024")),
                "Stable Diffusion 2.x (context 1024): its attentions have heads of 64",
                "head_width = 64",
            ),
        ],
    )
    def test_whose_attention_is_divided_otherwise(self, context, changes, message, line):
        key = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        unet = {key: torch.ones(2, context)}
        prior = BaseWeights("base.ckpt", "", {"unet": unet, "vae": {}})
        with pytest.raises(CheckpointError) as caught:
            tensors_of_base(prior, small_recipe("moe-diffir-sd21", *changes), {})
        assert message in caught.value.message
        assert f"Write {line} in" in caught.value.hint

    def test_that_predicts_something_else(self, init, folder):
        unet = ldm.random_tensors(ldm.unet(SIZE.sd))
        named = {"unet": {unet_name(n): t for n, t in unet.items()}, "vae": {"a": torch.ones(1)}}
        for part, tensors in named.items():
            (folder / "v" / part).mkdir(parents=True, exist_ok=True)
            save_file(tensors, folder / "v" / part / "diffusion_pytorch_model.safetensors")
        (folder / "v" / "scheduler").mkdir(exist_ok=True)
        config = folder / "v" / "scheduler" / "scheduler_config.json"
        config.write_text('{"prediction_type": "v_prediction"}')
        told = init(base="v")
        assert told.code == 1
        assert "was trained to predict v_prediction" in told.err
        assert "samples by epsilon" in told.err

    def test_without_text(self, init, folder):
        save_file(base(SIZE.sd, text=False), folder / "no-text.safetensors")
        told = init(recipe="captioned.toml", base="no-text.safetensors")
        assert told.code == 1
        assert "it has no cond_stage_model.*" in told.err


class TestTowers:
    def test_another_file(self, init, folder):
        told = init("--tower", folder / "sd.ckpt")
        assert told.code == 1
        assert "is neither CLIP's RN50 nor DA-CLIP" in told.err

    def test_of_another_size(self, init, folder):
        wide = small.weights(official.clip_resnet(official.Official(clip=16)))
        save_file({f"visual.{n}": t for n, t in wide.items()}, folder / "wide.safetensors")
        told = init("--tower", folder / "wide.safetensors")
        assert told.code == 1
        assert "wide.safetensors does not fit the recipe" in told.err


def test_a_recipe_that_stands_on_no_base(diffir, tmp_path):
    told = diffir("init", "moe-diffir-tiny", "-o", tmp_path / "x.safetensors")
    assert told.code == 1
    assert "stands on no base" in told.err


def test_offline(diffir, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "cache"))
    told = diffir(
        "init", "moe-diffir-sd21", "--base", "nobody/nothing", "--offline",
        "-o", tmp_path / "x.safetensors",
    )  # fmt: skip
    assert told.code == 1
    assert "'nobody/nothing' could not be had (offline: nothing is fetched)" in told.err
    assert "hint: Download unet/diffusion_pytorch_model.safetensors" in told.err
