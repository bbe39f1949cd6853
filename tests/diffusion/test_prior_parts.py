from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.diffusion.autoencoder import GRID, DecoderLevels, Encoder
from diffir.diffusion.layers import (
    ChannelNorm,
    CrossAttention,
    ResidualBlock,
    timestep_embedding,
    upsample,
)
from diffir.diffusion.prompt_injection import PromptInjection
from diffir.diffusion.unet import UNet, UNetBlock

SIDES = st.integers(1, 11)


@pytest.fixture(scope="module", autouse=True)
def _seeded_weights():
    """Of the fixtures below, which are made before any test's own seed is set."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="module")
def encoder():
    return Encoder(widths=[8, 12, 16], blocks=1, latent_channels=4)


@pytest.fixture(scope="module")
def unet():
    return UNet(latent_channels=4, widths=[8, 12, 16], blocks=2, prompt_width=8, context_width=6)


def unet_inputs(height: int, width: int, batch: int = 2):
    latent = torch.randn(batch, 4, height, width)
    prompts = [torch.randn(batch, 8, height >> level, width >> level) for level in range(3)]
    return latent, torch.randint(1000, (batch,)), prompts, torch.randn(batch, 5, 6)


class TestEncoder:
    @given(rows=SIDES, columns=SIDES)
    @settings(max_examples=10, deadline=None)
    def test_shapes(self, encoder, rows, columns):
        image = torch.rand(2, 3, GRID * rows, GRID * columns)
        encoded = encoder.encode(image)
        assert encoded.image is image
        assert encoded.latent.shape == (2, 4, rows, columns)
        assert [tuple(f.shape) for f in encoded.features] == [
            (2, width, rows * k, columns * k) for width, k in ((8, 4), (12, 2), (16, 1))
        ]

    def test_the_latent_has_unit_root_mean_square_at_each_position(self, encoder):
        latent = encoder.encode(torch.rand(2, 3, 40, 56)).latent
        squares = latent.pow(2).mean(dim=1)
        torch.testing.assert_close(squares, torch.ones(2, 5, 7), atol=1e-3, rtol=0)

    @pytest.mark.parametrize("size", [(8, 9), (12, 8), (1, 1)])
    def test_other_sides_are_refused(self, encoder, size):
        with pytest.raises(ValueError, match=rf"multiples of 8, got \(1, 3, {size[0]}, {size[1]}"):
            encoder.encode(torch.rand(1, 3, *size))


def test_decoder_levels_mirror_the_encoder():
    levels = DecoderLevels(widths=[8, 12, 16], blocks=1, latent_channels=4)
    x = levels.levels[0](levels.from_latent(torch.rand(1, 4, 3, 5)))
    for up, level in zip(levels.ups, list(levels.levels)[1:], strict=True):
        x = level(up(x))
    assert x.shape == (1, 8, 12, 20)


def test_blocks_of_the_decoder_go_with_the_widths():
    levels = DecoderLevels(widths=[8, 12, 16], blocks=[3, 2, 1], latent_channels=4)
    assert [len(level) for level in levels.levels] == [1, 2, 3]  # coarsest first
    with pytest.raises(ValueError, match="expected one per width, 3, got 2"):
        DecoderLevels(widths=[8, 12, 16], blocks=[3, 2], latent_channels=4)


class TestUNet:
    @given(rows=st.integers(1, 4), columns=st.integers(1, 4))
    @settings(max_examples=8, deadline=None)
    def test_v_has_the_shape_of_the_latent(self, unet, rows, columns):
        latent, *rest = unet_inputs(4 * rows, 4 * columns)
        assert unet(latent, *rest).shape == latent.shape

    def test_each_entrance_matters(self, unet):
        for attention in (*unet.down_attentions, *unet.up_attentions):
            torch.nn.init.normal_(attention.to_out.weight)  # it starts at zero
        latent, _, prompts, context = unet_inputs(8, 4, batch=1)
        timesteps = torch.tensor([400])
        before = unet(latent, timesteps, prompts, context)
        for level in range(3):
            other = [p + 1 if i == level else p for i, p in enumerate(prompts)]
            assert not torch.equal(unet(latent, timesteps, other, context), before)
        assert not torch.equal(unet(latent, timesteps, prompts, context + 1), before)
        assert not torch.equal(unet(latent, timesteps + 1, prompts, context), before)

    def test_a_block_that_injects_wants_a_prompt(self):
        block = UNetBlock(4, 4, time_width=4, prompt_width=3)
        with pytest.raises(ValueError, match="injects a prompt, but none was given"):
            block(torch.rand(1, 4, 2, 2), torch.rand(1, 4))


class TestLayers:
    def test_channel_norm_looks_at_one_position(self):
        x = torch.randn(1, 6, 4, 5)
        cut = ChannelNorm(6)(x[..., 1:3, 2:4])
        torch.testing.assert_close(ChannelNorm(6)(x)[..., 1:3, 2:4], cut)

    def test_a_residual_block_starts_near_the_identity(self):
        x = torch.randn(1, 8, 5, 3)
        assert (ResidualBlock(8)(x) - x).std() < 0.2 * x.std()

    def test_cross_attention_starts_as_the_identity_and_serves_any_grid(self):
        attention = CrossAttention(8, context_width=6)
        torch.nn.init.zeros_(attention.to_out.bias)
        x = torch.randn(2, 8, 3, 5)
        torch.testing.assert_close(attention(x, torch.randn(2, 7, 6)), x)

    def test_context_tokens_have_no_order(self):
        attention = CrossAttention(8, context_width=6)
        torch.nn.init.normal_(attention.to_out.weight)
        x, context = torch.randn(1, 8, 3, 5), torch.randn(1, 7, 6)
        torch.testing.assert_close(attention(x, context), attention(x, context.flip(1)))

    def test_upsample_doubles(self):
        assert upsample(8, 3)(torch.rand(1, 8, 3, 5)).shape == (1, 3, 6, 10)

    def test_prompts_that_say_nothing_leave_the_normed_map(self):
        injection = PromptInjection(8, prompt_width=4)
        for tensor in (injection.to_scale_shift.weight, injection.to_scale_shift.bias):
            torch.nn.init.zeros_(tensor)
        x = torch.randn(1, 8, 3, 5)
        torch.testing.assert_close(injection(x, torch.randn(1, 4, 3, 5)), injection.norm(x))

    def test_timesteps_are_told_apart(self):
        embedding = timestep_embedding(torch.arange(1000), 8)
        assert embedding.shape == (1000, 8)
        assert torch.cdist(embedding, embedding).fill_diagonal_(1).min() > 1e-3
        torch.testing.assert_close(embedding[0], torch.tensor([1.0] * 4 + [0.0] * 4))
