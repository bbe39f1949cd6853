"""`diffir convert`, from checkpoints with the published names to a restored picture."""

from __future__ import annotations

import json

import pytest
import small_checkpoints as small
import torch
from safetensors.torch import load_file, save_file

import diffir as library
from diffir.convert.conversion import convert
from diffir.convert.recipe_tables import with_table, without_table
from diffir.errors import CheckpointError
from diffir.host.manager import default_host
from diffir.restore.checkpoint import load_checkpoint, read_card
from diffir.weights.base_weights import BaseWeights
from diffir.weights.tensor_file import sha256_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")
    (folder / "small.toml").write_text(small.recipe().text, encoding="utf-8")
    small.saved(small.diffusion(), folder / "Visual_DACLIP.ckpt")
    small.saved(small.decoder(), folder / "Decoder_Finetuned.ckpt")
    return folder


@pytest.fixture
def run(diffir, folder, tmp_path, photos):
    """Run the command on both files, unless others are named."""

    def run(*words, sources=("Visual_DACLIP.ckpt", "Decoder_Finetuned.ckpt")):
        paths = [folder / name for name in sources]
        target = ("-o", tmp_path / "x.safetensors")
        return diffir("convert", *paths, *target, "--recipe", folder / "small.toml", *words)

    return run


def test_a_converted_checkpoint_restores_a_picture(run, diffir, folder, tmp_path, photos):
    told = run()
    assert told.code == 0, told.err
    assert "prior's U-Net         686" in told.out
    assert "248       the decoder checkpoint's autoencoder is used" in told.out
    assert told.out.endswith("moe prompts, visual-to-text adapter, enhancer, DA-CLIP\n")
    picture = next(photos.glob("*.png"))
    done = diffir(
        "restore", picture, "-o", tmp_path / "y.png", "--model", tmp_path / "x.safetensors"
    )
    assert done.code == 0, done.err
    assert library.read(tmp_path / "y.png").pixels.shape == library.read(picture).pixels.shape
    card = read_card(tmp_path / "x.safetensors")
    source = folder / "Visual_DACLIP.ckpt"
    assert card["diffusion checkpoint"] == f"{source.name}, sha256 {sha256_of(source)}"
    assert "without a license" in card["license"]
    assert card["holds"] == "moe prompts, visual-to-text adapter, enhancer, DA-CLIP"


