from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL

from diffir.contracts.interfaces import Routing
from diffir.diffusion.kl_encoder import KLEncoder
from diffir.moe.kl_decoder import KLDecoder

SMALL = {"widths": (8, 16, 24, 24), "blocks": 2, "latent_channels": 4, "groups": 4}
NONE = Routing((), torch.zeros(1, 1))


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def theirs():
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=SMALL["widths"],
        layers_per_block=2,
        norm_num_groups=4,
    )
    return model.eval()


def ours(part, theirs, **options):
    """A half of the autoencoder with the weights of diffusers' one."""
    module = part(**SMALL, **options).eval()
    state = theirs.state_dict()
    own = module.state_dict()
    module.load_state_dict({name: state.get(name, own[name]) for name in own})
    return module


def image(height=32, width=48):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_the_latent_is_that_of_diffusers(theirs):
    posterior = theirs.encode(2 * image() - 1).latent_dist
    encoded = ours(KLEncoder, theirs).encode(image())
    torch.testing.assert_close(encoded.latent, 0.18215 * posterior.mean, rtol=0, atol=1e-6)


def test_a_drawn_latent_has_the_posteriors_deviation(theirs):
    torch.nn.init.constant_(theirs.quant_conv.bias[4:], 1.0)
    pixels = image()[:1].repeat(400, 1, 1, 1)[..., :8, :8]
    posterior = theirs.encode(2 * pixels - 1).latent_dist
    latent = ours(KLEncoder, theirs, sample=True).train().encode(pixels).latent
    spread = (latent / 0.18215 - posterior.mean).std(dim=0)
    torch.testing.assert_close(spread, posterior.std[0], rtol=0.2, atol=0)


def test_in_use_the_same_picture_gets_the_same_latent(theirs):
    torch.nn.init.constant_(theirs.quant_conv.bias[4:], 1.0)
    encoder = ours(KLEncoder, theirs, sample=True).eval()
    state = torch.random.get_rng_state()
    both = encoder.encode(image()[:1].repeat(2, 1, 1, 1)).latent
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.testing.assert_close(both[0], both[1])
    mean = ours(KLEncoder, theirs).encode(image()).latent
    assert (both[0] - mean[0]).abs().max() > 0.1


def test_features_are_taken_before_the_downsamplers(theirs):
    seen = {}
    for level in (1, 2):
        block = theirs.encoder.down_blocks[level]
        block.downsamplers[0].register_forward_pre_hook(
            lambda _, inputs, level=level: seen.__setitem__(level, inputs[0])
        )
    theirs.encode(2 * image() - 1)
    features = ours(KLEncoder, theirs).encode(image()).features
    assert [tuple(f.shape[1:]) for f in features] == [(16, 16, 24), (24, 8, 12)]
    for level, feature in zip((1, 2), features, strict=True):
        torch.testing.assert_close(feature, seen[level], rtol=0, atol=1e-6)


def test_sides_are_multiples_of_the_grid(theirs):
    assert KLEncoder(**SMALL).grid == 8
    with pytest.raises(ValueError, match=r"sides must be multiples of 8, got \(2, 3, 32, 44"):
        KLEncoder(**SMALL).encode(image(32, 44))


def test_the_plain_decoder_is_that_of_diffusers(theirs):
    encoder, decoder = ours(KLEncoder, theirs), ours(KLDecoder, theirs, growth=4)
    encoded = encoder.encode(image())
    expected = theirs.decode(encoded.latent / 0.18215).sample
    torch.testing.assert_close(
        2 * decoder.reconstruct(encoded.latent) - 1, expected, rtol=0, atol=1e-5
    )
    decoder.weight = 0.0
    decoded = decoder.decode(encoded.latent, encoded, NONE)
    assert torch.equal(decoded.rich, decoder.reconstruct(encoded.latent))


def test_the_compensator_is_added_before_the_upsamplers(theirs):
    encoder, decoder = ours(KLEncoder, theirs), ours(KLDecoder, theirs, growth=4)
    encoded = encoder.encode(image())
    with torch.no_grad():
        expected = {}

        def add(place, feature):
            def hook(_, inputs):
                x = inputs[0]
                expected[place] = decoder.fusions[feature](encoded.features[feature], x)
                return (x + 0.7 * expected[place],)

            return hook

        for place, feature in ((1, 1), (2, 0)):
            upsampler = theirs.decoder.up_blocks[place].upsamplers[0]
            upsampler.register_forward_pre_hook(add(place, feature))
        reference = theirs.decode(encoded.latent / 0.18215).sample
        decoder.weight = 0.7
        decoded = decoder.decode(encoded.latent, encoded, NONE)
    assert set(expected) == {1, 2}
    torch.testing.assert_close(2 * decoded.faithful - 1, reference, rtol=0, atol=1e-5)
    assert decoded.faithful is decoded.rich


@pytest.mark.parametrize("checkpointing", [False, True])
def test_only_the_compensator_learns(theirs, checkpointing):
    encoder, decoder = ours(KLEncoder, theirs), ours(KLDecoder, theirs, growth=4)
    decoder.checkpointing = checkpointing
    decoder.requires_grad_(False)
    for parameter in decoder.learned_parameters():
        parameter.requires_grad_()
    encoded = encoder.encode(image())
    decoder.decode(encoded.latent.detach(), encoded, NONE).rich.square().mean().backward()
    named = dict(decoder.named_parameters())
    assert {n for n, p in named.items() if p.grad is not None} == {
        n for n in named if n.startswith("fusions.")
    }
