"""Base weights from mirrors, folders and files; the hub is a server on this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import ldm_layout as ldm
import local_hub
import pytest
import torch
from safetensors.torch import save, save_file

from diffir.errors import CheckpointError
from diffir.weights.base_weights import BASES, SCHEDULER, Base, Sources, load_base
from diffir.weights.hub import fetch_file

if TYPE_CHECKING:
    from diffir.weights.base_weights import BaseWeights

PARTS = ("unet", "vae")
UNET, VAE = (f"{part}/diffusion_pytorch_model.safetensors" for part in PARTS)


def part(value: float) -> bytes:
    return save({"conv_in.weight": torch.full((4, 4), value)})


def mirror(name: str, value: float) -> dict[str, bytes]:
    return {f"{name}/{UNET}": part(value), f"{name}/{VAE}": part(-value)}


@pytest.fixture
def hub():
    yield from local_hub.serve(mirror("second/sd", 2) | mirror("third/sd", 3))


@pytest.fixture
def sources(hub, tmp_path, monkeypatch):
    monkeypatch.delenv("DIFFIR_OFFLINE", raising=False)
    monkeypatch.setitem(BASES, "sd", Base("sd", ("first/sd", "second/sd", "third/sd"), "open"))
    return Sources(tmp_path / "checksums.json", cache=tmp_path / "cache", endpoint=hub.url)


def value_of(weights: BaseWeights) -> float:
    return float(weights.parts["unet"]["conv_in.weight"][0, 0])


class TestMirrors:
    def test_the_first_that_has_it_serves(self, hub, sources):
        weights = load_base("sd", sources, parts=PARTS)
        assert (value_of(weights), weights.origin, weights.license) == (2, "second/sd", "open")
        assert float(weights.parts["vae"]["conv_in.weight"][0, 0]) == -2
        assert hub.mirrors_asked() == ["first/sd", "second/sd"]
        assert list(weights.files) == [f"second/sd/{UNET}", f"second/sd/{VAE}"]

    def test_what_it_predicts(self, hub, sources):
        assert load_base("second/sd", sources, parts=("unet",)).prediction is None
        hub.files[f"third/sd/{SCHEDULER}"] = b'{"prediction_type": "v_prediction"}'
        assert load_base("third/sd", sources, parts=("unet",)).prediction == "v_prediction"

    def test_one_repository_by_its_name(self, sources):
        assert value_of(load_base("third/sd", sources, parts=PARTS)) == 3

    def test_a_mirror_that_lacks_a_part_is_passed_over(self, hub, sources):
        del hub.files[f"second/sd/{VAE}"]
        assert value_of(load_base("sd", sources, parts=PARTS)) == 3
        assert value_of(load_base("second/sd", sources, parts=("unet",))) == 2

    def test_another_name_of_the_file(self, hub, sources):
        half = f"third/sd/{UNET.replace('.safetensors', '.fp16.safetensors')}"
        hub.files[half] = hub.files.pop(f"third/sd/{UNET}")
        assert value_of(load_base("third/sd", sources, parts=PARTS)) == 3

    def test_none_has_it(self, hub, sources):
        hub.files.clear()
        with pytest.raises(
            CheckpointError,
            match=r"'sd' could not be had: first/sd has no unet/"
            r".* second/sd .* third/sd",
        ) as caught:
            load_base("sd", sources, parts=PARTS)
        assert UNET in caught.value.hint
        assert "https://huggingface.co/first/sd" in caught.value.hint
        assert "--base FOLDER" in caught.value.hint

    def test_what_is_there_serves_without_the_hub(self, hub, sources):
        load_base("sd", sources, parts=PARTS)
        hub.requests.clear()
        offline = Sources(sources.ledger, True, sources.cache, sources.endpoint)
        assert value_of(load_base("sd", offline, parts=PARTS)) == 2
        assert hub.requests == []

    @pytest.mark.parametrize("by", ["option", "variable"])
    def test_offline(self, hub, sources, monkeypatch, by):
        if by == "variable":
            monkeypatch.setenv("DIFFIR_OFFLINE", "1")
        offline = Sources(sources.ledger, by == "option", sources.cache, sources.endpoint)
        with pytest.raises(CheckpointError, match="offline: nothing is fetched"):
            load_base("sd", offline, parts=PARTS)
        assert hub.requests == []

    def test_a_hub_that_does_not_answer(self, hub, sources, monkeypatch):
        monkeypatch.setattr("time.sleep", lambda _: None)  # the library waits between its tries
        load_base("third/sd", sources, parts=PARTS)
        nobody = replace(sources, endpoint="http://127.0.0.1:9")
        assert value_of(load_base("sd", nobody, parts=PARTS)) == 3
        with pytest.raises(CheckpointError, match="the hub cannot be reached for first/sd; first"):
            load_base("sd", replace(nobody, cache=sources.cache / "new"), parts=PARTS)

    def test_nothing_of_that_name(self, sources):
        with pytest.raises(CheckpointError, match="there is no base 'sd-3'") as caught:
            load_base("sd-3", sources, parts=PARTS)
        assert "stable-diffusion-2-1-base" in caught.value.hint


class TestHalfADownload:
    def test_it_goes_on_where_it_stopped(self, hub, sources):
        hub.files[f"second/sd/{UNET}"] = save({"conv_in.weight": torch.full((3000, 2000), 2.0)})
        hub.break_after = 15_000_000
        weights = load_base("second/sd", sources, parts=("unet",))
        assert value_of(weights) == 2
        ranges = [bytes_ for method, _, bytes_ in hub.requests if method == "GET"]
        assert any(bytes_ and not bytes_.startswith("bytes=0-") for bytes_ in ranges)

    def test_a_damaged_copy_in_the_cache(self, hub, sources):
        path = fetch_file("second/sd", UNET, cache=sources.cache, endpoint=hub.url)
        blob = path.resolve()
        blob.write_bytes(blob.read_bytes()[:-4])
        with pytest.raises(
            CheckpointError, match="is damaged: its sha256 is not the one that the hub tells"
        ) as caught:
            load_base("sd", sources, parts=PARTS)
        assert str(blob) in caught.value.hint


class TestChecksums:
    def test_the_first_use_is_remembered(self, sources):
        weights = load_base("sd", sources, parts=PARTS)
        assert json.loads(sources.ledger.read_text()) == weights.files

    def test_a_file_that_changed(self, hub, sources, tmp_path):
        load_base("sd", sources, parts=PARTS)
        hub.files |= mirror("second/sd", 7)
        elsewhere = Sources(sources.ledger, cache=tmp_path / "new", endpoint=hub.url)
        with pytest.raises(CheckpointError, match="when it was first used it was") as caught:
            load_base("sd", elsewhere, parts=PARTS)
        assert str(sources.ledger) in caught.value.hint

    def test_a_recipe_may_pin_one(self, sources, tmp_path):
        good = load_base("second/sd", sources, parts=("unet",)).files[f"second/sd/{UNET}"]
        pinned = replace(sources, pinned={UNET: good.upper()})
        assert value_of(load_base("second/sd", pinned, parts=("unet",))) == 2
        with pytest.raises(CheckpointError, match="the recipe wants 00"):
            load_base("second/sd", replace(sources, pinned={UNET: "00"}), parts=("unet",))
        save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
        pinned = replace(sources, pinned={"a.safetensors": "11"})
        with pytest.raises(CheckpointError, match=r"a\.safetensors: .* the recipe wants 11"):
            load_base(str(tmp_path / "a.safetensors"), pinned, parts=("unet",))

    def test_a_ledger_that_is_none(self, sources):
        sources.ledger.write_text("no json")
        with pytest.raises(CheckpointError, match=r"the list of checksums .* cannot be read"):
            load_base("sd", sources, parts=PARTS)


class TestFolder:
    def test_as_diffusers_saves_it(self, sources, tmp_path):
        for name in PARTS:
            (tmp_path / "sd" / name).mkdir(parents=True)
        save_file({"a": torch.ones(1)}, tmp_path / "sd" / UNET)
        torch.save(
            {"decoder.mid_block.attentions.0.query.weight": torch.ones(1)},
            tmp_path / "sd" / "vae" / "diffusion_pytorch_model.bin",
        )
        weights = load_base(str(tmp_path / "sd"), sources, parts=PARTS)
        assert list(weights.parts["unet"]) == ["a"]
        assert list(weights.parts["vae"]) == ["decoder.mid_block.attentions.0.to_q.weight"]
        assert list(weights.files) == [UNET, "vae/diffusion_pytorch_model.bin"]
        assert weights.prediction is None

    @pytest.mark.parametrize("content", ["not json", "[]", "{}"])
    def test_a_scheduler_that_says_nothing(self, sources, tmp_path, content):
        (tmp_path / "sd" / "unet").mkdir(parents=True)
        save_file({"a": torch.ones(1)}, tmp_path / "sd" / UNET)
        (tmp_path / "sd" / "scheduler").mkdir()
        (tmp_path / "sd" / SCHEDULER).write_text(content)
        assert load_base(str(tmp_path / "sd"), sources, parts=("unet",)).prediction is None

    def test_without_a_part(self, sources, tmp_path):
        (tmp_path / "sd" / "unet").mkdir(parents=True)
        save_file({"a": torch.ones(1)}, tmp_path / "sd" / UNET)
        with pytest.raises(CheckpointError, match=rf"not a folder of diffusers: {VAE} is not in"):
            load_base(str(tmp_path / "sd"), sources, parts=PARTS)


class TestFile:
    def test_as_it_was_first_published(self, sources, tmp_path):
        shapes = ldm.prefixed("model.diffusion_model.", ldm.unet(ldm.SMALL))
        shapes |= ldm.prefixed("first_stage_model.", ldm.autoencoder(ldm.SMALL))
        tensors = ldm.random_tensors(shapes | {"model_ema.decay": (1,), "betas": (1000,)})
        torch.save({"state_dict": tensors}, tmp_path / "sd.ckpt")
        weights = load_base(str(tmp_path / "sd.ckpt"), sources, parts=PARTS)
        unet, vae = weights.parts["unet"], weights.parts["vae"]
        assert (len(unet), len(vae)) == (len(ldm.unet(ldm.SMALL)), len(ldm.autoencoder(ldm.SMALL)))
        given = tensors["model.diffusion_model.input_blocks.0.0.weight"]
        assert torch.equal(unet["conv_in.weight"], given)
        assert list(weights.files) == ["sd.ckpt"]

    def test_half_of_a_model(self, sources, tmp_path):
        save_file({"model.diffusion_model.out.2.bias": torch.ones(4)}, tmp_path / "a.safetensors")
        with pytest.raises(CheckpointError, match=r"it has no first_stage_model\.\*"):
            load_base(str(tmp_path / "a.safetensors"), sources, parts=PARTS)
