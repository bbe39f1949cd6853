from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.contracts.prompt_pack import Gain, PackCard, PromptPack, Recognition
from diffir.errors import CheckpointError, RecipeError, UnknownComponentError
from diffir.host.manager import build_host, default_host
from diffir.moe.prompts import PromptPool
from diffir.recipes.recipe import parse_recipe
from diffir.restore import pack_store
from diffir.restore.assemble import assemble
from diffir.restore.guard import what_is_told
from diffir.restore.pack_choice import PackChoice
from diffir.restore.pack_file import check_mergeable, load_packs, read_cards, save_packs
from diffir.restore.prompt_packs import (
    PackFit,
    distance,
    model_hash,
    new_parameters,
    with_new_experts,
)
from diffir.restore.recognizer import Recognizer
from diffir.restore.restorer import Restorer, load
from diffir.restore.tensors import to_image

JPEG2000 = CodecInfo(name="jpeg2000", severity=0.7)
JPEG = CodecInfo(name="jpeg", severity=0.9)


@pytest.fixture(scope="module")
def base(build_model):
    return build_model()


def make_pack(base, *, name="wavelets", codecs=("jpeg2000",), seed=0) -> PromptPack:
    """A pack whose prompts are noise, so that one sees where they act."""
    new = new_parameters(with_new_experts(base, 2), base)
    generator = torch.Generator().manual_seed(seed)
    tensors = {n: 0.2 * torch.randn(p.shape, generator=generator) for n, p in new.items()}
    card = PackCard(
        name=name,
        codecs=codecs,
        levels=(80.0, 40.0),
        base="tiny",
        base_hash=model_hash(base),
        experts=2,
        pictures=16,
        lpips=Gain(-0.02, -0.03, -0.01),
        dists=Gain(-0.01, -0.02, 0.0),
        psnr=Gain(0.2, 0.1, 0.3),
        license="CC0-1.0",
        version="0.1.0",
    )
    return PromptPack(card, {n: t.half().float() for n, t in tensors.items()})


def picture(codec: CodecInfo) -> Picture:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    return Picture(pixels, codec=codec)


def restored(restorer, codec: CodecInfo) -> np.ndarray:
    return restorer.estimate(picture(codec)).at(0.5).pixels


