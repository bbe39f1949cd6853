from __future__ import annotations

import pytest

from diffir.errors import ComponentError, RecipeError, UnknownComponentError
from diffir.host.manager import default_host
from diffir.moe.compensator import CompensatedDecoder
from diffir.moe.router import MoERouter
from diffir.moe.visual_to_text import VisualToText
from diffir.recipes.recipe import load_recipe, parse_recipe
from diffir.restore.assemble import assemble


def changed(recipe, old: str, new: str):
    assert old in recipe.text
    return parse_recipe(recipe.text.replace(old, new), origin="changed.toml")


def test_what_stands_in_the_seams(tiny_recipe):
    model = assemble(tiny_recipe, default_host())
    assert isinstance(model.router, MoERouter)
    assert isinstance(model.conditioner, VisualToText)
    assert isinstance(model.decoder, CompensatedDecoder)
    assert model.denoiser.levels == 3


def test_the_model_in_the_box_can_be_built():
    host = default_host()
    model = assemble(load_recipe("moe-diffir-tiny", host), host)
    assert 1e6 < sum(p.numel() for p in model.parameters()) < 2e7


@pytest.mark.parametrize("table", ["encoder", "denoiser"])
def test_an_option_that_the_prior_does_not_take(tiny_recipe, table):
    recipe = changed(tiny_recipe, f"[{table}]", f"[{table}]\ndepth = 3")
    with pytest.raises(RecipeError, match=r"recipe 'tiny': .*unexpected keyword argument 'depth'"):
        assemble(recipe, default_host())


def test_an_option_that_a_component_does_not_take(tiny_recipe):
    recipe = changed(tiny_recipe, 'use = "moe"', 'use = "moe"\ndepth = 3')
    with pytest.raises(ComponentError, match=r"does not accept the options .*depth"):
        assemble(recipe, default_host())


def test_an_option_with_a_value_that_cannot_be(tiny_recipe):
    with pytest.raises(RecipeError, match=r"recipe 'tiny': top_k must be in 1\.\.7"):
        assemble(changed(tiny_recipe, "top_k = 3", "top_k = 8"), default_host())


def test_a_component_that_nobody_registered(tiny_recipe):
    recipe = changed(tiny_recipe, '"compensated"', '"compensatd"')
    with pytest.raises(UnknownComponentError, match="no decoder called 'compensatd'") as caught:
        assemble(recipe, default_host())
    assert "compensated" in caught.value.hint
