"""Damaged streams, missing and wrong weights, foreign pickles: a clear error each."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch
import typer
from diffir_learned.codec import ChengPsnr
from diffir_learned.convert import convert, what_is
from diffir_learned.networks import build, is_buffer
from diffir_learned.stream import MAGIC, Stream, unpack
from diffir_learned.train import main as train
from diffir_learned.weights import VARIABLE, load_network, save_weights, weights_file
from safetensors.torch import save_file
from typer.testing import CliRunner

from diffir.errors import CodecError
from diffir.testing.sample_pictures import scene

CODEC = ChengPsnr()


@pytest.fixture(scope="module")
def data() -> bytes:
    return CODEC.encode(scene(40, 50), 1)


def test_a_damaged_body(data):
    with pytest.raises(CodecError, match="checksum is wrong: it is damaged or cut short"):
        CODEC.decode(data[:-2])


def test_a_damaged_head(data):
    with pytest.raises(CodecError, match="checksum is wrong"):
        CODEC.decode(data[:13] + b"\xff" + data[14:])


def test_a_head_cut_short(data):
    with pytest.raises(CodecError, match=r"cut short: 20 bytes, its head alone has 28"):
        CODEC.read_info(data[:20])


def test_another_version(data):
    with pytest.raises(CodecError, match="of version 9, 1 was expected"):
        unpack(MAGIC + b"\x09" + data[5:])


def test_a_head_that_lies():
    stream = Stream(1, 1, b"abcd", 0, 10, b"x", b"y")
    with pytest.raises(CodecError, match="head is damaged: 0x10"):
        unpack(stream.pack())


def test_bytes_of_another_format():
    with pytest.raises(CodecError, match=r"a learned codec's stream was expected.*RIFF"):
        CODEC.decode(b"RIFF....WEBP")


def test_a_stream_of_other_weights(data):
    other = replace(unpack(data), weights=bytes(4)).pack()
    with pytest.raises(CodecError, match="was written with weights 00000000") as caught:
        CODEC.decode(other)
    assert VARIABLE in caught.value.hint


def test_a_side_too_long():
    import numpy as np

    with pytest.raises(CodecError, match=r"at most 65535 pixels, got 65536x1"):
        CODEC.encode(np.zeros((1, 65536, 3), np.uint8), 1)


def test_a_folder_of_weights_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(CodecError, match="which is not a folder"):
        weights_file("cheng2020-psnr", 1)


def test_weights_that_are_nowhere():
    with pytest.raises(CodecError, match=r"there are no weights cheng2020-psnr-7") as caught:
        weights_file("cheng2020-psnr", 7)
    assert "diffir_learned.train" in caught.value.hint


def test_weights_that_are_no_safetensors(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(CodecError, match="is not a safetensors file") as caught:
        load_network(path)
    assert "convert" in caught.value.hint


def test_safetensors_of_something_else(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CodecError, match="holds 'no format', 'diffir-learned-1' was expected"):
        load_network(path)


@pytest.mark.parametrize(
    ("tensors", "architecture", "message"),
    [
        ({"a": torch.zeros(1)}, "cheng2020-attn", r"holds no cheng2020-attn: 'h_a.0.weight' is"),
        ({"h_a.0.weight": torch.zeros(4, 4, 3, 3)}, "mbt2018-mean", r"tensors are missing"),
        ({"h_a.0.weight": torch.zeros(4, 4, 3, 3)}, "elic", r"says architecture 'elic'"),
    ],
)
def test_tensors_of_another_network(tmp_path, tensors, architecture, message):
    path = tmp_path / "w.safetensors"
    metadata = {"format": "diffir-learned-1", "architecture": architecture}
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(CodecError, match=message):
        load_network(path)


def published(path, architecture="cheng2020-anchor", *, prefix="module."):
    """A file as CompressAI publishes them, of small width."""
    torch.manual_seed(0)
    network = build(architecture, 8, 8)
    torch.save({prefix + key: value for key, value in network.state_dict().items()}, path)
    return network


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_published_file_is_converted_and_codes(tmp_path, monkeypatch, prefix):
    source = tmp_path / "cheng2020-anchor-2-a29008eb.pth.tar"
    network = published(source, prefix=prefix)
    path = convert(source, tmp_path / "weights")
    assert path.name == "cheng2020-psnr-2.safetensors"
    loaded, _ = load_network(path)
    for key, value in network.state_dict().items():
        if not is_buffer(key):
            assert torch.equal(loaded.state_dict()[key], value)
    monkeypatch.setenv(VARIABLE, str(path.parent))
    pixels = scene(30, 40)
    assert CODEC.decode(CODEC.encode(pixels, 2)).shape == pixels.shape


def test_names_of_published_files():
    assert what_is("cheng2020_attn-mse-1-465f2b64.pth.tar") == (
        "cheng2020-psnr",
        "cheng2020-attn",
        1,
    )
    assert what_is("cheng2020-anchor-3-e49be189.pth.tar") == (
        "cheng2020-psnr",
        "cheng2020-anchor",
        3,
    )
    assert what_is("cheng2020_anchor-ms-ssim-2-9b0e9a7f.pth.tar") == (
        "cheng2020-ssim",
        "cheng2020-anchor",
        2,
    )
    with pytest.raises(CodecError, match="does not say what it holds"):
        what_is("weights.pth.tar")
    with pytest.raises(CodecError, match="is of quality 7"):
        what_is("cheng2020_attn-mse-7-730501f2.pth.tar")


class Payload:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_pickle_with_code_in_it(tmp_path, capsys):
    source = tmp_path / "cheng2020_attn-mse-1-465f2b64.pth.tar"
    source.write_bytes(pickle.dumps({"state_dict": Payload()}, protocol=2))
    with pytest.raises(CodecError, match="could not be read as tensors alone"):
        convert(source, tmp_path)
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"junk\n", b"PK\x03\x04 half a zip"])
def test_a_published_file_that_is_damaged(tmp_path, content):
    source = tmp_path / "cheng2020_attn-mse-1-465f2b64.pth.tar"
    source.write_bytes(content)
    with pytest.raises(CodecError, match="could not be read as tensors alone") as caught:
        convert(source, tmp_path)
    assert "Get the file again" in caught.value.hint


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--family", "nope", "one of cheng2020-psnr"), ("--levels", "3,9", "levels of (1, 2, 3)")],
)
def test_training_what_there_is_not(tmp_path, option, value, said):
    app = typer.Typer()
    app.command()(train)
    options = {"--family": "generative", "--data": tmp_path, "--output": tmp_path / "w"}
    options[option] = value
    words = [str(word) for pair in options.items() for word in pair]
    outcome = CliRunner().invoke(app, words, env={"COLUMNS": "200", "TERM": "dumb"})
    assert outcome.exit_code == 2
    assert said in outcome.output


def test_a_level_without_weights():
    with pytest.raises(CodecError, match=r"there are no weights cheng2020-psnr-5"):
        CODEC.encode(scene(16, 16), 5)


def test_weights_written_by_training_are_read(tmp_path):
    network = build("mbt2018-mean", 8, 12)
    path = tmp_path / "generative-1.safetensors"
    save_weights(network, path, "mbt2018-mean", {"data": "none"}, dtype=torch.float16)
    loaded, digest = load_network(path)
    assert len(digest) == 4
    assert loaded.state_dict()["h_a.0.weight"].shape == (8, 12, 3, 3)
