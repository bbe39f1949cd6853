"""Stable Diffusion's size: counted in full on the meta device, run at a small width."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from small_sd21 import NATIVE, OFFICIAL, small_model, small_recipe

import diffir
from diffir.contracts.codec import CodecInfo
from diffir.contracts.interfaces import Encoded
from diffir.contracts.picture import Picture
from diffir.errors import CheckpointError, RecipeError
from diffir.host.manager import default_host
from diffir.recipes.recipe import load_recipe
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import load_checkpoint, save_checkpoint
from diffir.restore.prompt_packs import model_hash, new_parameters, with_new_experts
from diffir.restore.restorer import Restorer, load
from diffir.testing import DecoderSuite, RouterSuite

RECIPES = (NATIVE, OFFICIAL)
CODECS = [CodecInfo(name="jpeg", quality=10.0), CodecInfo.unknown()]


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request):
    return small_recipe(request.param)


@pytest.fixture(scope="module")
def model(recipe):
    return small_model(recipe)


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 128, 64, generator=torch.Generator().manual_seed(0))


def run(model, images, codecs=CODECS, **options):
    with torch.inference_mode():
        noise = torch.Generator().manual_seed(options.pop("seed", 0))
        return model(images, codecs[: len(images)], generator=noise, **options)


def millions(*modules: torch.nn.Module) -> float:
    return sum(p.numel() for module in modules for p in module.parameters()) / 1e6


@pytest.fixture(scope="module", params=RECIPES)
def full(request):
    host = default_host()
    with torch.device("meta"):
        return assemble(load_recipe(request.param, host), host)


class TestCounts:
    """Parameters at full size, in millions, against the specification of the published model."""

    def test_stable_diffusion(self, full):
        assert millions(full.denoiser.unet) == pytest.approx(865.91, abs=0.005)
        autoencoder = full.encoder, full.decoder.decoder, full.decoder.post_quant_conv
        assert millions(*autoencoder) == pytest.approx(83.65, abs=0.005)

    def test_what_steers_it(self, full):
        assert millions(full.denoiser.injections) == pytest.approx(31.16, abs=0.005)
        by_width = {}
        for spade in full.denoiser.injections.values():
            by_width.setdefault(spade.norm.num_channels, []).append(millions(spade))
        expected = {1280: [3.249] * 7, 640: [1.772] * 3, 320: [1.034] * 3}
        for width, sizes in expected.items():
            assert by_width[width] == pytest.approx(sizes, abs=5e-4)

    def test_the_router(self, full):
        attention = millions(*(level.prior_attention for level in full.router.levels))
        trunk = millions(full.router.stem, full.router.levels, full.router.downs) - attention
        assert trunk == pytest.approx(8.10, abs=0.005)
        assert attention == pytest.approx(4 * 1.049, abs=0.005)
        # One gate for all codecs has a 21st of the published gates' 0.30 M.
        per_level = {"native": 0.4623, "official": 0.534}[
            "official" if full.router.official else "native"
        ]
        assert millions(full.router.pools[0]) == pytest.approx(per_level, abs=5e-4)
        whole = trunk + millions(full.router.pools)
        if full.router.official:
            assert whole == pytest.approx(10.24, abs=0.005)
            assert whole + attention == pytest.approx(14.43, abs=0.005)
        else:
            assert whole == pytest.approx(9.95, abs=0.005)

    def test_visual_to_text_and_the_enhancer(self, full):
        learned = sum(p.numel() for p in full.conditioner.learned_parameters())
        assert learned / 1e6 == pytest.approx(19.45, abs=0.005)
        assert millions(full.conditioner.enhancer) == pytest.approx(3.23, abs=0.005)
        assert sum(p.numel() for p in full.conditioner.enhancer.parameters()) == 3_228_744

    def test_the_compensator(self, full):
        assert millions(full.decoder.fusions[1]) == pytest.approx(33.90, abs=0.005)
        assert millions(full.decoder.fusions[0]) == pytest.approx(10.50, abs=0.005)
        assert millions(full.decoder.fusions) == pytest.approx(44.39, abs=0.005)

    def test_no_tensor_is_there_twice(self, full):
        names = list(full.state_dict())
        assert len(names) == len({id(t) for t in full.state_dict(keep_vars=True).values()})
        assert not any("borrow" in name or "_decode" in name for name in names)

    def test_the_context(self, full):
        assert full.conditioner.learned.shape == (1, 49, 1024)


class TestModel:
    def test_what_comes_out(self, model, images):
        decoded, routing = run(model, images)
        assert decoded.faithful.shape == decoded.rich.shape == images.shape
        assert decoded.rich.isfinite().all()
        assert [p.shape[2:] for p in routing.prompts] == [(16, 8), (8, 4), (4, 2), (2, 1)]
        assert model.multiple == 64

    def test_a_seed_is_a_result(self, model, images):
        one, same, other = (run(model, images, seed=seed)[0].rich for seed in (0, 0, 1))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    @pytest.mark.parametrize("steps", [None, 1, 3])
    def test_steps(self, model, images, steps):
        asked = []
        forward = model.denoiser.forward

        def counting(latent, timesteps, prompts, context):
            asked.append(int(timesteps[0]))
            return forward(latent, timesteps, prompts, context)

        model.denoiser.forward = counting
        try:
            run(model, images, steps=steps)
        finally:
            del model.denoiser.forward
        assert asked == {None: [999, 0], 1: [400], 3: [999, 500, 0]}[steps]

    def test_router_and_context_are_asked_once(self, model, images, monkeypatch):
        calls = []
        for part, verb in ((model.router, "route_image"), (model.conditioner, "condition")):
            inner = getattr(part, verb)
            monkeypatch.setattr(
                part, verb, lambda *a, inner=inner, verb=verb: (calls.append(verb), inner(*a))[1]
            )
        run(model, images, steps=4)
        assert calls == ["route_image", "condition"]

    def test_the_plain_decoder_is_borrowed_and_not_owned(self, model):
        assert model.conditioner._decode.__self__ is model.decoder
        assert all(
            name in ("enhancer", "tower", "conv", "down", "up")
            for name, _ in model.conditioner.named_children()
        )

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
    def test_a_copy_borrows_from_the_copy(self, model, images, duplicate):
        other = duplicate(model)
        assert other.conditioner._decode.__self__ is other.decoder
        assert torch.equal(run(other, images)[0].rich, run(model, images)[0].rich)

    def test_new_experts_change_nothing_at_first(self, model, images):
        blind = [CodecInfo.unknown()] * 2
        extended = with_new_experts(model, 2)
        torch.testing.assert_close(
            run(extended, images, blind)[0].rich, run(model, images, blind)[0].rich
        )
        new = {name for name, p in extended.named_parameters() if p.requires_grad}
        assert {name.split(".")[1] for name in new} == {"pools"}

    def test_what_new_experts_learn_leaves_the_base_alone(self, model):
        before = model_hash(model)
        extended = with_new_experts(model, 1)
        with torch.no_grad():
            for parameter in new_parameters(extended, model).values():
                parameter += 1
        assert model_hash(model) == before

    def test_without_visual_to_text(self, images):
        recipe = small_recipe(
            NATIVE,
            ('use = "clip-to-text"', 'use = "empty-text"'),
            ("learned = 49\ntower_options = { width_factor = 0.125 }\nnormalize = true", ""),
            ("[conditioner.enhancer]\nlatent_channels = 4\nwidth = 8\nblocks = 2", ""),
        )
        assert run(small_model(recipe), images)[0].rich.isfinite().all()

    def test_in_half_precision(self, model, images):
        half = copy.deepcopy(model).bfloat16()
        found = run(half, images.bfloat16())[0].rich
        assert found.dtype == torch.bfloat16
        assert found.isfinite().all()


class TestFiles:
    def test_a_weights_file_restores_a_picture(self, model, recipe, tmp_path):
        path = tmp_path / "small.safetensors"
        save_checkpoint(model, path, recipe=recipe, dtype=torch.float32)
        pixels = np.random.default_rng(0).integers(0, 256, (100, 90, 3), dtype=np.uint8)
        picture = Picture(pixels, codec=CODECS[0])
        restored = load(path, device="cpu", seed=3, prompts="none")(picture)
        assert restored.pixels.shape == pixels.shape
        again = Restorer(copy.deepcopy(model), device=torch.device("cpu"), seed=3)(picture)
        assert np.abs(restored.pixels.astype(int) - again.pixels).max() <= 1

    def test_a_loaded_model_is_the_saved_one(self, model, recipe, tmp_path, images):
        path = tmp_path / "small.safetensors"
        save_checkpoint(model, path, recipe=recipe, dtype=torch.float32)
        loaded, described = load_checkpoint(path, default_host())
        assert described == recipe
        assert not any(tensor.is_meta for tensor in loaded.state_dict().values())
        found, expected = (run(one, images)[0].rich for one in (loaded, model))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("name", RECIPES)
    def test_without_weights_the_next_step_is_told(self, name):
        with pytest.raises(CheckpointError, match=f"'{name}' comes without weights") as caught:
            diffir.load(name)
        assert "stable-diffusion-2-1-base" in caught.value.hint
        assert "diffir convert" in caught.value.hint


class TestRecipe:
    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('use = "sd"', 'use = "sdxl"', "there is no denoiser called 'sdxl'"),
            ('use = "kl-f8"', 'use = "taesd"', "there is no encoder called 'taesd'"),
            ('use = "ddpm"', 'use = "euler"', "use must be one of one-step, ddpm, ddim"),
            ('sites = ["mid.0", "up"]', 'sites = ["all"]', "sites must be of down, mid.0"),
        ],
    )
    def test_what_cannot_be(self, old, new, message):
        with pytest.raises(RecipeError, match=message):
            assemble(small_recipe(NATIVE, (old, new)), default_host())

    def test_a_backbone_that_is_not_there_and_those_that_are(self):
        with pytest.raises(RecipeError) as caught:
            assemble(small_recipe(NATIVE, ('use = "sd"', 'use = "x"')), default_host())
        assert caught.value.hint == "Known: light, sd."

    def test_a_learning_rate_that_trains_nothing(self):
        with pytest.raises(RecipeError, match="stage 'steering': denoiser must be above 0, got 0"):
            small_recipe(OFFICIAL, ("denoiser = 0.5", "denoiser = 0.0"))


@pytest.fixture(scope="module")
def part():
    return small_model(small_recipe(NATIVE))


class TestPyramid(RouterSuite):
    latent_channels = 4

    @pytest.fixture
    def router(self):
        recipe = small_recipe(NATIVE)
        options = {k: v for k, v in recipe.parts["router"].options.items() if k != "prior"}
        return default_host().create("router", "moe-pyramid", **options).eval()


class TestKLDecoder(DecoderSuite):
    latent_channels = 4
    feature_channels = (16, 24)

    @pytest.fixture
    def decoder(self, part):
        return part.decoder

    def _encoded(self, inputs):
        # Its features lie at 1/2 and 1/4 of the picture, and none on the latent's grid.
        features = tuple(
            inputs.image(c, s) for c, s in zip(self.feature_channels, (4, 2), strict=True)
        )
        return Encoded(inputs.image(3, 8), inputs.latent(4), features)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("sd21") / "small.safetensors"
    recipe = small_recipe(NATIVE)
    save_checkpoint(small_model(recipe), path, recipe=recipe, dtype=torch.float32)
    return path


class TestRestorer:
    @pytest.fixture
    def picture(self):
        rows = np.linspace(40, 200, 200).astype(np.uint8)[:, None, None]
        return Picture(np.broadcast_to(rows, (200, 150, 3)).copy(), codec=CODECS[0])

    @pytest.mark.parametrize("blend", ["pixels", "latents"])
    def test_a_picture_larger_than_its_tiles(self, weights, picture, blend):
        restorer = load(weights, device="cpu", tile=128, blend=blend, prompts="none")
        whole = load(weights, device="cpu", tile=256, prompts="none")
        assert restorer(picture).pixels.shape == picture.pixels.shape
        assert not np.array_equal(restorer(picture).pixels, whole(picture).pixels)

    def test_latents_of_one_tile_are_the_whole(self, weights, picture):
        one, other = (
            load(weights, device="cpu", tile=256, blend=blend, prompts="none")(picture).pixels
            for blend in ("pixels", "latents")
        )
        assert np.array_equal(one, other)

    @pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++"])
    def test_another_sampler_than_the_recipes(self, weights, picture, sampler):
        usual = load(weights, device="cpu", prompts="none")
        other = load(weights, device="cpu", sampler=sampler, prompts="none")
        assert (usual.steps, other.steps) == (2, 2)
        assert not np.array_equal(usual(picture).pixels, other(picture).pixels)

    def test_on_the_command_line(self, weights, picture, tmp_path, capsys):
        from diffir.cli.main import main

        diffir.write(picture, tmp_path / "in.png")
        words = f"restore {tmp_path}/in.png -o {tmp_path}/out.png --model {weights} --codec jpeg"
        more = "--quality 10 --steps 3 --sampler dpm-solver++ --blend latents --tile 128"
        with pytest.raises(SystemExit) as leaving:
            main([*words.split(), *more.split(), "--device", "cpu"])
        assert not leaving.value.code, capsys.readouterr()
        assert diffir.read(tmp_path / "out.png").pixels.shape == picture.pixels.shape
