"""The degradations and model parts that diffir brings, and its own plugin, pass their suites."""

from __future__ import annotations

import pytest

from diffir.host.manager import default_host
from diffir.recipes.recipe import load_recipe
from diffir.testing import (
    ConditionerSuite,
    DecoderSuite,
    DegradationSuite,
    PluginSuite,
    RouterSuite,
)

REGISTERED = [c.name for c in default_host().components("degradation") if c.plugin == "diffir"]


class TestRegistered(DegradationSuite):
    @pytest.fixture(params=REGISTERED)
    def degradation(self, request):
        return default_host().create("degradation", request.param)


class TestTask(DegradationSuite):
    @pytest.fixture(params=["jpeg-10", "hevc-42"])
    def degradation(self, request):
        from diffir.degradations.tasks import find_task

        return find_task(default_host(), request.param)


@pytest.fixture(scope="module")
def model(build_model):
    return build_model()


class TestMoe(RouterSuite):
    latent_channels = 4

    @pytest.fixture
    def router(self, model):
        return model.router


class TestVisualToText(ConditionerSuite):
    latent_channels = 4

    @pytest.fixture
    def conditioner(self, model):
        return model.conditioner


class TestCompensated(DecoderSuite):
    latent_channels = 4
    feature_channels = (8, 12, 16)
    degradation_width = 8

    @pytest.fixture
    def decoder(self, model):
        return model.decoder


class TestPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self):
        return "diffir"


def test_defaults_are_those_of_the_recipe_in_the_box():
    recipe = load_recipe("moe-diffir-tiny", default_host())
    encoder = recipe.encoder.options
    for suite in (RouterSuite, ConditionerSuite, DecoderSuite):
        assert suite.latent_channels == encoder["latent_channels"]
    assert list(DecoderSuite.feature_channels) == encoder["widths"]
    assert DecoderSuite.degradation_width == recipe.parts["router"].options["width"]