class TestNewExperts:
    def test_nothing_changes_until_they_are_trained(self, base):
        image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        codecs = [JPEG2000, JPEG]
        with torch.no_grad():
            before, _ = base(image, codecs)
            after, _ = with_new_experts(base, 2)(image, codecs)
        # Not bit by bit: a sum with zeros may be rounded in another order.
        torch.testing.assert_close(after.faithful, before.faithful, atol=1e-6, rtol=0)
        torch.testing.assert_close(after.rich, before.rich, atol=1e-6, rtol=0)

    def test_they_alone_require_gradients_and_share_the_rest(self, base):
        extended = with_new_experts(base, 2)
        new = new_parameters(extended, base)
        assert new
        assert {n for n, p in extended.named_parameters() if p.requires_grad} == set(new)
        shared = {id(p) for p in base.parameters()}
        assert sum(id(p) in shared for p in extended.parameters()) == len(shared)

    def test_every_map_and_level_of_the_decoder_and_the_prior_gets_some(self, base):
        names = new_parameters(with_new_experts(base, 1), base)
        places = {name.partition(".new.")[0] for name in names if ".new." in name}
        assert places == {
            *(f"decoder.prompts.{index}" for index in range(3)),
            *(f"decoder.detail.prompts.{index}" for index in range(2)),
            *(f"decoder.trunk.levels.{index}" for index in (1, 2)),  # the coarsest: the prior's
            *(f"decoder.detail.levels.{index}" for index in range(2)),
        }
        assert "router.prior.shift" in names

    def test_pools_of_a_router_that_says_so_get_some(self, tiny_recipe):
        text = tiny_recipe.text.replace('use = "moe"', 'use = "moe"\nextensible = true')
        base = assemble(parse_recipe(text, origin="extensible"), default_host())
        names = new_parameters(with_new_experts(base, 1), base)
        assert {f"router.pools.{index}.new.prompts" for index in range(3)} <= set(names)

    def test_a_step_moves_nothing_else(self, base):
        image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        before = model_hash(base)
        extended = with_new_experts(base, 2)
        new = new_parameters(extended, base)
        optimizer = torch.optim.SGD(new.values(), lr=1.0)
        for _ in range(2):  # what the prompts' strength is worth shows once they are not zero
            decoded, _ = extended(image, [JPEG2000])
            (decoded.rich.square().mean() + decoded.faithful.square().mean()).backward()
            optimizer.step()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in new.values())
        assert model_hash(base) == before
        assert all(p.grad is None for p in base.parameters())

    def test_a_model_without_pools(self, base):
        class Plain(torch.nn.Module):
            pass

        with pytest.raises(RecipeError, match="no part of this model has prompts"):
            with_new_experts(Plain(), 2)

    def test_a_model_whose_parts_keep_to_themselves(self):
        class Closed(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.pool = PromptPool(4, experts=2, top_k=1, extensible=False)

        with pytest.raises(RecipeError, match="no part of this model has prompts") as caught:
            with_new_experts(Closed(), 1)
        assert "extensible = true" in caught.value.hint


class TestFiles:
    def test_round_trip(self, base, tmp_path):
        pack = make_pack(base)
        save_packs([pack], tmp_path / "p.safetensors")
        [again] = load_packs(tmp_path / "p.safetensors")
        assert (again.card,) == (pack.card,) == read_cards(tmp_path / "p.safetensors")
        assert again.tensors.keys() == pack.tensors.keys()
        assert all(torch.equal(again.tensors[n], t) for n, t in pack.tensors.items())
        assert set(distance(pack, again).values()) == {0.0}

    def test_other_prompts_are_at_a_distance(self, base):
        apart = distance(make_pack(base), make_pack(base, seed=1))
        assert all(0.5 < value < 2 for value in apart.values())

    def test_not_a_pack(self, base, tmp_path):
        missing, garbage, model = (tmp_path / f"{n}.safetensors" for n in ("a", "b", "c"))
        garbage.write_bytes(b"not safetensors at all")
        save_file({"x": torch.zeros(1)}, model, metadata={"format": "diffir-model-1"})
        with pytest.raises(CheckpointError, match="there is no prompt pack"):
            load_packs(missing)
        with pytest.raises(CheckpointError, match=r"b.safetensors is not a prompt pack"):
            load_packs(garbage)
        garbage.write_bytes(b"")
        with pytest.raises(CheckpointError, match="is not a prompt pack: its header cannot be rea"):
            read_cards(garbage)
        with pytest.raises(CheckpointError, match="its format is 'diffir-model-1', expected"):
            load_packs(model)

    def test_a_truncated_pack_is_damaged(self, base, tmp_path):
        path = tmp_path / "p.safetensors"
        save_packs([make_pack(base)], path)
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(CheckpointError, match="is damaged"):
            load_packs(path)

    def test_too_large(self, base, tmp_path):
        pack = make_pack(base)
        big = PromptPack(pack.card, {"x": torch.zeros(1024, 1025)})
        with pytest.raises(CheckpointError, match="is larger than 2097152"):
            save_packs([big], tmp_path / "p.safetensors")
        header = {"format": "diffir-prompts-2", "cards": json.dumps([pack.card.to_dict()])}
        save_file({"x": torch.zeros(600_000)}, tmp_path / "q.safetensors", metadata=header)
        with pytest.raises(CheckpointError, match=r"has 240.* bytes; a prompt pack has at most"):
            load_packs(tmp_path / "q.safetensors")


class TestMerging:
    def test_merged_packs_restore_as_each_alone(self, build_model, base, tmp_path):
        device = torch.device("cpu")
        mpeg2 = CodecInfo(name="mpeg2", severity=0.5)
        packs = [make_pack(base), make_pack(base, name="old", codecs=("mpeg2",), seed=1)]
        check_mergeable(packs)
        save_packs(packs, tmp_path / "both.safetensors")
        assert [card.name for card in read_cards(tmp_path / "both.safetensors")] == [
            "wavelets",
            "old",
        ]
        merged = Restorer(
            build_model(), device=device, packs=load_packs(tmp_path / "both.safetensors")
        )
        for pack, codec in zip(packs, (JPEG2000, mpeg2), strict=True):
            save_packs([pack], tmp_path / "one.safetensors")
            alone = Restorer(
                build_model(), device=device, packs=load_packs(tmp_path / "one.safetensors")
            )
            np.testing.assert_array_equal(restored(alone, codec), restored(merged, codec))
        plain = Restorer(build_model(), device=device)
        np.testing.assert_array_equal(restored(plain, JPEG), restored(merged, JPEG))

    def test_packs_that_cannot_live_together(self, base):
        pack = make_pack(base)
        with pytest.raises(CheckpointError, match="'wavelets' and 'second' both serve jpeg2000"):
            check_mergeable([pack, make_pack(base, name="second")])
        stranger = PromptPack(replace(pack.card, base_hash="0" * 64, codecs=("x",)), pack.tensors)
        with pytest.raises(CheckpointError, match="were made for different base models"):
            check_mergeable([pack, stranger])


class TestRecognizing:
    """A recognizer that goes by one trace, which the pixels of `picture` have or have not."""

    @pytest.fixture
    def pack(self, base):
        traces = base.router.traces(to_image(picture(JPEG).pixels))
        recognizer = Recognizer(traces.shape[1], hidden=2).requires_grad_(False)
        for parameter in recognizer.parameters():
            parameter.zero_()
        recognizer.layers[2].bias.copy_(torch.tensor([1.0, 0.5]))
        plain = make_pack(base)
        card = replace(plain.card, recognition=Recognition(0.0, found=0.9, taken=0.01))
        return PromptPack(card, plain.tensors, recognizer.state_dict())

    def test_pixels_alone_find_the_pack(self, build_model, pack, tmp_path):
        save_packs([pack], tmp_path / "p.safetensors")
        [pack] = load_packs(tmp_path / "p.safetensors")
        restorer = Restorer(build_model(), device=torch.device("cpu"), packs=[pack])
        treatment = restorer.treatment(picture(CodecInfo.unknown()))
        assert treatment.card == pack.card
        assert treatment.told.name == "jpeg2000"
        assert treatment.told.severity == pytest.approx(0.6225, abs=1e-3)
        assert treatment.told.sources["name"] == "estimate"

    def test_below_the_threshold_nothing_changes(self, build_model, pack):
        device = torch.device("cpu")
        strict = replace(pack.card, recognition=Recognition(1.5, found=0.1, taken=0.0))
        packs = [PromptPack(strict, pack.tensors, pack.recognizer)]
        packed = Restorer(build_model(), device=device, packs=packs)
        plain = Restorer(build_model(), device=device)
        unknown = CodecInfo.unknown()
        assert packed.treatment(picture(unknown)) == plain.treatment(picture(unknown))
        np.testing.assert_array_equal(restored(plain, unknown), restored(packed, unknown))

    def test_a_file_that_tells_is_believed(self, build_model, pack):
        device = torch.device("cpu")
        packed = Restorer(build_model(), device=device, packs=[pack])
        plain = Restorer(build_model(), device=device)
        for codec in (JPEG, CodecInfo(name="webp", severity=0.2), CodecInfo(name="jpeg")):
            assert packed.treatment(picture(codec)).card is None
            np.testing.assert_array_equal(restored(plain, codec), restored(packed, codec))

    def test_the_surest_of_several(self, build_model, base, pack):
        other = make_pack(base, name="old", codecs=("mpeg2",), seed=1)
        sure = replace(other.card, recognition=Recognition(-1.0, found=0.9, taken=0.01))
        packs = [pack, PromptPack(sure, other.tensors, pack.recognizer)]
        restorer = Restorer(build_model(), device=torch.device("cpu"), packs=packs)
        assert restorer.treatment(picture(CodecInfo.unknown())).card == sure

    def test_a_recognizer_of_another_version(self, build_model, pack):
        broken = PromptPack(pack.card, pack.tensors, {"x": torch.zeros(1)})
        with pytest.raises(CheckpointError, match="the recognizer of the prompt pack 'wavelets'"):
            Restorer(build_model(), device=torch.device("cpu"), packs=[broken])


class TestRestoring:
    def test_a_pack_changes_the_pictures_of_its_codec_and_no_others(self, build_model, base):
        device = torch.device("cpu")
        plain = Restorer(build_model(), device=device)
        packs = [make_pack(base), make_pack(base, name="old", codecs=("mpeg2",), seed=1)]
        packed = Restorer(build_model(), device=device, packs=packs)
        assert (restored(plain, JPEG2000) != restored(packed, JPEG2000)).any()
        for codec in (JPEG, CodecInfo(name="webp", severity=0.2), CodecInfo.unknown()):
            assert packed.pack_for(codec) is None
            np.testing.assert_array_equal(restored(plain, codec), restored(packed, codec))
        alone = Restorer(build_model(), device=device, packs=packs[:1])
        np.testing.assert_array_equal(restored(alone, JPEG2000), restored(packed, JPEG2000))

    def test_what_learns_nothing_is_the_bases_own(self, base):
        extended = with_new_experts(base, 1)
        assert extended.denoiser is base.denoiser
        assert extended.decoder is not base.decoder

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_a_pack_is_put_together_for_its_first_picture_and_once(self, build_model, base, dtype):
        restorer = Restorer(
            build_model(), device=torch.device("cpu"), dtype=dtype, packs=[make_pack(base)]
        )
        restored(restorer, JPEG)
        assert not restorer._extended
        restored(restorer, JPEG2000)
        [made] = restorer._extended.values()
        restored(restorer, JPEG2000)
        assert [made] == list(restorer._extended.values())
        assert {p.dtype for p in made.parameters()} == {dtype}

    def test_a_pack_for_a_codec_with_a_relative_begins_where_the_base_stands(self, build_model):
        model = build_model()
        model.router.relatives = {"jpeg2000": "webp"}
        extended = with_new_experts(model, 2).eval()
        image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        told = what_is_told(model, picture(JPEG2000))
        assert told.name == "webp"
        with torch.inference_mode():
            alone, begun = model.eval()(image, [told])[0], extended(image, [JPEG2000])[0]
        assert torch.equal(begun.rich, alone.rich)
        assert torch.equal(begun.faithful, alone.faithful)

    def test_a_pack_for_a_codec_that_the_base_knows(self, build_model, base):
        network, pack = build_model(), make_pack(base, codecs=("jpeg", "webp"))
        plain = Restorer(network, device=torch.device("cpu"))
        packed = Restorer(network, device=torch.device("cpu"), packs=[pack])
        bare = picture(CodecInfo(name="webp"))  # its severity is seen, as without the pack
        assert packed.treatment(bare).told == plain.treatment(bare).told
        assert packed.treatment(bare).card == pack.card
        unknown = picture(CodecInfo.unknown())  # so is its codec
        seen = plain.treatment(unknown).told
        assert seen.name in pack.card.codecs
        assert packed.treatment(unknown).told == seen
        assert packed.treatment(unknown).card == pack.card
        relative = picture(CodecInfo(name="vvc", severity=0.8))
        assert packed.treatment(relative) == plain.treatment(relative)
        always = Restorer(network, device=torch.device("cpu"), pack=pack)
        assert always.treatment(relative).card == pack.card
        assert always.treatment(unknown).told == seen
        assert always.treatment(unknown).strength == plain.treatment(unknown).strength
        assert always.treatment(unknown).card == always.treatment(bare).card == pack.card

    @pytest.mark.parametrize("told", [CodecInfo.unknown(), CodecInfo(name="webp")])
    def test_severity_seen_in_pixels_decides_as_well(self, build_model, base, told):
        network, pack = build_model(), make_pack(base, codecs=("jpeg", "webp"))
        plain = Restorer(network, device=torch.device("cpu")).treatment(picture(told))
        for step, served in ((-0.01, True), (0.01, False)):
            card = replace(pack.card, least_severity=plain.told.severity + step)
            packs = [replace(pack, card=card)]
            packed = Restorer(network, device=torch.device("cpu"), packs=packs)
            assert packed.treatment(picture(told)) == replace(plain, card=card if served else None)

    def test_a_lighter_picture_of_a_known_codec_is_the_bases_bit_by_bit(self, build_model, base):
        network, pack = build_model(), make_pack(base, codecs=("jpeg",))
        pack = replace(pack, card=replace(pack.card, least_severity=0.5))
        plain = Restorer(network, device=torch.device("cpu"))
        packed = Restorer(network, device=torch.device("cpu"), packs=[pack])
        for severity, same in ((0.49, True), (0.5, False)):
            codec = CodecInfo(name="jpeg", severity=severity)
            assert (restored(packed, codec) == restored(plain, codec)).all() == same

    def test_one_pack_for_every_picture(self, build_model, base):
        restorer = Restorer(build_model(), device=torch.device("cpu"), pack=make_pack(base))
        assert restorer.pack_for(CodecInfo.unknown()) == "wavelets"
        plain = Restorer(build_model(), device=torch.device("cpu"))
        unknown = CodecInfo.unknown()
        assert (restored(plain, unknown) != restored(restorer, unknown)).any()

    def test_a_pack_for_another_base_is_refused(self, build_model, base):
        other = build_model()
        torch.nn.init.zeros_(other.decoder.faithful_head.bias)
        with torch.no_grad():
            other.encoder.stem.bias += 1
        with pytest.raises(CheckpointError, match="'wavelets' was made for other weights of"):
            PackFit(other).check(make_pack(base))

    def test_a_pack_that_does_not_fit(self, base):
        pack = make_pack(base)
        fewer = dict(list(pack.tensors.items())[1:])
        with pytest.raises(CheckpointError, match="'wavelets' does not fit 'tiny': first at"):
            PackFit(base).check(PromptPack(pack.card, fewer))


class TestStore:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path / "config"))
        return tmp_path

    @pytest.fixture
    def file(self, base, folder):
        save_packs([make_pack(base)], folder / "shared.safetensors")
        return folder / "shared.safetensors"

    def test_install_find_remove(self, file):
        installed = pack_store.install_pack(file)
        host = default_host()
        [stored] = pack_store.stored_packs(host)
        assert (stored.name, stored.source) == ("wavelets", "installed")
        assert stored == installed
        assert pack_store.find_pack("wavelets", host).read_bytes() == file.read_bytes()
        assert pack_store.find_pack(str(file), host) == file
        pack_store.remove_pack("wavelets")
        assert pack_store.stored_packs(host) == []

    def test_one_pack_a_codec(self, base, file, folder):
        pack_store.install_pack(file)
        with pytest.raises(CheckpointError, match="a prompt pack for jpeg2000 is installed"):
            pack_store.install_pack(file)
        pack_store.install_pack(file, replace=True)
        save_packs([make_pack(base, name="newer")], folder / "newer.safetensors")
        pack_store.install_pack(folder / "newer.safetensors", replace=True)
        assert [p.name for p in pack_store.stored_packs(default_host())] == ["newer"]

    def test_a_merged_pack_is_not_lost_to_a_single_one(self, base, file, folder):
        packs = [make_pack(base), make_pack(base, name="old", codecs=("mpeg2",))]
        save_packs(packs, folder / "both.safetensors")
        assert pack_store.install_pack(folder / "both.safetensors").name == "wavelets+old"
        with pytest.raises(CheckpointError, match=r"'wavelets.old', which serves mpeg2 too"):
            pack_store.install_pack(file, replace=True)
        save_packs([make_pack(base, codecs=("avs",))], folder / "other.safetensors")
        pack_store.install_pack(folder / "other.safetensors")
        save_packs([make_pack(base, codecs=("x",))], folder / "other.safetensors")
        for replace_it in (False, True):  # one name, another codec: the one that is there would go
            with pytest.raises(CheckpointError, match="prompt pack for avs is installed: 'wavele"):
                pack_store.install_pack(folder / "other.safetensors", replace=replace_it)

    def test_a_name_that_leads_out_of_the_folder(self, base, file, folder):
        with pytest.raises(ValueError, match=r"a pack cannot be called '\.\./x'"):
            make_pack(base, name="../x")
        file.write_bytes(file.read_bytes().replace(b"wavelets", b"../avele"))
        with pytest.raises(CheckpointError, match=r"a pack cannot be called '\.\./avele'"):
            pack_store.install_pack(file)
        with pytest.raises(UnknownComponentError, match=r"no prompt pack '\.\./shared'"):
            pack_store.remove_pack("../shared")
        assert file.exists()

    def test_a_broken_file_is_a_row(self, file):
        pack_store.install_pack(file)
        (pack_store.packs_folder() / "bad.safetensors").write_bytes(b"x")
        rows = {p.name: p for p in pack_store.stored_packs(default_host())}
        assert rows["bad"].cards == ()
        assert "is not a prompt pack" in str(rows["bad"].error)
        assert rows["wavelets"].error is None

    def test_names_that_are_not_there(self, folder):
        with pytest.raises(UnknownComponentError, match="there is no prompt pack 'x'"):
            pack_store.find_pack("x", default_host())
        with pytest.raises(UnknownComponentError, match="no prompt pack 'x' is installed"):
            pack_store.remove_pack("x")

    def test_restoring_takes_the_packs_of_this_model(self, file, tiny_weights, base, folder):
        codec = JPEG2000
        plain = load(tiny_weights, device="cpu")
        # The file's weights are half precision, so its hash is that of the model they came from.
        pack_store.install_pack(file)
        packed = load(tiny_weights, device="cpu")
        assert packed.pack_for(codec) == "wavelets"
        assert (restored(plain, codec) != restored(packed, codec)).any()
        none = load(tiny_weights, device="cpu", prompts="none")
        np.testing.assert_array_equal(restored(plain, codec), restored(none, codec))
        always = load(tiny_weights, device="cpu", prompts=str(file))
        assert always.pack_for(CodecInfo.unknown()) == "wavelets"

    def test_a_damaged_pack_is_left_out_with_a_warning(self, file, tiny_weights, caplog):
        pack_store.install_pack(file)
        folder = pack_store.packs_folder()
        whole = (folder / "wavelets.safetensors").read_bytes()
        (folder / "wavelets.safetensors").write_bytes(whole[:-100])
        (folder / "no.safetensors").write_bytes(b"no")
        assert load(tiny_weights, device="cpu").pack_for(JPEG2000) is None
        warnings = [record.getMessage() for record in caplog.records]
        assert "pack 'no' (installed) is left out: " in warnings[0]
        assert "pack 'wavelets' (installed) is left out: " in warnings[1]
        assert "is damaged: " in warnings[1]
        with pytest.raises(CheckpointError, match="is damaged"):
            load(tiny_weights, device="cpu", prompts="wavelets")

    def test_one_that_cannot_be_read(self, file, monkeypatch):
        def refuse(self, *words):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(CheckpointError, match="cannot be read: Permission denied"):
            load_packs(file)

    def test_the_first_pack_for_a_codec_serves_it(self, base):
        first, other = make_pack(base), make_pack(base, name="b", codecs=("jpeg2000", "mpeg2"))
        choice = PackChoice([first, other])
        assert choice.by_codec(JPEG2000) == first.card
        assert choice.by_codec(CodecInfo(name="mpeg2")) == other.card

    def test_lighter_compression_is_the_bases(self, base):
        pack = make_pack(base)
        card = replace(pack.card, least_severity=0.5)
        choice = PackChoice([replace(pack, card=card)])
        assert choice.by_codec(replace(JPEG2000, severity=0.5)) == card
        assert choice.by_codec(replace(JPEG2000, severity=0.49)) is None
        assert choice.by_codec(CodecInfo(name="jpeg2000")) == card  # how hard is not told
        always = PackChoice([], replace(pack, card=card))
        assert always.by_codec(replace(JPEG2000, severity=0.0)) == card

    @pytest.mark.parametrize("severity", [-0.1, 7.0, float("nan")])
    def test_a_card_whose_severity_cannot_be(self, base, severity):
        with pytest.raises(ValueError, match="a pack cannot serve from severity"):
            replace(make_pack(base).card, least_severity=severity)

    @pytest.mark.parametrize("experts", [0, "2"])
    def test_a_card_whose_experts_cannot_be(self, base, experts):
        with pytest.raises(ValueError, match=r"a pack cannot have .* experts"):
            replace(make_pack(base).card, experts=experts)

    def test_a_pack_of_earlier_weights_is_told(self, base, folder, tiny_weights, caplog):
        pack = make_pack(base)
        stale = replace(pack.card, base_hash="0" * 64)
        save_packs([PromptPack(stale, pack.tensors)], folder / "s.safetensors")
        pack_store.install_pack(folder / "s.safetensors")
        load(tiny_weights, device="cpu")
        [warning] = caplog.records
        assert "is left out: it was made for other weights of 'tiny'" in warning.getMessage()

    def test_packs_for_other_models_are_left_alone(self, base, folder, tiny_weights, caplog):
        pack = make_pack(base)
        stranger = PromptPack(replace(pack.card, base_hash="0" * 64, base="sd21"), pack.tensors)
        save_packs([stranger], folder / "s.safetensors")
        pack_store.install_pack(folder / "s.safetensors")
        assert load(tiny_weights, device="cpu").pack_for(JPEG2000) is None
        assert not caplog.records
        with pytest.raises(CheckpointError, match="was made for other weights"):
            load(tiny_weights, device="cpu", prompts="wavelets")