def test_the_dtype_is_a_choice_and_nothing_is_replaced_unasked(run, tmp_path):
    assert run("--dtype", "float32").code == 0
    stored = load_file(tmp_path / "x.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float32}
    again = run()
    assert again.code == 1
    assert "exists already" in again.err
    assert run("--overwrite").code == 0
    assert run("--overwrite", "--dtype", "int8").err.startswith("error: --dtype must be float16")


def test_everything_as_json(run):
    record = json.loads(run("--json").out)
    assert record["placed"]["router.stem.weight"] == "structcond_stage_model.conv_first.0.weight"
    assert record["dropped"]["betas"] == "the noise schedule; the sampler has its own"
    assert record["missing"] == record["unexpected"] == record["misshapen"] == []


class TestFaults:
    def test_without_the_decoder(self, run, tmp_path):
        told = run(sources=["Visual_DACLIP.ckpt"])
        assert told.code == 1
        assert "missing       decoder.fusions.0.reduce.norm1.weight" in told.out
        assert "... and 151 more: see --report" in told.out
        assert "--no-compensator to do without" in told.err
        assert list(tmp_path.iterdir()) == []
        assert "and 151 more" not in run("--report", sources=["Visual_DACLIP.ckpt"]).out

    def test_doing_without_the_decoder(self, run, tmp_path):
        told = run("--no-compensator", sources=["Visual_DACLIP.ckpt"])
        assert told.code == 0, told.err
        assert "the compensator does nothing" in told.out
        decoder = load_checkpoint(tmp_path / "x.safetensors", default_host())[0].decoder
        maps = torch.randn(1, 16, 4, 4), torch.randn(1, 16, 4, 4)
        assert not decoder.fusions[0](*maps).any()

    def test_a_tensor_that_is_not_known(self, diffir, folder, tmp_path):
        tensors = small.diffusion() | {"structcond_stage_model.extra": torch.ones(1)}
        small.saved(tensors, tmp_path / "a.ckpt")
        told = diffir(
            "convert", tmp_path / "a.ckpt", folder / "Decoder_Finetuned.ckpt",
            "--recipe", folder / "small.toml", "-o", tmp_path / "x.safetensors",
        )  # fmt: skip
        assert told.code == 0
        assert "unexpected    structcond_stage_model.extra" in told.out
        assert "warning: 1 tensors are not known" in told.err

    def test_of_another_size(self, diffir, folder, tmp_path):
        paths = folder / "Visual_DACLIP.ckpt", folder / "Decoder_Finetuned.ckpt"
        told = diffir("convert", *paths, "-o", tmp_path / "x.safetensors")
        assert told.code == 1
        assert "should be (1280, 320), model.diffusion_model.time_embed.0.weight is" in told.err
        assert "--recipe" in told.err

    @pytest.mark.parametrize(
        ("name", "looks"),
        [
            ("model.diffusion_model.out.2.bias", "a plain Stable Diffusion"),
            ("structcond_stage_model.input_blocks.0.0.weight", "StableSR's"),
            ("first_stage_model.quant_conv.bias", "an autoencoder"),
            ("denoiser.unet.conv_in.bias", "diffir's own"),
            ("fc.weight", "its names begin like 'fc.weight'"),
        ],
    )
    def test_another_model(self, tmp_path, name, looks):
        save_file({name: torch.ones(1)}, tmp_path / "a.ckpt")
        with pytest.raises(CheckpointError, match=f"is no published checkpoint.*{looks}"):
            convert([tmp_path / "a.ckpt"], default_host())

    def test_half_of_a_model_and_the_same_half_twice(self, folder):
        decoder = folder / "Decoder_Finetuned.ckpt"
        with pytest.raises(CheckpointError, match="no diffusion checkpoint, only decoder"):
            convert([decoder], default_host())
        with pytest.raises(CheckpointError, match="are both of the kind 'decoder'"):
            convert([decoder, decoder], default_host())


VARIANTS = {
    "prompts": {"v2t": False, "prior": False},
    "v2t": {"prior": False},
    "single": {"v2t": False, "prior": False, "prompts": "single"},
    "multiple": {"v2t": False, "prior": False, "prompts": "multiple"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_variants(folder, tmp_path, variant):
    """Each is known by its names; without the adapter the empty caption takes its place."""
    stored = small.diffusion(**VARIANTS[variant])
    path = small.saved(stored, tmp_path / "a.ckpt")
    conversion = convert(
        [path, folder / "Decoder_Finetuned.ckpt"], default_host(), recipe=small.recipe()
    )
    conversion.write(tmp_path / "x.safetensors", dtype=torch.float32)
    model, recipe = load_checkpoint(tmp_path / "x.safetensors", default_host())
    assert recipe.parts["conditioner"].use == ("clip-to-text" if variant == "v2t" else "empty-text")
    assert "prior" not in recipe.parts["router"].options
    with torch.no_grad():
        decoded, _ = model(torch.rand(1, 3, 64, 64), [library.CodecInfo.unknown()], steps=1)
    assert decoded.faithful.isfinite().all()
    if variant != "v2t":
        context = model.conditioner.condition(torch.rand(1, 3, 8, 8), torch.rand(1, 4, 1, 1))
        assert context.shape == (1, 77, small.SIZE.sd.context)
        assert context.std() > 0.1
        assert any("text tower" in note for note in conversion.notes)


def test_a_base_fills_in_what_was_left_out(folder, tmp_path):
    stored = small.diffusion(v2t=False, prior=False)
    lean = {
        name: tensor
        for name, tensor in stored.items()
        if not name.startswith(("cond_stage_model.", "model.diffusion_model.out."))
    }
    path = small.saved(lean, tmp_path / "a.ckpt")
    asked = []

    def base(parts):
        asked.append(parts)
        unet = {f"conv_norm_out.{leaf}": torch.full((16,), 5.0) for leaf in ("weight", "bias")}
        unet |= {"conv_out.weight": torch.ones(4, 16, 3, 3), "conv_out.bias": torch.ones(4)}
        text = {n.removeprefix("cond_stage_model."): t for n, t in stored.items()}
        return BaseWeights("a base", "open", {"unet": unet, "text_encoder": text}, {"file": "00"})

    paths = [path, folder / "Decoder_Finetuned.ckpt"]
    conversion = convert(paths, default_host(), recipe=small.recipe(), base=base)
    assert asked == [("unet", "text_encoder")]
    assert conversion.placement.complete
    assert float(conversion.placement.tensors["denoiser.unet.conv_norm_out.bias"][0]) == 5
    assert conversion.card["base file"] == "sha256 00"
    with pytest.raises(CheckpointError, match=r"5 tensors .* are in no file") as caught:
        convert(paths, default_host(), recipe=small.recipe()).check()
    assert "--base" in caught.value.hint


class TestRecipeTables:
    text = 'name = "x"\n\n[a]\nb = 1\n\n# Of a.c.\n[a.c]\nd = 2\n\n[[e]]\nf = 3\n'

    def test_a_table_goes_with_its_remark(self):
        assert without_table(self.text, "a.c") == 'name = "x"\n\n[a]\nb = 1\n\n[[e]]\nf = 3\n'

    def test_a_table_is_replaced_with_those_below_it(self):
        changed = with_table(self.text, "a", "g = 4")
        assert changed == 'name = "x"\n\n[a]\ng = 4\n\n[[e]]\nf = 3\n'


class TestParts:
    def test_a_tower_that_was_stripped_comes_from_its_own_file(self, folder, tmp_path):
        whole = small.diffusion()
        lean = {n: t for n, t in whole.items() if "DACLIP_model." not in n}
        tower = {n.partition("DACLIP_model.")[2]: t for n, t in whole.items() if n not in lean}
        paths = [small.saved(lean, tmp_path / "a.ckpt"), folder / "Decoder_Finetuned.ckpt"]
        with pytest.raises(CheckpointError, match=r"17 tensors .* are in no file") as caught:
            convert(paths, default_host(), recipe=small.recipe()).check()
        assert caught.value.hint == "Give the file of DA-CLIP as well."
        paths.append(small.saved(tower, tmp_path / "daclip.pt"))
        conversion = convert(paths, default_host(), recipe=small.recipe())
        conversion.check()
        assert conversion.card["DA-CLIP"].startswith("daclip.pt, sha256")

    def test_a_part_that_the_variant_does_not_use(self, folder, tmp_path):
        unused = small.diffusion(v2t=False, prior=False) | {
            name: tensor for name, tensor in small.diffusion().items() if "DACLIP_model." in name
        }
        path = small.saved(unused, tmp_path / "a.ckpt")
        paths = [path, folder / "Decoder_Finetuned.ckpt"]
        placement = convert(paths, default_host(), recipe=small.recipe()).placement
        assert placement.complete
        assert not placement.unexpected
        why = "a part that this variant of the method does not use"
        assert list(placement.dropped.values()).count(why) == 17
