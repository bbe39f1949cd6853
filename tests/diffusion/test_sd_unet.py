from __future__ import annotations

import copy

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D

from diffir.diffusion.sd_unet import PromptedUNet
from diffir.diffusion.spade import Spade

SMALL = {
    "latent_channels": 4,
    "widths": (8, 16, 24, 24),
    "blocks": 2,
    "head_width": 8,
    "prompt_width": 6,
    "context_width": 12,
    "groups": 4,
    "hidden": 5,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def unet(**options) -> PromptedUNet:
    return PromptedUNet(**{**SMALL, **options}).eval()


def inputs(height=16, width=8, batch=2):
    latent = torch.randn(batch, 4, height, width, generator=generator())
    prompts = [
        torch.randn(batch, 6, height >> level, width >> level, generator=generator(level))
        for level in range(4)
    ]
    context = torch.randn(batch, 5, 12, generator=generator(9))
    return latent, torch.tensor([3, 800][:batch]), prompts, context


def test_without_a_site_it_is_the_network_of_diffusers():
    model, (latent, timesteps, prompts, context) = unet(sites=()), inputs()
    ours = model(latent, timesteps, prompts, context)
    theirs = model.unet(latent, timesteps, encoder_hidden_states=context).sample
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_its_layout_is_that_of_stable_diffusion():
    # The published configuration of stable-diffusion-2-1-base, where it differs from the defaults.
    with torch.device("meta"):
        theirs = UNet2DConditionModel(
            cross_attention_dim=1024,
            attention_head_dim=[5, 10, 20, 20],
            use_linear_projection=True,
            sample_size=64,
        )
        ours = PromptedUNet(
            latent_channels=4,
            widths=(320, 640, 1280, 1280),
            blocks=2,
            head_width=64,
            prompt_width=256,
            context_width=1024,
        )
    expected = {name: value.shape for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in ours.unet.state_dict().items()} == expected


def test_heads_by_number_are_those_of_the_first_stable_diffusion():
    """1.x has 8 heads at every level, and 1x1 convolutions where 2.x has matrices."""
    theirs = UNet2DConditionModel(
        block_out_channels=(8, 16, 24, 24),
        attention_head_dim=4,  # their name for the number of heads
        cross_attention_dim=12,
        norm_num_groups=4,
    ).eval()
    ours = PromptedUNet(**{**SMALL, "head_width": None, "heads": 4, "sites": ()}).eval()
    weights = {
        name: value.reshape(ours.unet.state_dict()[name].shape)
        for name, value in theirs.state_dict().items()
    }
    ours.unet.load_state_dict(weights)
    latent, timesteps, prompts, context = inputs()
    expected = theirs(latent, timesteps, encoder_hidden_states=context).sample
    found = ours(latent, timesteps, prompts, context)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    by_width = unet(sites=())
    by_width.unet.load_state_dict(weights)
    assert not torch.allclose(by_width(latent, timesteps, prompts, context), expected, atol=1e-3)


@pytest.mark.parametrize("options", [{"head_width": None}, {"heads": 4}])
def test_heads_are_told_once(options):
    with pytest.raises(ValueError, match="expected heads or head_width"):
        unet(**options)


SITES = {
    (): set(),
    ("mid.0",): {"mid_0"},
    ("mid.1",): {"mid_1"},
    ("up",): {f"up_{i}_{j}" for i in range(4) for j in range(3)},
    ("down",): {f"down_{i}_{j}" for i in range(4) for j in range(2)},
}


@pytest.mark.parametrize("sites", SITES)
def test_where_prompts_act(sites):
    assert set(unet(sites=sites).injections) == SITES[sites]


def test_by_default_in_the_first_middle_block_and_all_the_way_up():
    assert set(unet().injections) == SITES["mid.0",] | SITES["up",]


@pytest.mark.parametrize("sites", [("mid.0", "up"), ("down", "mid.0", "mid.1", "up")])
def test_every_site_and_every_level_matters(sites):
    model, (latent, timesteps, prompts, context) = unet(sites=sites), inputs()
    before = model(latent, timesteps, prompts, context)
    for level in range(4):
        changed = [p + 1 if index == level else p for index, p in enumerate(prompts)]
        assert not torch.equal(model(latent, timesteps, changed, context), before), level
    for name in model.injections:
        other = copy.deepcopy(model)
        torch.nn.init.normal_(other.injections[name].beta.bias)
        assert not torch.equal(other(latent, timesteps, prompts, context), before), name


def test_a_site_acts_between_the_second_convolution_and_the_skip():
    block = ResnetBlock2D(in_channels=16, out_channels=8, temb_channels=12, groups=4).eval()
    model = unet(sites=("mid.0",))
    spade = model.injections["mid_0"] = Spade(8, prompt_width=6, hidden=5, groups=4)
    x, time = torch.randn(2, 16, 4, 4), torch.randn(2, 12)
    maps = spade.maps(torch.randn(2, 6, 4, 4))
    found = model._residual(block, x, time, maps, "mid_0")
    skip = block.conv_shortcut(x)
    branch = block(x, time) - skip
    torch.testing.assert_close(found, skip + spade(branch, maps), rtol=1e-4, atol=1e-5)


def test_what_a_site_computes():
    spade = Spade(8, prompt_width=6, hidden=5, groups=4)
    torch.nn.init.normal_(spade.norm.weight)
    x, prompt = torch.randn(2, 8, 3, 5), torch.randn(2, 6, 3, 5)
    grouped = x.reshape(2, 4, 2, 3, 5)
    mean, variance = grouped.mean((2, 3, 4), keepdim=True), grouped.var((2, 3, 4), correction=0)
    normed = ((grouped - mean) / (variance[:, :, None, None, None] + 1e-5).sqrt()).reshape(x.shape)
    normed = normed * spade.norm.weight[:, None, None] + spade.norm.bias[:, None, None]
    hidden = spade.shared(prompt).relu()
    expected = normed * (1 + spade.gamma(hidden)) + spade.beta(hidden)
    torch.testing.assert_close(spade(x, spade.maps(prompt)), expected, rtol=1e-4, atol=1e-5)


def test_prompts_that_were_prepared_give_the_same():
    model, (latent, timesteps, prompts, context) = unet(), inputs()
    prepared = model.prepare(prompts)
    assert model.prepare(prepared) is prepared
    again = model(latent, timesteps, prepared, context)
    assert torch.equal(again, model(latent, timesteps, prompts, context))


def test_prepared_prompts_spare_every_convolution_of_the_sites():
    from torch.utils.flop_counter import FlopCounterMode

    model, (latent, timesteps, prompts, context) = unet(), inputs()
    prepared = model.prepare(prompts)
    with FlopCounterMode(display=False) as bare:
        model.unet(latent, timesteps, encoder_hidden_states=context)
    with FlopCounterMode(display=False) as ours:
        model(latent, timesteps, prepared, context)
    assert ours.get_total_flops() == bare.get_total_flops()


def test_the_way_down_needs_prompts_only_where_it_has_a_site():
    latent, timesteps, prompts, context = inputs()
    model = unet()
    halves = model.climb(model.descend(latent, timesteps, context), prompts, context)
    assert torch.equal(halves, model(latent, timesteps, prompts, context))
    with pytest.raises(ValueError, match="prompts act on the way down here, but none were given"):
        unet(sites=("down",)).descend(latent, timesteps, context)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients(checkpointing):
    latent, timesteps, prompts, context = inputs()
    model = unet()
    model.checkpointing = checkpointing
    model.unet.requires_grad_(False)
    model(latent, timesteps, prompts, context).square().mean().backward()
    learned = dict(model.named_parameters())
    reached = {name for name, parameter in learned.items() if parameter.grad is not None}
    assert reached == {name for name in learned if name.startswith("injections.")}
    assert {id(p) for p in model.steering_parameters()} == {id(learned[name]) for name in reached}


def test_gradients_are_the_same_with_checkpointing():
    latent, timesteps, prompts, context = inputs()
    found = []
    for checkpointing in (False, True):
        model = unet().train()
        model.load_state_dict(found[0][0] if found else model.state_dict())
        model.checkpointing = checkpointing
        model(latent, timesteps, prompts, context).square().mean().backward()
        found.append((model.state_dict(), [p.grad for p in model.parameters()]))
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other)


