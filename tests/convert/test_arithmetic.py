"""A converted model computes what the description of the published one says, part by part."""

from __future__ import annotations

import published_arithmetic as published
import pytest
import small_checkpoints as small
import torch
from published_arithmetic import below

from diffir.contracts.codec import CodecInfo
from diffir.contracts.interfaces import Encoded, Routing
from diffir.convert.conversion import convert
from diffir.host.manager import default_host
from diffir.restore.checkpoint import load_checkpoint

TASK = 1
"""JPEG at quality 15, the second of the published tasks."""
CODECS = [CodecInfo(name="jpeg", quality=15)] * 2


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.fixture(scope="module")
def stored():
    return small.diffusion(), small.decoder()


@pytest.fixture(scope="module")
def model(stored, tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")
    paths = [small.saved(t, folder / f"{i}.ckpt") for i, t in enumerate(stored)]
    conversion = convert(paths, default_host(), recipe=small.recipe())
    conversion.write(folder / "x.safetensors", dtype=torch.float32)
    return load_checkpoint(folder / "x.safetensors", default_host())[0]


@pytest.fixture(scope="module")
def autoencoder(stored):
    """The decoder checkpoint's: the published test encodes and decodes with it."""
    return stored[1]


@pytest.fixture(scope="module")
def image():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def latent():
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(4))


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def test_encoder(model, autoencoder, image):
    encoded = model.encoder.encode(image)
    expected, kept = published.encode(autoencoder, 2 * image - 1)
    close(encoded.latent, expected)
    for feature, level in zip(encoded.features, (1, 2), strict=True):
        close(feature, kept[level])


def test_decoder_and_compensator(model, autoencoder, image, latent):
    _, kept = published.encode(autoencoder, 2 * image - 1)
    encoded = Encoded(image, latent, (kept[1], kept[2]))
    decoded = model.decoder.decode(latent, encoded, Routing((), torch.ones(2, 1)))
    close(2 * decoded.faithful - 1, published.decode(autoencoder, latent, kept))
    close(2 * model.decoder.reconstruct(latent) - 1, published.decode(autoencoder, latent, {}))


def test_unet_and_injections(model, stored, latent):
    random = torch.Generator().manual_seed(5)
    maps = [torch.randn(2, small.SIZE.width, s, s, generator=random) for s in (8, 4, 2, 1)]
    context = torch.randn(2, 98, small.SIZE.sd.context, generator=random)
    timesteps = torch.tensor([999, 40])
    weights = below(stored[0], "model.diffusion_model.")
    expected = published.unet(weights, latent, timesteps, maps, context)
    close(model.denoiser(latent, timesteps, maps, context), expected)


def test_pyramid_prompts_and_degradation_prior(model, stored, image, latent):
    weights = below(stored[0], "structcond_stage_model.")
    tower = below(weights, "DACLIP_model.visual_control.")
    tokens = published.degradation_tokens(tower, 2 * image - 1, heads=2)
    close(model.router.prior(image), tokens)
    expected = published.pyramid(weights, latent, task=TASK, keep=3, heads=2, degradation=tokens)
    routing = model.router.route_image(image, latent, CODECS)
    for found, wanted in zip(routing.prompts, expected, strict=True):
        close(found, wanted)


@pytest.mark.parametrize("prompts", ["single", "multiple"])
def test_ablations(prompts, stored, latent, tmp_path):
    """The published code has no path without prompts; ours is in tests/moe/test_pyramid.py."""
    diffusion = small.diffusion(v2t=False, prior=False, prompts=prompts)
    paths = [small.saved(t, tmp_path / f"{i}.ckpt") for i, t in enumerate((diffusion, stored[1]))]
    conversion = convert(paths, default_host(), recipe=small.recipe())
    conversion.write(tmp_path / "x.safetensors", dtype=torch.float32)
    model = load_checkpoint(tmp_path / "x.safetensors", default_host())[0]
    weights = below(diffusion, "structcond_stage_model.")
    expected = published.pyramid(weights, latent, task=TASK, keep=3, heads=2, degradation=None)
    for found, wanted in zip(model.router.route(latent, CODECS).prompts, expected, strict=True):
        close(found, wanted)


def test_enhancer(model, stored, latent):
    close(model.conditioner.enhancer(latent), published.enhance(stored[0], latent))


def test_visual_to_text(model, stored, autoencoder, image, latent):
    weights = below(stored[0], "cond_stage_model.")
    seen = published.decode(autoencoder, published.enhance(stored[0], latent), {}).clamp(-1, 1)
    features = published.clip_resnet(weights, published.to_tower(seen))
    close(model.conditioner.condition(image, latent), published.adapt(weights, features))
