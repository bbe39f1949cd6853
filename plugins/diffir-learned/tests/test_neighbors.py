"""CompressAI wants a numpy below 2: the core and the other plugins live beside it all the same."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import pytest

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.host.manager import default_host
from diffir.testing.sample_pictures import scene


def test_numpy_is_what_compressai_wants():
    wanted = [
        line for line in importlib.metadata.requires("compressai") if line.startswith("numpy")
    ]
    assert wanted == ["numpy<2.0,>=1.21.0"], "CompressAI moved on: so may this plugin's README"
    assert np.__version__.startswith("1.")


@pytest.mark.parametrize("name", [c.name for c in default_host().components("codec")])
def test_every_codec_of_this_environment_works(name):
    codec = default_host().codec(name)
    pixels = scene(40, 48)
    data = codec.encode(pixels, codec.spec.levels[-1])
    assert codec.read_info(data).name == name
    assert np.abs(codec.decode(data).astype(int) - pixels).mean() < 20


def test_the_model_in_the_box_restores_a_learned_codecs_picture():
    import diffir

    codec = default_host().codec("cheng2020-psnr")
    data = codec.encode(scene(64, 96), 2)
    picture = Picture(codec.decode(data), codec=codec.read_info(data))
    restored = diffir.load("moe-diffir-tiny", device="cpu")(picture)
    assert restored.pixels.shape == picture.pixels.shape
    assert isinstance(picture.codec, CodecInfo)
    assert not np.array_equal(restored.pixels, picture.pixels)
