"""What stands in the place of the method's parts keeps the contracts that these keep."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from diffir.host.manager import default_host
from diffir.recipes.derive import derive
from diffir.restore.assemble import assemble
from diffir.testing import ConditionerSuite, DecoderSuite, RouterSuite


def awake(part: torch.nn.Module) -> torch.nn.Module:
    """What starts at zero, or close to it, gets weights that show."""
    with torch.no_grad():
        for parameter in part.parameters():
            if parameter.std(correction=0) < 0.02:
                torch.nn.init.normal_(parameter, std=0.1)
    return part.eval()


GRADIENTS = "test_gradients_reach_the_declared_parameters"


def variant(name: str, recipe):
    if name == "no prior":
        changes = {"router": {"prior": False}}
    else:
        changes = {place: {"mixture": name} for place in ("router", "decoder")}
    torch.manual_seed(0)
    return assemble(derive(recipe, name, changes), default_host())


class TestRouters(RouterSuite):
    latent_channels = 4

    @pytest.fixture(params=["multiple", "no prior"])
    def router(self, request, tiny_recipe):
        return awake(variant(request.param, tiny_recipe).router)


class TestRoutersWithoutGate(RouterSuite):
    latent_channels = 4
    expected_failures: ClassVar = {GRADIENTS: "There is no gate that the prior could tell."}

    @pytest.fixture(params=["none", "single"])
    def router(self, request, tiny_recipe):
        return awake(variant(request.param, tiny_recipe).router)


class TestDecoders(DecoderSuite):
    latent_channels = 4
    feature_channels = (8, 12, 16)
    degradation_width = 8

    @pytest.fixture(params=["none", "single", "multiple"])
    def decoder(self, request, tiny_recipe):
        return awake(variant(request.param, tiny_recipe).decoder)


class TestLearnedTokens(ConditionerSuite):
    latent_channels = 4

    @pytest.fixture
    def conditioner(self):
        return default_host().create("conditioner", "learned-tokens", width=8).eval()


class TestNoContext(ConditionerSuite):
    latent_channels = 4
    expected_failures: ClassVar = {GRADIENTS: "There is nothing to learn."}

    @pytest.fixture
    def conditioner(self):
        return default_host().create("conditioner", "no-context", width=8).eval()
