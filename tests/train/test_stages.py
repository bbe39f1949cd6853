from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from diffir.contracts.codec import CodecInfo
from diffir.diffusion.layers import CrossAttention
from diffir.diffusion.prompt_injection import PromptInjection
from diffir.errors import CheckpointError, RecipeError
from diffir.host.manager import default_host
from diffir.recipes.recipe import parse_recipe
from diffir.restore.assemble import assemble
from diffir.train.pairs import Batch
from diffir.train.patch_discriminator import PatchDiscriminator
from diffir.train.rich_stage import ADVERSARIAL_FROM
from diffir.train.stages import find_stage

JPEG = CodecInfo(name="jpeg", severity=0.9)

EXPERTS = [f"trunk.levels.2.0.{part}" for part in ("conv1.experts", "conv2.experts", "gate")]
PREFIXES = {
    "autoencoder": ("encoder.", "decoder."),
    "prior": ("denoiser.",),
    "prompts": ("router.", "conditioner."),
    "degradation": ("router.",),
    "compensator": ("encoder.", "decoder.", "router."),
    "faithful": ("",),
    "kernels": tuple(f"decoder.{part}" for part in EXPERTS),
    "rich": ("decoder.detail.",),
}

LOOKING = "router.degradation_encoder"
UNREACHED = {
    "autoencoder": {
        f"decoder.{part}" for part in ("fusions", "faithful_head", "detail", "prompts", *EXPERTS)
    },
    "degradation": {
        f"router.{part}" for part in ("stem", "blocks", "norms", "pools", "downs", "prior")
    },
    "prompts": {LOOKING},
    "compensator": {"decoder.latent_head", "decoder.detail", "router.pools", LOOKING},
    "faithful": {"decoder.latent_head", "decoder.detail", LOOKING},
}
"""What a stage trains in name only: its loss does not ask for these heads."""


@pytest.fixture
def batch():
    clean, degraded = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return Batch(clean, degraded, (JPEG, JPEG), (JPEG, CodecInfo.unknown()))


@pytest.fixture
def model(build_model):
    return build_model().train()


def place(name: str) -> str:
    """The part of a model that a parameter is of."""
    experts = [f"decoder.{part}" for part in EXPERTS if name.startswith(f"decoder.{part}")]
    return experts[0] if experts else re.sub(r"^(\w+\.\w+).*", r"\1", name)


def learned_names(stage, model) -> set[str]:
    learned = {id(p) for p in stage.parameters(model)}
    return {name for name, p in model.named_parameters() if id(p) in learned}


def expected_names(name, model) -> set[str]:
    names = {n for n, _ in model.named_parameters() if n.startswith(PREFIXES[name])}
    if name == "prompts":
        for place, module in model.denoiser.named_modules():
            if isinstance(module, (PromptInjection, CrossAttention)):
                names |= {f"denoiser.{place}.{n}" for n, _ in module.named_parameters()}
    return names


@pytest.mark.parametrize("name", PREFIXES)  # the others need a prior that is frozen
@pytest.mark.usefixtures("lpips")
class TestEachStage:
    def test_what_trains(self, name, model):
        stage = find_stage(name)()
        assert learned_names(stage, model) == expected_names(name, model)
        parameters = list(stage.parameters(model))
        assert len(parameters) == len({id(p) for p in parameters})

    @pytest.mark.parametrize("step", [0, 1, ADVERSARIAL_FROM])
    def test_the_loss_reaches_that_and_nothing_else(self, name, model, batch, step):
        stage = find_stage(name)()
        model.requires_grad_(False)
        for parameter in stage.parameters(model):
            parameter.requires_grad_()
        torch.manual_seed(0)
        loss, restored = stage.loss(model, batch, step)
        assert loss.isfinite()
        assert restored.shape[0] == 2
        loss.backward()
        reached = {n for n, p in model.named_parameters() if p.grad is not None}
        learned = learned_names(stage, model)
        assert reached <= learned
        left = {place(n) for n in learned - reached}
        assert left == UNREACHED.get(name, set())


