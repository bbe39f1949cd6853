from __future__ import annotations

import pytest
import torch

from diffir.contracts.codec import CodecInfo

JPEG = CodecInfo(name="jpeg", severity=0.9)
BLIND = CodecInfo.unknown()


@pytest.fixture(scope="module")
def model(build_model):
    return build_model()


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def run(model, images, codecs, **options):
    return model(images, codecs, **options)


def test_what_comes_out(model, images):
    decoded, routing = run(model, images, [JPEG, BLIND, BLIND])
    assert decoded.faithful.shape == decoded.rich.shape == images.shape
    assert [tuple(p.shape) for p in routing.prompts] == [
        (3, 8, 8, 12),
        (3, 8, 4, 6),
        (3, 8, 2, 3),
    ]
    assert routing.weights.shape == (3, 7)


def test_a_batch_is_its_pictures_one_by_one(model, images):
    codecs = [JPEG, BLIND, CodecInfo(name="webp", severity=0.1)]
    together, _ = run(model, images, codecs)
    for index, codec in enumerate(codecs):
        alone, _ = run(model, images[index : index + 1], [codec])
        torch.testing.assert_close(alone.rich[0], together.rich[index], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.faithful[0], together.faithful[index], atol=1e-5, rtol=0)


def test_what_the_codec_was_changes_the_result(model, images):
    heavy, _ = run(model, images[:1], [JPEG])
    light, _ = run(model, images[:1], [CodecInfo(name="jpeg", severity=0.0)])
    assert not torch.equal(heavy.rich, light.rich)


def test_many_steps_depend_on_the_seed_alone(model, images):
    def sample(seed):
        noise = torch.Generator().manual_seed(seed)
        return run(model, images[:1], [JPEG], steps=3, generator=noise)[0].rich

    assert torch.equal(sample(0), sample(0))
    assert not torch.equal(sample(0), sample(1))


def test_sides_are_multiples_of_what_the_coarsest_level_needs(model):
    assert model.multiple == 32
