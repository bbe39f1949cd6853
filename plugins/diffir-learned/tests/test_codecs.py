"""The public suites for each family, and that the bytes are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from diffir_learned.codec import ChengPsnr, ChengSsim, Generative
from diffir_learned.families import FAMILIES, LEVELS

from diffir.errors import CodecError
from diffir.testing import CodecSuite, PluginSuite
from diffir.testing.sample_pictures import scene

CODECS = (ChengPsnr(), ChengSsim(), Generative())


class TestChengPsnr(CodecSuite):
    expected_failures = ChengPsnr.expected_failures

    @pytest.fixture
    def codec(self):
        return CODECS[0]


class TestChengSsim(CodecSuite):
    expected_failures = ChengSsim.expected_failures

    @pytest.fixture
    def codec(self):
        return CODECS[1]


class TestGenerative(CodecSuite):
    expected_failures = Generative.expected_failures

    @pytest.fixture
    def codec(self):
        return CODECS[2]


class TestPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self):
        return "learned"


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.spec.name)
def test_the_bytes_carry_the_picture(codec):
    pixels = scene(70, 90)
    data = codec.encode(pixels, 3)
    assert len(data) < pixels.size / 20
    error = np.abs(codec.decode(data).astype(int) - pixels).mean()
    assert error < 20


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.spec.name)
def test_the_decoder_gets_the_encoders_latent(codec):
    """Nothing but the bytes passes between the two: as good as the networks without coding."""
    import torch
    from diffir_learned.weights import load_network, weights_file

    pixels = scene(64, 128)
    network, _ = load_network(weights_file(codec.spec.name, 2))
    image = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()) / 255
    with torch.inference_mode():
        direct = (network(image)["x_hat"][0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()
    coded = codec.decode(codec.encode(pixels, 2)).astype(float)
    # Not equal: to code, Cheng's symbols are rounded around predictions, in `forward` around 0.
    assert np.abs(coded - pixels).mean() < 1.25 * np.abs(direct - pixels).mean()


def test_families_do_not_take_each_others_bytes():
    for codec in CODECS:
        data = codec.encode(scene(16, 16), 1)
        assert [other.recognizes(data) for other in CODECS] == [c is codec for c in CODECS]
    with pytest.raises(CodecError, match="a stream of cheng2020-psnr was expected, got family 3"):
        CODECS[0].decode(data)


def test_facts_need_no_network(monkeypatch):
    data = CODECS[0].encode(scene(30, 40), 2)
    monkeypatch.setenv("DIFFIR_LEARNED_WEIGHTS", "/nowhere")
    info = CODECS[0].read_info(data)
    assert (info.name, info.quality, info.severity) == ("cheng2020-psnr", 2, 0.8)
    assert info.bits_per_pixel == 8 * len(data) / 1200
    assert info.details["metric"] == "mse"


def test_the_shipped_weights_are_small():
    from diffir_learned.weights import weights_file

    sizes = [weights_file(f, level).stat().st_size for f in FAMILIES for level in LEVELS]
    assert sum(sizes) < 32 * 2**20


def test_its_levels_are_tasks():
    from diffir.degradations.tasks import tasks
    from diffir.host.manager import default_host

    names = [task.name for task in tasks(default_host())]
    for family in FAMILIES:
        assert [f"{family}-{level}" for level in (1, 2, 3)] == [
            name for name in names if name.startswith(family)
        ]


def test_the_21_tasks_of_the_method_are_there():
    pytest.importorskip("diffir_vvc", reason="one of the method's codecs comes with diffir-vvc")
    from diffir.degradations.tasks import METHOD_TASKS, select_tasks
    from diffir.host.manager import default_host

    chosen = select_tasks(default_host(), ("method",))
    assert [task.name for task in chosen] == list(METHOD_TASKS)