def test_checkpointing_keeps_less():
    def kept(checkpointing):
        latent, timesteps, prompts, context = inputs(32, 32)
        model, total = unet(), 0
        model.checkpointing = checkpointing

        def count(tensor):
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            model(latent, timesteps, prompts, context)
        return total

    assert kept(True) < 0.5 * kept(False)


@pytest.mark.parametrize("descent_gradients", [False, True])
def test_the_way_down_can_do_without_gradients(descent_gradients):
    latent, timesteps, prompts, context = inputs()
    model = unet(descent_gradients=descent_gradients)
    context.requires_grad_()
    descent = model.descend(latent, timesteps, context)
    assert all(skip.requires_grad is descent_gradients for skip in descent.skips[2:])
    model.climb(descent, prompts, context).sum().backward()
    assert context.grad is not None
    assert all(p.grad is not None for p in model.injections.parameters())


def test_a_site_that_is_not_there():
    with pytest.raises(ValueError, match=r"sites must be of down, mid\.0, mid\.1, up, got mid"):
        unet(sites=("mid",))


def test_half_precision_norms_in_float32():
    spade = Spade(8, prompt_width=6, hidden=5, groups=4)
    x, prompt = 300 * torch.randn(1, 8, 4, 4), torch.randn(1, 6, 4, 4)
    exact = spade(x, spade.maps(prompt))
    half = spade.bfloat16()
    found = half(x.bfloat16(), half.maps(prompt.bfloat16()))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, rtol=0.05, atol=0.05)
