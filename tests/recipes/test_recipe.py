from __future__ import annotations

import pytest

from diffir.errors import RecipeError, UnknownComponentError
from diffir.host.manager import default_host
from diffir.recipes.recipe import Part, Stage, load_recipe, parse_recipe


@pytest.fixture(scope="module")
def text(tiny_toml):
    return tiny_toml.read_text(encoding="utf-8")


def test_what_stands_in_the_file(tiny_recipe, text):
    assert tiny_recipe.name == "tiny"
    assert tiny_recipe.text == text
    options = {"widths": [8, 12, 16], "blocks": 1, "latent_channels": 4}
    assert tiny_recipe.encoder == Part("light", options)
    assert tiny_recipe.sampler == {}
    assert tiny_recipe.base is None
    assert tiny_recipe.parts["conditioner"] == Part("visual-to-text", {"width": 8})
    assert tiny_recipe.training.stage("rich") == Stage("rich", 2, 1e-3)
    assert tiny_recipe.training.degradations[1]["quality"] == [1, 50]
    assert (tiny_recipe.training.synthetic, tiny_recipe.training.clean) == (0.3, 0.1)


def test_its_own_text_is_the_same_recipe(tiny_recipe):
    assert parse_recipe(tiny_recipe.text, origin="a header") == tiny_recipe


def test_training_may_be_left_out(text):
    recipe = parse_recipe(text.partition("[training]")[0], origin="tiny.toml")
    assert recipe.training.stages == ()
    assert recipe.training.degradations == ()


class TestRefused:
    def test_not_toml(self):
        with pytest.raises(RecipeError, match=r"^x\.toml is not valid TOML: "):
            parse_recipe("name = ", origin="x.toml")

    @pytest.mark.parametrize("missing", ["name", "encoder", "denoiser", "router", "decoder"])
    def test_a_table_that_is_missing(self, text, missing):
        cut = text.replace('name = "tiny"', "", 1) if missing == "name" else text
        cut = cut.replace(f"[{missing}]", f"[other-{missing}]")
        with pytest.raises(RecipeError, match=f"x.toml lacks '{missing}'") as caught:
            parse_recipe(cut, origin="x.toml")
        assert "[router], [conditioner] and [decoder]" in caught.value.hint

    def test_a_seam_that_names_no_component(self, text):
        with pytest.raises(RecipeError, match="lacks 'use'"):
            parse_recipe(text.replace('use = "moe"', ""), origin="x.toml")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("synthetic = 0.3", 'synthetic = "much"'),
            ("synthetic = 0.3", "synthetic = [1]"),
            ("learning_rate = 1e-3", "speed = 1"),
            ("learning_rate = 1e-3", "learning_rate = 1e-3\naverage = 1"),
            ("learning_rate = 1e-3", 'learning_rate = 1e-3\nschedule = "linear"'),
            ("steps = 2", ""),
        ],
    )
    def test_a_wrong_type_or_key_in_training(self, text, old, new):
        with pytest.raises(RecipeError, match=r"^x\.toml: "):
            parse_recipe(text.replace(old, new), origin="x.toml")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("[training]", "[samplers]\n[training]", r"x\.toml has an unknown key 'samplers'"),
            ("synthetic = 0.3", "synthtic = 0.3", r"\[training\] of x\.toml has .* 'synthtic'"),
            ("synthetic = 0.3", "synthetic = 12", r"synthetic is a share in \[0,1\], got 12"),
        ],
    )
    def test_what_nobody_would_read(self, text, old, new, message):
        with pytest.raises(RecipeError, match=message):
            parse_recipe(text.replace(old, new, 1), origin="x.toml")

    @pytest.mark.parametrize("table", ["encoder", "router", "training"])
    @pytest.mark.parametrize("value", ["3", '"three"', "[3]"])
    def test_a_value_where_a_table_belongs(self, table, value):
        tables = dict.fromkeys(("denoiser", "conditioner", "decoder"), "{ use = 'a' }")
        tables |= {"encoder": "{}", "router": "{ use = 'a' }", table: value, "name": "'x'"}
        text = "\n".join(f"{name} = {content}" for name, content in tables.items())
        with pytest.raises(RecipeError, match=r"^x\.toml: "):
            parse_recipe(text, origin="x.toml")

    def test_a_stage_that_is_not_there(self, tiny_recipe):
        with pytest.raises(RecipeError, match="has no stage 'poor'") as caught:
            tiny_recipe.training.stage("poor")
        assert "autoencoder, prior" in caught.value.hint


class TestLoad:
    def test_by_name(self):
        recipe = load_recipe("moe-diffir-tiny", default_host())
        assert recipe.name == "moe-diffir-tiny"
        assert recipe.parts["router"].use == "moe"

    def test_by_path(self, tiny_toml, tiny_recipe):
        assert load_recipe(str(tiny_toml), default_host()) == tiny_recipe

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(RecipeError, match=r"cannot read the recipe .*none\.toml.*No such file"):
            load_recipe(str(tmp_path / "none.toml"), default_host())

    def test_a_file_that_is_not_text(self, tmp_path):
        (tmp_path / "x.toml").write_bytes(b"\xff\xd8\xff\xe0")
        with pytest.raises(RecipeError, match=r"cannot read the recipe .*x\.toml"):
            load_recipe(str(tmp_path / "x.toml"), default_host())

    def test_a_name_that_nobody_registered(self):
        with pytest.raises(UnknownComponentError, match="no recipe called 'moe-diffir-tny'") as e:
            load_recipe("moe-diffir-tny", default_host())
        assert "moe-diffir-tiny" in e.value.hint
