"""At the published size, by names and shapes alone.

No name of a checkpoint is overlooked, and every parameter of the model gets its tensor.
"""

from __future__ import annotations

from collections import Counter

import ldm_layout as ldm
import official_layout as official
import pytest
import torch

from diffir.convert.clip_towers import resnet_tower_name, vit_tower_name
from diffir.convert.conversion import shapes_of
from diffir.convert.official import decoder_name, diffusion_name
from diffir.convert.prompt_pyramid import with_whole_gates
from diffir.convert.variants import facts_of, fitting
from diffir.host.manager import default_host
from diffir.recipes.recipe import load_recipe
from diffir.weights.placing import Dropped, place

HOST = default_host()
SIZE = official.Official()


def placed(**variant):
    """The placement of a diffusion checkpoint of that variant with the decoder checkpoint."""
    stored = ldm.meta_tensors(official.diffusion(SIZE, **variant))
    facts = facts_of(stored)
    wanted = shapes_of(fitting(load_recipe("moe-diffir-sd21-official", HOST), facts), HOST)
    stored = with_whole_gates(stored)
    decoder = ldm.meta_tensors(official.decoder(SIZE, prompts=True))
    names = {n: diffusion_name(n) for n in stored if not n.startswith("first_stage_model.")}
    names |= {f"decoder: {n}": decoder_name(n) for n in decoder}
    sources = stored | {f"decoder: {n}": t for n, t in decoder.items()}
    return place({n: sources[n] for n in names}, names.get, wanted), wanted


@pytest.mark.parametrize(
    "variant",
    [
        {"v2t": False, "prior": False},
        {"prior": False},
        {},
        {"v2t": False, "prior": False, "prompts": "single"},
        {"v2t": False, "prior": False, "prompts": "multiple"},
    ],
    ids=["prompts", "v2t", "v2t and da-clip", "single prompt", "multiple prompts"],
)
def test_every_name_and_every_parameter(variant):
    placement, wanted = placed(**variant)
    computed = {"conditioner.tokens"} & set(wanted)
    assert set(placement.missing) == computed
    assert not placement.unexpected
    assert not placement.misshapen
    assert {n: tuple(t.shape) for n, t in placement.tensors.items()} == {
        name: shape for name, shape in wanted.items() if name not in computed
    }


def test_what_is_dropped_is_told():
    placement, _ = placed()
    reasons = Counter(placement.dropped.values())
    assert reasons["the noise schedule; the sampler has its own"] == 3
    assert {name for name, why in placement.dropped.items() if why == "losses of training"} == {
        "decoder: loss.logvar",
        "decoder: loss.perceptual_loss.lin0.model.1.weight",
        "decoder: loss.discriminator.main.0.weight",
        "decoder: loss.discriminator.main.0.bias",
    }
    dropped = {name.removeprefix("structcond_stage_model.") for name in placement.dropped}
    assert "DACLIP_model.visual.conv1.weight" in dropped
    assert "DACLIP_model.visual_control.transformer.zero_modules.11.bias" in dropped
    assert not any("spade" in name for name in dropped)


def test_the_halves_of_the_prior_are_the_published_size():
    placement, _ = placed()
    numbers = Counter()
    for name, tensor in placement.tensors.items():
        numbers[".".join(name.split(".")[:2])] += tensor.numel()
    assert numbers["denoiser.unet"] == 865_910_724
    assert numbers["denoiser.injections"] == pytest.approx(31.16e6, rel=1e-3)
    assert numbers["decoder.fusions"] == pytest.approx(44.39e6, rel=1e-3)
    assert numbers["conditioner.enhancer"] == pytest.approx(3.23e6, rel=2e-3)


def test_clip_resnet_is_where_timm_puts_it():
    from timm.models.byobnet import _convert_openai_clip

    with torch.device("meta"):
        import timm

        model = timm.create_model("resnet50_clip", num_classes=0)
    stored = ldm.meta_tensors(official.clip_resnet(SIZE))
    theirs = _convert_openai_clip({f"visual.{n}": t for n, t in stored.items()}, model)
    for name, tensor in stored.items():
        target = resnet_tower_name(name)
        assert theirs[target] is tensor if isinstance(target, str) else "attnpool" in name


def test_clip_vit_is_where_timm_puts_it():
    from timm.models.vision_transformer import _convert_openai_clip

    stored = ldm.meta_tensors(official.clip_vit(SIZE, control=False))
    theirs = _convert_openai_clip({f"visual.{n}": t for n, t in stored.items()}, None)
    for name, tensor in stored.items():
        target = vit_tower_name(name)
        if isinstance(target, Dropped):
            assert name in ("proj", "ln_post.weight", "ln_post.bias")
        else:
            assert theirs[target].numel() == tensor.numel()
            assert theirs[target] is tensor or name.endswith("embedding")


@pytest.mark.parametrize(
    "name",
    [
        "model.diffusion_model.input_blocks.1.0.spade.mlp_gamma.weight.more",
        "structcond_stage_model.blocks5.0.norm1.weight",
        "structcond_stage_model.Prompt_model1.bias",
        "structcond_stage_model.Prompt_model1.f_gate.3.0.weight",
        "cond_stage_model.layer5.0.conv1.weight",
        "transformer_encoder.3.norm1.body.weight",
        "transformer_encoder.1.attn.qkv.bias",
        "first_stage_model.decoder.fusion_layer_1.encode_enc_1.norm1.weight",
        "something.else",
    ],
)
def test_names_that_nothing_has(name):
    assert diffusion_name(name) is None


@pytest.mark.parametrize("name", ["decoder.fusion_layer_3.encode_enc_1.norm1.weight", "else"])
def test_names_that_no_decoder_has(name):
    assert decoder_name(name) is None


@pytest.mark.parametrize("numbers", [[0, 2], [1, 2]])
def test_gates_with_a_gap_are_left_as_they_are(numbers):
    gates = {f"a.Prompt_model1.f_gate.{n}.0.weight": torch.ones(14, 4) for n in numbers}
    assert with_whole_gates(gates).keys() == gates.keys()
