"""The public suites, the slice QP of streams of other settings, and what the decoder refuses."""

from __future__ import annotations

import numpy as np
import pytest
from diffir_vvc.codec import Vvc
from diffir_vvc.encoder import PIXEL_FORMAT, Samples, encode_units
from diffir_vvc.vvc_headers import SEI, nal_type, read_vvc

from diffir.codecs.intra_frame import to_yuv
from diffir.codecs.nal_units import join_annex_b, split_annex_b
from diffir.errors import CodecError
from diffir.testing import CodecSuite, PluginSuite
from diffir.testing.sample_pictures import scene

VVC = Vvc()


class TestVvc(CodecSuite):
    @pytest.fixture
    def codec(self):
        return VVC


class TestPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self):
        return "vvc"


@pytest.fixture(scope="module")
def stream() -> bytes:
    return VVC.encode(scene(48, 64), 42)


def test_a_better_qp_distorts_less():
    pixels = scene(64, 64)
    decoded = [VVC.decode(VVC.encode(pixels, qp)).astype(float) for qp in (63, 47, 30, 4)]
    errors = [float(np.mean((image - pixels) ** 2)) for image in decoded]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 5


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)])
def test_colors_come_back(color):
    pixels = np.full((19, 34, 3), color, np.uint8)
    assert np.abs(VVC.decode(VVC.encode(pixels, 8)).astype(int) - pixels).max() <= 6


def test_the_slice_qp_is_that_of_the_stream(stream):
    info = VVC.read_info(stream)
    assert info.quantizer == info.quality
    assert 25 <= info.quantizer < 42
    assert info.sources["quantizer"] == "bitstream"
    assert info.details == {"profile": 1, "bit_depth": 10, "frames": 1}
    assert info.lossless is False


def test_a_movie_is_refused(stream):
    units = split_annex_b(stream)
    twice = join_annex_b([*units, units[-1]])
    with pytest.raises(CodecError, match=r"this H.266 stream is a movie") as caught:
        VVC.decode(twice)
    assert "Extract a frame" in caught.value.hint
    assert VVC.read_info(twice).bits_per_pixel is None


def test_streams_without_our_message_are_read(stream):
    units = [unit for unit in split_annex_b(stream) if nal_type(unit) != SEI]
    assert VVC.decode(join_annex_b(units)).shape == (48, 64, 3)


def test_a_stream_that_is_cut_short(stream):
    with pytest.raises(CodecError, match=r"bytes of coded picture were written, \d+ are left"):
        VVC.decode(stream[:-3])


@pytest.mark.parametrize("missing", ["sequence parameter set", "picture parameter set"])
def test_a_parameter_set_that_is_missing(stream, missing):
    kind = {"sequence parameter set": 15, "picture parameter set": 16}[missing]
    units = [unit for unit in split_annex_b(stream) if nal_type(unit) != kind]
    with pytest.raises(CodecError, match=f"holds no {missing}: it cannot be read"):
        VVC.read_info(join_annex_b(units))


def test_a_stream_without_a_picture(stream):
    units = [unit for unit in split_annex_b(stream) if nal_type(unit) > 11]
    with pytest.raises(CodecError, match="holds no picture: a slice was expected"):
        VVC.read_info(join_annex_b(units))


def test_bytes_of_another_format():
    with pytest.raises(
        CodecError, match=r"an H.266 byte stream was expected, .* b'RIFF'"
    ) as caught:
        VVC.decode(b"RIFF....WEBP")
    assert "-c copy" in caught.value.hint


def test_the_size_in_the_headers_is_the_padded_one():
    frame = to_yuv(scene(18, 34), PIXEL_FORMAT).to_ndarray()
    header = read_vvc(encode_units(Samples(frame.tobytes(), 34, 18), 40))
    assert (header.width, header.height, header.chroma_format) == (34, 18, 1)


def test_its_levels_are_tasks():
    from diffir.degradations.tasks import tasks
    from diffir.host.manager import default_host

    names = [task.name for task in tasks(default_host()) if task.name.startswith("vvc")]
    assert names == ["vvc-47", "vvc-42", "vvc-37"]