PLUGIN = """
from diffir.host.hookspecs import hookimpl

diffir_api = 1


@hookimpl
def register_prompt_packs(register):
    register("brought", "{target}", summary="wavelets")
"""


class TestPluginPacks:
    @pytest.fixture
    def host_of(self, base, tmp_path, monkeypatch):
        """A host with a plugin of one file, beside which a pack lies."""
        monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path / "config"))
        save_packs([make_pack(base)], tmp_path / "pack.safetensors")

        def build(target):
            file = tmp_path / "bringer.py"
            file.write_text(PLUGIN.replace("{target}", target))
            return build_host(plugin_files=[file])

        return build

    def test_it_serves_its_codec(self, host_of, tiny_weights):
        host = host_of("diffir_plugin_bringer:pack.safetensors")
        [stored] = pack_store.stored_packs(host)
        assert (stored.name, stored.source, stored.error) == ("brought", "bringer", None)
        restorer = load(tiny_weights, device="cpu", host=host)
        assert restorer.pack_for(JPEG2000) == "wavelets"
        plain = load(tiny_weights, device="cpu", host=host, prompts="none")
        np.testing.assert_array_equal(restored(plain, JPEG), restored(restorer, JPEG))

    def test_in_a_folder_beside_the_module(self, host_of, tmp_path):
        host = host_of("diffir_plugin_bringer:packs/pack.safetensors")
        (tmp_path / "packs").mkdir()
        (tmp_path / "pack.safetensors").rename(tmp_path / "packs" / "pack.safetensors")
        [stored] = pack_store.stored_packs(host)
        assert (stored.error, len(stored.cards)) == (None, 1)

    def test_in_a_package_without_init(self, host_of, tmp_path, monkeypatch):
        (tmp_path / "bare_folder").mkdir()
        (tmp_path / "pack.safetensors").rename(tmp_path / "bare_folder" / "pack.safetensors")
        monkeypatch.syspath_prepend(str(tmp_path))
        [stored] = pack_store.stored_packs(host_of("bare_folder:pack.safetensors"))
        assert stored.error is None

    def test_an_installed_one_comes_first(self, host_of, base, tiny_weights, tmp_path):
        host = host_of("diffir_plugin_bringer:pack.safetensors")
        save_packs([make_pack(base, name="mine", seed=1)], tmp_path / "mine.safetensors")
        pack_store.install_pack(tmp_path / "mine.safetensors")
        assert load(tiny_weights, device="cpu", host=host).pack_for(JPEG2000) == "mine"

    @pytest.mark.parametrize(
        ("target", "why"),
        [
            ("diffir_plugin_bringer:none.safetensors", "there is no prompt pack"),
            ("nowhere:pack.safetensors", "fails on import: ModuleNotFoundError"),
            ("diffir_plugin_bringer", "is not of the form 'package.module:file'"),
        ],
    )
    def test_one_that_is_not_there_stops_nothing(self, host_of, tiny_weights, caplog, target, why):
        host = host_of(target)
        [stored] = pack_store.stored_packs(host)
        assert why in str(stored.error)
        assert load(tiny_weights, device="cpu", host=host).pack_for(JPEG2000) is None
        [warning] = caplog.records
        assert f"'brought' (bringer) is left out: {stored.error.message}" in warning.getMessage()
