from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffir.errors import RecipeError
from diffir.host.manager import default_host
from diffir.recipes.derive import derive
from diffir.recipes.recipe import load_recipe

values = st.recursive(
    st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab -ä", max_size=4), inner)
    ),
    max_leaves=6,
)


def test_only_what_changes_changes():
    recipe = load_recipe("moe-diffir-tiny", default_host())
    derived = derive(recipe, "n-3", {"router": {"experts": 3}})
    before, after = tomllib.loads(recipe.text), tomllib.loads(derived.text)
    assert (after["name"], after["router"]["experts"]) == ("n-3", 3)
    after["name"], after["router"]["experts"] = before["name"], before["router"]["experts"]
    assert after == before


def test_another_component_gets_its_own_options_alone(tiny_recipe):
    derived = derive(tiny_recipe, "none", {"conditioner": {"use": "no-context", "width": 8}})
    assert derived.parts["conditioner"].use == "no-context"
    assert derived.parts["conditioner"].options == {"width": 8}


@given(value=values)
def test_any_value_survives_the_text(tiny_recipe, value):
    derived = derive(tiny_recipe, "odd", {"encoder": {"odd": value}})
    assert tomllib.loads(derived.text)["encoder"]["odd"] == value


def test_what_is_no_recipe_any_more(tiny_recipe):
    with pytest.raises(RecipeError, match="recipe 'odd'"):
        derive(tiny_recipe, "odd", {"training": {"stages": [{"title": "x"}]}})
