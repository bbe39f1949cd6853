"""The maps of names against diffusers' own models and against its own converter."""

from __future__ import annotations

import ldm_layout as ldm
import pytest
import torch

from diffir.weights.ldm_autoencoder import autoencoder_name, current_name
from diffir.weights.ldm_unet import resnet_name, unet_name
from diffir.weights.placing import Dropped, place

SIZES = pytest.mark.parametrize(
    "size",
    [ldm.Size(), ldm.Size(context=768, linear=False), ldm.SMALL],
    ids=["2.1", "1.5", "small"],
)


def unet_of(size: ldm.Size):
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(
            block_out_channels=size.widths,
            cross_attention_dim=size.context,
            attention_head_dim=8,
            use_linear_projection=size.linear,
        )


def autoencoder_of(size: ldm.Size):
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        return AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=size.pixels,
            layers_per_block=2,
            latent_channels=size.latent,
        )


def shapes_of(module: torch.nn.Module) -> ldm.Shapes:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@SIZES
class TestEveryName:
    def test_of_the_unet_has_its_place(self, size):
        wanted = shapes_of(unet_of(size))
        placement = place(ldm.meta_tensors(ldm.unet(size)), unet_name, wanted)
        assert placement.complete
        assert not placement.unexpected
        assert {n: tuple(t.shape) for n, t in placement.tensors.items()} == wanted

    def test_of_the_autoencoder_has_its_place(self, size):
        wanted = shapes_of(autoencoder_of(size))
        placement = place(ldm.meta_tensors(ldm.autoencoder(size)), autoencoder_name, wanted)
        assert placement.complete
        assert not placement.unexpected
        assert {n: tuple(t.shape) for n, t in placement.tensors.items()} == wanted

    def test_is_where_diffusers_puts_it(self, size):
        from diffusers.loaders.single_file_utils import (
            convert_ldm_unet_checkpoint,
            convert_ldm_vae_checkpoint,
        )

        model, half = unet_of(size), autoencoder_of(size)
        stored = ldm.meta_tensors(
            ldm.prefixed("model.diffusion_model.", ldm.unet(size))
            | ldm.prefixed("first_stage_model.", ldm.autoencoder(size))
        )
        theirs = convert_ldm_unet_checkpoint(dict(stored), model.config)
        for name, tensor in stored.items():
            if name.startswith("model."):
                assert theirs[unet_name(name.removeprefix("model.diffusion_model."))] is tensor
        theirs = convert_ldm_vae_checkpoint(dict(stored), half.config)
        origins = {autoencoder_name(n.removeprefix("first_stage_model.")): n for n in stored}
        assert set(theirs) <= set(origins)
        for name, tensor in theirs.items():
            assert tensor.numel() == stored[origins[name]].numel(), name
            if ".attentions." not in name:
                assert tensor is stored[origins[name]]


@pytest.mark.parametrize(
    "name",
    [
        "middle_block.0.spade.mlp_shared.0.weight",
        "middle_block.3.in_layers.0.weight",
        "input_blocks.1.2.conv.weight",
        "input_blocks.1.0.in_layers.1.weight",
        "output_blocks.0.0.emb_layers.0.weight",
        "label_emb.weight",
        "out.1.weight",
    ],
)
def test_names_that_are_not_the_unets(name):
    assert unet_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "loss.logvar",
        "decoder.fusion_layer_1.encode_enc_1.norm1.weight",
        "encoder.mid.attn_2.q.weight",
        "encoder.mid.attn_1.norm1.weight",
        "decoder.up.4.block.0.norm1.weight",
        "encoder.down.0.attn.0.q.weight",
        "quant_conv2.weight",
    ],
)
def test_names_that_are_not_the_autoencoders(name):
    assert autoencoder_name(name) is None


def test_blocks_where_prompts_enter():
    assert resnet_name("middle_block.0") == "mid_block.resnets.0"
    assert resnet_name("output_blocks.11.0") == "up_blocks.3.resnets.2"
    assert resnet_name("elsewhere") is None


def test_folders_of_older_diffusers():
    old = "decoder.mid_block.attentions.0.proj_attn.weight"
    assert current_name(old) == "decoder.mid_block.attentions.0.to_out.0.weight"
    assert current_name("encoder.mid_block.attentions.0.key.bias").endswith(".to_k.bias")
    assert all(current_name(name) == name for name in shapes_of(autoencoder_of(ldm.SMALL)))


class TestPlace:
    wanted = {"a": (2, 3), "b": (4,), "c": (2, 3, 1, 1)}  # noqa: RUF012

    def test_each_name_ends_somewhere(self):
        names = {"A": "a", "B": "b", "C": "c", "again": "a", "out": Dropped("no use")}
        shapes = {"A": (2, 3, 1, 1), "B": (5,), "again": (2, 3), "out": (1,), "unknown": (1,)}
        placement = place(ldm.meta_tensors(shapes), names.get, self.wanted)
        assert {n: tuple(t.shape) for n, t in placement.tensors.items()} == {"a": (2, 3)}
        assert placement.origins == {"a": "A", "b": "B"}
        assert placement.dropped == {"out": "no use"}
        assert placement.unexpected == ["again", "unknown"]
        assert placement.missing == ["c"]
        assert [str(misfit) for misfit in placement.misshapen] == ["b should be (4,), B is (5,)"]
        assert not placement.complete

    @pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1, 1), (1, 2, 3)])
    def test_sides_of_one_are_no_difference(self, shape):
        numbers = torch.arange(6.0)
        placement = place({"a": numbers.reshape(shape)}, str, {"a": (2, 3)})
        assert placement.tensors["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
