"""Each check of the suites for routers, conditioners and decoders catches what is broken."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from diffir.contracts.interfaces import Decoded, Routing
from diffir.testing import ConditionerSuite, DecoderSuite, RouterSuite
from diffir.testing.suite import check_names

CHANNELS = 32
GENERATOR = torch.Generator().manual_seed(0)


def weight(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR) * 0.1


class Mix(nn.Module):
    """What the three small modules share: one product over channels, with a place to break it."""

    def __init__(self, *, to: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight(to, CHANNELS))

    def mixed(self, latent):
        return torch.einsum("bchw,dc->bdhw", latent, self.weight)


class SmallRouter(Mix):
    def route(self, latent, codecs):
        fine = self.mixed(latent)
        coarse = F.avg_pool2d(fine, 2, ceil_mode=True)
        return Routing((fine, coarse), fine.mean(dim=(2, 3)).softmax(dim=1))


class SmallConditioner(Mix):
    def condition(self, image, latent):
        return self.mixed(latent).flatten(2).transpose(1, 2)


class SmallDecoder(Mix):
    def decode(self, latent, encoded, routing):
        shift = self.mixed(latent).mean(dim=1, keepdim=True)
        image = encoded.image + F.interpolate(shift, scale_factor=8.0)
        return Decoded(image, image)


SMALL = {RouterSuite: SmallRouter, ConditionerSuite: SmallConditioner, DecoderSuite: SmallDecoder}
SUITES = list(SMALL)


class TestRouter(RouterSuite):
    @pytest.fixture
    def router(self):
        return SmallRouter()


class TestConditioner(ConditionerSuite):
    @pytest.fixture
    def conditioner(self):
        return SmallConditioner()


class TestDecoder(DecoderSuite):
    @pytest.fixture
    def decoder(self):
        return SmallDecoder()


def broken_in(change):
    """The three small modules with one method of `Mix` replaced, and what it needs set up."""
    return {suite: type(change.__name__, (change, small), {}) for suite, small in SMALL.items()}


class DividesBySpread:
    def mixed(self, latent):
        return super().mixed(latent / latent.std(dim=(2, 3), keepdim=True, unbiased=False))


class NormalizesTheBatch:
    def mixed(self, latent):
        return super().mixed(latent - latent.mean(dim=0))


class Noisy:
    def mixed(self, latent):
        return super().mixed(latent) + torch.randn(())


class Draws:
    def mixed(self, latent):
        random.random()
        return super().mixed(latent)


class Remembers:
    calls = 0

    def mixed(self, latent):
        type(self).calls += 1
        return super().mixed(latent) * type(self).calls


class Unused:
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)


class Detached:
    def mixed(self, latent):
        return super().mixed(latent).detach()


class HiddenWeights:
    def __init__(self):
        super().__init__()
        self.hidden = [torch.ones((), requires_grad=True)]

    def mixed(self, latent):
        return super().mixed(latent) * self.hidden[0]

    def __deepcopy__(self, memo):
        twin = type(self)()
        twin.load_state_dict(self.state_dict())
        return twin


class Caches:
    def mixed(self, latent):
        self.cached = getattr(self, "cached", None)
        if self.cached is None:
            self.cached = self.weight.detach().clone()
        return super().mixed(latent) + 0 * latent.mean() + self.cached.mean()

    def load_state_dict(self, state):
        self.cached = torch.zeros(())
        return super().load_state_dict(state)


class HasALambda:
    def __init__(self):
        super().__init__()
        self.change = lambda x: x


class ForgetsItsSettings:
    def __reduce_ex__(self, protocol):
        small = next(kind for kind in SMALL.values() if isinstance(self, kind))
        return (_rebuilt, (small, self.state_dict()))

    def mixed(self, latent):
        return super().mixed(latent) * 2


def _rebuilt(kind, state):
    module = kind()
    module.load_state_dict(state)
    return module


class Float32Only:
    def mixed(self, latent):
        return super().mixed(latent) + torch.zeros(1)


class FarOffInHalf:
    def mixed(self, latent):
        return super().mixed(latent) + (5 if latent.dtype == torch.bfloat16 else 0)


COMMON = [
    (DividesBySpread, "test_values_are_finite", "for a latent of 1x1, got infinity or NaN. Look"),
    (NormalizesTheBatch, "test_a_batch_is_its_pictures_one_by_one", "alone and in a batch, .*over"),
    (Noisy, "test_draws_nothing_in_evaluation", "another state of torch. Draw noise only where"),
    (Draws, "test_draws_nothing_in_evaluation", "another state of random. Draw noise only where"),
    (Remembers, "test_draws_nothing_in_evaluation", "another result at a later call. Keep no st"),
    (Unused, "test_gradients_reach_the_declared_parameters", "none at spare.weight, spare.bias. U"),
    (Detached, "test_gradients_reach_the_declared_parameters", "gradients can be taken of.*detach"),
    (HiddenWeights, "test_gradients_reach_the_declared_parameters", "only, got a hidden trainable"),
    (Caches, "test_state_dict_round_trip", "loaded state_dict to give the same .*register_buffer"),
    (HasALambda, "test_copies_and_pickles", "HasALambda to go through pickle, got .*lambdas"),
    (ForgetsItsSettings, "test_copies_and_pickles", "the same result from a copy of the module"),
    (Float32Only, "test_works_in_bfloat16", "finite bfloat16 results .*, got torch.float32. Make"),
    (FarOffInHalf, "test_works_in_bfloat16", "near those of float32, got .* off on average. Co"),
]
"""What is broken in the same way in all three."""


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(("change", "check", "message"), COMMON)
def test_what_is_broken_in_any_module_is_caught(suite, change, check, message):
    with pytest.raises(AssertionError, match=f"(?s)^expected .*?{message}"):
        getattr(suite(), check)(broken_in(change)[suite]())


class NoModule:
    pass


class RoutesToATuple(SmallRouter):
    def route(self, latent, codecs):
        return vars(super().route(latent, codecs))


class RoundsDown(SmallRouter):
    def route(self, latent, codecs):
        fine = self.mixed(latent)
        coarse = F.adaptive_avg_pool2d(fine, [max(1, side // 2) for side in fine.shape[2:]])
        return Routing((fine, coarse), fine.mean(dim=(2, 3)).softmax(dim=1))


class WeightsPerPlace(SmallRouter):
    def route(self, latent, codecs):
        routing = super().route(latent, codecs)
        return Routing(routing.prompts, routing.prompts[0].softmax(dim=1))


class SumsToTwo(SmallRouter):
    def route(self, latent, codecs):
        routing = super().route(latent, codecs)
        return Routing(routing.prompts, 2 * routing.weights)


class BelievesTheCodec(SmallRouter):
    def route(self, latent, codecs):
        routing = super().route(latent, codecs)
        severities = torch.tensor([float("nan") if c.name is None else 1.0 for c in codecs])
        return Routing(routing.prompts, routing.weights * severities[:, None])


class TokensFlat(SmallConditioner):
    def condition(self, image, latent):
        return super().condition(image, latent).flatten(1)


class WidthFollowsSize(SmallConditioner):
    def condition(self, image, latent):
        return self.mixed(latent).flatten(2)


class DecodesToOne(SmallDecoder):
    def decode(self, latent, encoded, routing):
        return super().decode(latent, encoded, routing).rich


class HalfSize(SmallDecoder):
    def decode(self, latent, encoded, routing):
        decoded = super().decode(latent, encoded, routing)
        return Decoded(decoded.faithful, decoded.rich[:, :, ::2, ::2])


SPECIAL = [
    (RouterSuite, NoModule, "test_is_a_module", "weights are saved .*, got NoModule. Inherit"),
    (ConditionerSuite, NoModule, "test_is_a_module", "a torch.nn.Module, .*, got NoModule"),
    (DecoderSuite, NoModule, "test_is_a_module", "a torch.nn.Module, .*, got NoModule"),
    (RouterSuite, RoutesToATuple, "test_prompts_and_weights_have_their_shapes", "got dict. Ret"),
    (
        RouterSuite,
        RoundsDown,
        "test_prompts_and_weights_have_their_shapes",
        r"level 1 for a latent of 1x7 of shape \(2, 4, 1, 4\), got \(2, 4, 1, 3\). Halve",
    ),
    (
        RouterSuite,
        WeightsPerPlace,
        "test_prompts_and_weights_have_their_shapes",
        r"weights of shape .*, got \(1, 4, 1, 1\). Average over places",
    ),
    (RouterSuite, SumsToTwo, "test_rows_of_weights_sum_to_1", "rows sum to 1, got .*Divide each"),
    (RouterSuite, BelievesTheCodec, "test_any_codec_is_routed", "routing for CodecInfo.name=None"),
    (ConditionerSuite, TokensFlat, "test_tokens_have_their_shape", r"tokens \(B,L,D\) .*Flatten"),
    (ConditionerSuite, WidthFollowsSize, "test_tokens_have_their_shape", r"one .* D .*, got \[1,"),
    (DecoderSuite, DecodesToOne, "test_estimates_have_the_size_of_the_image", "got Tensor. Ret"),
    (
        DecoderSuite,
        HalfSize,
        "test_estimates_have_the_size_of_the_image",
        r"the rich estimate, from a latent of 1x1, of shape \(1, 3, 8, 8\), got \(1, 3, 4, 4\)",
    ),
]


@pytest.mark.parametrize(("suite", "broken", "check", "message"), SPECIAL)
def test_what_is_broken_in_one_kind_is_caught(suite, broken, check, message):
    with pytest.raises(AssertionError, match=f"(?s)^expected .*?{message}"):
        getattr(suite(), check)(broken())


@pytest.mark.parametrize("suite", SUITES)
def test_no_check_is_without_a_module_that_fails_it(suite):
    caught = {check for _, check, _ in COMMON}
    caught |= {check for of, _, check, _ in SPECIAL if of is suite}
    assert caught == set(check_names(suite))


def test_optional_methods_count_for_the_gradients():
    class WithLoss(SmallRouter):
        def __init__(self):
            super().__init__()
            self.judge = nn.Linear(3, 1)

        def auxiliary_loss(self, image, codecs):
            return self.judge(image.mean(dim=(2, 3))).square().mean()

    RouterSuite().test_gradients_reach_the_declared_parameters(WithLoss())


def test_the_modules_mode_is_left_as_it_was():
    router = SmallRouter().train()
    RouterSuite().test_values_are_finite(router)
    assert router.training
