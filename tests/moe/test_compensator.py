from __future__ import annotations

import pytest
import torch

from diffir.contracts.interfaces import Encoded, Routing
from diffir.moe.compensator import CompensatedDecoder
from diffir.moe.gate import NoisyTopK


@pytest.fixture
def decoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = CompensatedDecoder(
            widths=[8, 12, 16], blocks=1, latent_channels=4, degradation_width=6, detail_blocks=1
        )
    return made.eval()  # the gates draw noise while training is on


def encoded(rows: int = 3, columns: int = 5) -> Encoded:
    source = torch.Generator().manual_seed(0)

    def maps(channels: int, times: int) -> torch.Tensor:
        return torch.rand(2, channels, rows * times, columns * times, generator=source)

    return Encoded(maps(3, 8), maps(4, 1), (maps(8, 4), maps(12, 2), maps(16, 1)))


def routing(seed: int = 0) -> Routing:
    embedding = torch.randn(2, 6, generator=torch.Generator().manual_seed(seed))
    return Routing((), torch.ones(2, 1), embedding)


def test_the_finest_faithful_level_alone_has_kernel_experts():
    made = CompensatedDecoder(
        widths=[8, 12, 16],
        blocks=[2, 1, 1],
        latent_channels=4,
        degradation_width=6,
        kernel_experts=3,
    )
    experts = [name for name, _ in made.named_parameters() if name.endswith("experts")]
    assert experts == [f"trunk.levels.2.{i}.conv{j}.experts" for i in range(2) for j in (1, 2)]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 2)])
def test_estimates_have_the_size_of_the_image(decoder, size):
    given = encoded(*size)
    decoded = decoder.decode(given.latent, given, routing())
    assert decoded.faithful.shape == decoded.rich.shape == given.image.shape
    assert decoder.reconstruct(given.latent).shape == given.image.shape


def test_heads_at_zero_give_the_image_back(decoder):
    for head in (decoder.faithful_head, decoder.detail.head):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    given = encoded()
    decoded = decoder.decode(given.latent, given, routing())
    assert torch.equal(decoded.faithful, given.image)
    assert torch.equal(decoded.rich, given.image)


def test_the_rich_estimate_teaches_its_own_levels_alone(decoder):
    given = encoded()
    decoder.decode(given.latent, given, routing()).rich.sum().backward()
    own = {id(p) for p in decoder.rich_parameters()}
    assert own
    assert all((p.grad is not None) is (id(p) in own) for p in decoder.parameters())


def test_the_faithful_estimate_does_not_teach_those_of_the_rich_one(decoder):
    given = encoded()
    decoder.decode(given.latent, given, routing()).faithful.sum().backward()
    assert all(p.grad is None for p in decoder.rich_parameters())
    assert all(p.grad is not None for p in decoder.trunk.parameters())


def test_the_faithful_estimate_can_be_had_alone(decoder):
    given = encoded()
    alone = decoder.decode_faithful(given.latent, given, routing())
    assert torch.equal(alone, decoder.decode(given.latent, given, routing()).faithful)


def test_prompts_follow_the_degradation_and_are_silent_without_one(decoder):
    given = encoded()
    for module in decoder.modules():
        if isinstance(module, NoisyTopK):
            torch.nn.init.normal_(module.logits.weight)
    estimates = [decoder.decode(given.latent, given, routing(seed)).faithful for seed in (0, 1)]
    assert not torch.equal(*estimates)
    unknown = Routing((), torch.ones(2, 1), None)
    silent = decoder.decode(given.latent, given, unknown).faithful
    for pool in decoder.prompts:
        torch.nn.init.zeros_(pool.prompts)
    assert torch.equal(silent, decoder.decode(given.latent, given, routing()).faithful)


@pytest.mark.parametrize(("index", "fused"), [(0, True), (1, True), (2, False)])
def test_the_finer_feature_maps_are_fused_and_the_coarsest_is_not(decoder, index, fused):
    given = encoded()
    features = list(given.features)
    features[index] = features[index] + 1
    changed = Encoded(given.image, given.latent, tuple(features))
    other = decoder.decode(given.latent, changed, routing())
    same = torch.equal(other.faithful, decoder.decode(given.latent, given, routing()).faithful)
    assert same is not fused


def test_reconstruction_is_from_the_latent_alone(decoder):
    given = encoded()
    decoder.reconstruct(given.latent).sum().backward()
    assert all(p.grad is None for p in decoder.fusions.parameters())
    assert all(p.grad is not None for p in decoder.trunk.parameters())