def test_a_picture_is_reconstructed_clean_and_degraded_in_turn(model, batch):
    stage = find_stage("autoencoder")()
    same = replace(batch, degraded=batch.clean)
    assert stage.loss(model, batch, 0)[0] == stage.loss(model, same, 0)[0]
    assert stage.loss(model, batch, 1)[0] != stage.loss(model, same, 1)[0]


def test_the_prior_sees_no_prompts(model, batch):
    stage = find_stage("prior")()

    def loss(told):
        torch.manual_seed(0)
        return stage.loss(model, replace(batch, told=told), 0)[0]

    assert loss((JPEG, JPEG)) == loss((CodecInfo.unknown(),) * 2)


def test_a_router_that_cannot_learn_to_see(model, batch, monkeypatch):
    monkeypatch.delattr("diffir.moe.router.MoERouter.auxiliary_loss")
    with pytest.raises(RecipeError, match="MoERouter cannot learn to see degradations") as caught:
        find_stage("degradation")().loss(model, batch, 0)
    assert "auxiliary_loss(image, codecs)" in caught.value.hint


class OneTrunk(torch.nn.Module):
    """A decoder that can neither leave out the rich estimate nor say what is its alone."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def decode(self, latent, encoded, routing):
        return self.inner.decode(latent, encoded, routing)


@pytest.mark.parametrize("name", ["faithful", "rich"])
@pytest.mark.usefixtures("lpips")
def test_a_decoder_of_one_trunk_trains_too(name, model, batch):
    model.decoder = OneTrunk(model.decoder)
    stage = find_stage(name)()
    for parameter in stage.parameters(model):
        parameter.requires_grad_()
    stage.loss(model, batch, 0)[0].backward()
    head = model.decoder.inner.faithful_head.weight
    assert head.grad is not None  # and the rich stage keeps charging for its error


def test_a_decoder_without_reconstruct_cannot_train_the_autoencoder(model, batch):
    model.decoder = torch.nn.Identity()
    with pytest.raises(RecipeError, match="Identity cannot decode from the latent alone"):
        find_stage("autoencoder")().loss(model, batch, 0)


@pytest.mark.parametrize("options", [{"kernel_experts": 0}, None])
def test_without_expert_kernels_there_are_none_to_train(options, tiny_recipe, model):
    if options is None:
        model.decoder = torch.nn.Identity()
    else:
        text = tiny_recipe.text.replace("kernel_experts = 2", "kernel_experts = 0")
        model = assemble(parse_recipe(text, origin="plain.toml"), default_host())
    with pytest.raises(RecipeError, match="has no expert kernels here") as caught:
        find_stage("kernels").check(model)
    assert "kernel_experts" in str(caught.value.hint)


def test_a_stage_that_is_not_there():
    with pytest.raises(RecipeError, match="no training stage 'poor'") as caught:
        find_stage("poor")
    assert "autoencoder, prior" in caught.value.hint


def test_the_rich_stage_wants_the_weights_of_lpips(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="the weights of lpips-alex are not at"):
        find_stage("rich")()


class TestCritic:
    def test_scores_and_losses(self):
        torch.manual_seed(0)
        critic = PatchDiscriminator()
        degraded, clean, restored = torch.rand(3, 2, 3, 32, 40)
        restored.requires_grad_()
        assert critic(degraded, clean).shape == (2, 1, 4, 5)
        critic.loss(degraded, clean, restored).backward()
        assert restored.grad is None
        critic.generator_loss(degraded, restored).backward()
        assert restored.grad.abs().sum() > 0

    def test_it_learns_to_tell(self):
        torch.manual_seed(0)
        critic = PatchDiscriminator(width=8)
        degraded, clean = torch.rand(2, 4, 3, 32, 32)
        restored = clean * 0.5
        optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
        for _ in range(10):
            optimizer.zero_grad()
            loss = critic.loss(degraded, clean, restored)
            loss.backward()
            optimizer.step()
        assert critic(degraded, clean).mean() > critic(degraded, restored).mean() + 0.5
