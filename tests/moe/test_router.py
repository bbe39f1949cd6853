from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.contracts.codec import CodecInfo
from diffir.moe.router import MoERouter

JPEG = CodecInfo(name="jpeg", severity=0.9)
WEBP = CodecInfo(name="webp", severity=0.1)
BLIND = CodecInfo.unknown()
FOREIGN = CodecInfo(name="jpeg2000", severity=0.5)


@pytest.fixture(scope="module")
def router():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = MoERouter(latent_channels=4, width=8, levels=3, codecs=["jpeg", "webp"])
        for pool in made.pools:
            torch.nn.init.normal_(pool.gate.logits.weight)  # it starts without a preference
    return made.eval()


def latents(count: int = 1, height: int = 9, width: int = 5) -> torch.Tensor:
    return torch.randn(count, 4, height, width, generator=torch.Generator().manual_seed(0))


@given(height=st.integers(1, 20), width=st.integers(1, 20))
@settings(max_examples=12, deadline=None)
def test_one_prompt_map_per_level_of_any_latent(router, height, width):
    routing = router.route(latents(2, height, width), [JPEG, BLIND])
    halves = [(-(-height // k), -(-width // k)) for k in (1, 2, 4)]
    assert [tuple(p.shape) for p in routing.prompts] == [(2, 8, *half) for half in halves]
    assert routing.weights.shape == (2, 7)
    torch.testing.assert_close(routing.weights.sum(dim=1), torch.ones(2))
    assert (routing.weights >= 0).all()


def test_what_is_known_of_the_codec_changes_the_routing(router):
    x = latents()
    routings = [router.route(x, [codec]) for codec in (JPEG, WEBP, BLIND)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(routings[one].weights, routings[other].weights, atol=1e-4)
        for level in range(3):
            maps = (routings[i].prompts[level] for i in (one, other))
            assert not torch.allclose(*maps, atol=1e-4)


def test_a_codec_that_the_router_does_not_know_is_like_none(router):
    foreign, blind = router.route(latents(), [FOREIGN]), router.route(latents(), [BLIND])
    assert torch.equal(foreign.weights, blind.weights)


def test_a_batch_of_known_and_unknown_is_its_pictures_one_by_one(router):
    x, codecs = latents(4), [JPEG, BLIND, WEBP, FOREIGN]
    together = router.route(x, codecs)
    for index, codec in enumerate(codecs):
        alone = router.route(x[index : index + 1], [codec])
        torch.testing.assert_close(alone.weights[0], together.weights[index])
        for one, many in zip(alone.prompts, together.prompts, strict=True):
            torch.testing.assert_close(one[0], many[index])


def test_what_it_knows(router):
    assert router.knows(JPEG)
    assert router.knows(WEBP)
    for codec in (BLIND, FOREIGN, CodecInfo(name="jpeg")):
        assert not router.knows(codec)


def test_whom_it_takes_for_whom():
    options = {"latent_channels": 4, "width": 8, "levels": 1, "codecs": ["jpeg", "webp"]}
    router = MoERouter(**options, relatives={"vvc": "webp"})
    assert router.relative(CodecInfo(name="vvc")) == "webp"
    assert not router.knows(CodecInfo(name="vvc", severity=0.5))  # a pack for it is welcome
    assert router.relative(JPEG) is router.relative(BLIND) is None
    for wrong in ({"jpeg": "webp"}, {"vvc": "hevc"}):
        with pytest.raises(ValueError, match=r"relatives are of codecs .* got \w+ = \w+"):
            MoERouter(**options, relatives=wrong)


def test_a_codec_with_a_relative_is_routed_as_that_one():
    options = {"latent_channels": 4, "width": 8, "levels": 1, "codecs": ["jpeg", "webp"]}
    router = MoERouter(**options, relatives={"vvc": "webp"}).eval()
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    vvc, webp, av1 = (
        router.route(latent, [CodecInfo(name=name, severity=0.5)]).degradation
        for name in ("vvc", "webp", "av1")
    )
    assert torch.equal(vvc, webp)
    assert not torch.equal(av1, webp)
    bare = router.route(latent, [CodecInfo(name="vvc")]).degradation
    assert torch.equal(bare, webp)  # pairs that are pixels alone: at the middle


def test_looking_and_learning_to_look_are_the_degradation_encoders(router):
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    encoder = router.degradation_encoder
    assert router.auxiliary_loss(image, [JPEG, BLIND]) == encoder.loss(image, [JPEG, BLIND])
    assert router.identify(image) == encoder.identify(image)


def test_experts_and_top_k_reach_every_pool():
    router = MoERouter(latent_channels=4, width=8, levels=2, codecs=[], experts=4, top_k=1)
    assert [pool.prompts.shape[0] for pool in router.pools] == [4, 4]
    assert [pool.gate.top_k for pool in router.pools] == [1, 1]
    assert router.eval().route(latents(), [BLIND]).weights.shape == (1, 4)
