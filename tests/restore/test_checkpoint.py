from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffir.errors import CheckpointError, OutputError, RecipeError, UnknownComponentError
from diffir.host.manager import default_host
from diffir.restore.checkpoint import (
    FORMAT,
    find_weights,
    load_checkpoint,
    read_card,
    save_checkpoint,
)

HOST = default_host()


def rewritten(source, target, *, header=None, **tensors):
    """A copy of a weights file with other entries in its header, or other tensors."""
    from safetensors import safe_open

    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
    save_file(load_file(source) | tensors, target, metadata=metadata | (header or {}))
    return target


class TestRoundTrip:
    def test_weights_are_those_of_half_precision(self, build_model, tiny_weights, tiny_recipe):
        model, recipe = load_checkpoint(tiny_weights, HOST)
        assert recipe == tiny_recipe
        assert not model.training
        original = build_model().state_dict()
        for name, tensor in model.state_dict().items():
            assert tensor.dtype == torch.float32
            assert torch.equal(tensor, original[name].half().float()), name

    def test_loading_draws_no_random_numbers_of_the_caller(self, tiny_weights):
        before = torch.get_rng_state()
        load_checkpoint(tiny_weights, HOST)
        assert torch.equal(torch.get_rng_state(), before)

    def test_it_can_be_trained_further(self, tiny_weights):
        model, _ = load_checkpoint(tiny_weights, HOST)
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_the_header_says_what_it_is(self, build_model, tiny_recipe, tmp_path):
        from safetensors import safe_open

        path = tmp_path / "a.safetensors"
        card = {"license": "Apache-2.0", "stages": "prior"}
        options = {"recipe": tiny_recipe, "dtype": torch.float16, "card": card}
        save_checkpoint(build_model(), path, **options)
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
        assert header["format"] == FORMAT
        assert header["recipe"] == tiny_recipe.text
        assert json.loads(header["card"]) == read_card(path) == card
        assert {t.dtype for t in load_file(path).values()} == {torch.float16}
        assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]

    def test_others_may_read_it_as_any_file(self, tiny_weights, tmp_path):
        (tmp_path / "plain").touch()
        assert tiny_weights.stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_no_card_is_an_empty_one(self, tiny_weights):
        assert read_card(tiny_weights) == {}


class TestRefused:
    def test_a_folder_that_is_not_there(self, build_model, tiny_recipe, tmp_path):
        path = tmp_path / "none" / "a.safetensors"
        with pytest.raises(OutputError, match=r"a\.safetensors cannot be written"):
            save_checkpoint(build_model(), path, recipe=tiny_recipe, dtype=torch.float16)

    def test_missing(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"there is no weights file .*a\.safetensors"):
            load_checkpoint(tmp_path / "a.safetensors", HOST)

    @pytest.mark.parametrize("content", [b"", b"not a weights file", b"\x08" + bytes(7) + b"{}"])
    def test_not_safetensors(self, tmp_path, content):
        path = tmp_path / "a.safetensors"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is not a safetensors file") as caught:
            load_checkpoint(path, HOST)
        assert "never are" in caught.value.hint

    def test_cut_off(self, tiny_weights, tmp_path):
        path = tmp_path / "a.safetensors"
        path.write_bytes(tiny_weights.read_bytes()[:-100])
        with pytest.raises(CheckpointError, match="is not a safetensors file"):
            load_checkpoint(path, HOST)

    def test_somebody_elses(self, tmp_path):
        path = tmp_path / "a.safetensors"
        save_file({"x": torch.zeros(1)}, path)
        with pytest.raises(CheckpointError, match=f"has format 'none', expected '{FORMAT}'"):
            load_checkpoint(path, HOST)

    def test_another_format_of_ours(self, tiny_weights, tmp_path):
        path = rewritten(tiny_weights, tmp_path / "a.safetensors", header={"format": "diffir-9"})
        with pytest.raises(CheckpointError, match="has format 'diffir-9'"):
            read_card(path)

    def test_weights_of_another_shape(self, tiny_weights, tmp_path):
        wrong = {"encoder.stem.bias": torch.zeros(9)}
        path = rewritten(tiny_weights, tmp_path / "a.safetensors", **wrong)
        with pytest.raises(
            CheckpointError,
            match=r"1 weights do not fit recipe 'tiny', first: encoder\.stem\.bias",
        ):
            load_checkpoint(path, HOST)

    def test_weights_too_many(self, tiny_weights, tmp_path):
        path = rewritten(tiny_weights, tmp_path / "a.safetensors", extra=torch.zeros(1))
        with pytest.raises(CheckpointError, match=r"1 weights do not fit .*first: extra"):
            load_checkpoint(path, HOST)

    def test_a_recipe_that_is_none(self, tiny_weights, tmp_path):
        path = rewritten(tiny_weights, tmp_path / "a.safetensors", header={"recipe": "name = 1"})
        with pytest.raises(RecipeError, match=r"the recipe in .*a\.safetensors lacks 'encoder'"):
            load_checkpoint(path, HOST)


class TestFindWeights:
    def test_a_file_is_itself(self):
        assert str(find_weights("runs/a.safetensors", HOST)) == "runs/a.safetensors"

    @pytest.mark.parametrize("suffix", ["ckpt", "pt", "pth", "bin"])
    def test_pickles_are_refused_by_their_name(self, suffix):
        with pytest.raises(CheckpointError, match=f"x.{suffix} may hold pickled code"):
            find_weights(f"x.{suffix}", HOST)

    def test_a_name_that_nobody_registered(self):
        with pytest.raises(UnknownComponentError, match="no recipe called 'moe-diffir-huge'"):
            find_weights("moe-diffir-huge", HOST)

    def test_beside_the_recipe(self, tiny_toml, tiny_weights, tmp_path, monkeypatch):
        """A plugin's recipe lies in its package, its weights beside it."""
        package = tmp_path / "tiny_recipes"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "tiny.toml").write_text(tiny_toml.read_text())
        plugin = tmp_path / "tiny_plugin.py"
        plugin.write_text(
            "from diffir.host.hookspecs import hookimpl\n"
            "@hookimpl\n"
            "def register_recipes(register):\n"
            "    register('tiny', 'tiny_recipes:tiny.toml', summary='small')\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        from diffir.host.manager import build_host

        host = build_host(plugin_files=[plugin])
        with pytest.raises(CheckpointError, match=r"comes without weights \(tiny\.safetensors"):
            find_weights("tiny", host)
        (package / "tiny.safetensors").write_bytes(tiny_weights.read_bytes())
        assert find_weights("tiny", host) == package / "tiny.safetensors"
