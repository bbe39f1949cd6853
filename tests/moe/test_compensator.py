from __future__ import annotations

import pytest
import torch

from diffir.contracts.interfaces import Encoded
from diffir.moe.compensator import CompensatedDecoder


@pytest.fixture
def decoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CompensatedDecoder(widths=[8, 12, 16], blocks=1, latent_channels=4)


def encoded(rows: int = 3, columns: int = 5) -> Encoded:
    source = torch.Generator().manual_seed(0)

    def maps(channels: int, times: int) -> torch.Tensor:
        return torch.rand(2, channels, rows * times, columns * times, generator=source)

    return Encoded(maps(3, 8), maps(4, 1), (maps(8, 4), maps(12, 2), maps(16, 1)))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 2)])
def test_estimates_have_the_size_of_the_image(decoder, size):
    given = encoded(*size)
    decoded = decoder.decode(given.latent, given)
    assert decoded.faithful.shape == decoded.rich.shape == given.image.shape
    assert decoder.reconstruct(given.latent).shape == given.image.shape


def test_heads_at_zero_give_the_image_back(decoder):
    for head in (decoder.faithful_head, decoder.rich_head):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    given = encoded()
    decoded = decoder.decode(given.latent, given)
    assert torch.equal(decoded.faithful, given.image)
    assert torch.equal(decoded.rich, given.image)


def test_the_rich_estimate_does_not_teach_the_faithful_head(decoder):
    given = encoded()
    decoder.decode(given.latent, given).rich.sum().backward()
    assert decoder.faithful_head.weight.grad is None
    for part in (decoder.rich_head, decoder.rich_blocks, decoder.trunk, decoder.fusions):
        assert all(p.grad is not None for p in part.parameters())


def test_the_faithful_estimate_does_not_teach_the_rich_head(decoder):
    given = encoded()
    decoder.decode(given.latent, given).faithful.sum().backward()
    assert decoder.rich_head.weight.grad is None
    assert all(p.grad is not None for p in decoder.trunk.parameters())


@pytest.mark.parametrize(("index", "fused"), [(0, True), (1, True), (2, False)])
def test_the_finer_feature_maps_are_fused_and_the_coarsest_is_not(decoder, index, fused):
    given = encoded()
    features = list(given.features)
    features[index] = features[index] + 1
    other = decoder.decode(given.latent, Encoded(given.image, given.latent, tuple(features)))
    same = torch.equal(other.faithful, decoder.decode(given.latent, given).faithful)
    assert same is not fused


def test_reconstruction_is_from_the_latent_alone(decoder):
    given = encoded()
    decoder.reconstruct(given.latent).sum().backward()
    assert all(p.grad is None for p in decoder.fusions.parameters())
    assert all(p.grad is not None for p in decoder.trunk.parameters())
