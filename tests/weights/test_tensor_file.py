from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from diffir.errors import CheckpointError
from diffir.weights.tensor_file import read_tensors, sha256_of


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt", "a"])
def test_the_content_counts_not_the_name(tmp_path, name):
    save_file({"a": torch.arange(3.0)}, tmp_path / name)
    assert read_tensors(tmp_path / name)["a"].tolist() == [0, 1, 2]


def test_a_torch_file_called_safetensors(tmp_path):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "a.safetensors")
    assert read_tensors(tmp_path / "a.safetensors")["a"].tolist() == [0, 1, 2]


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"weights")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither a safetensors file nor one of torch's"),
        (b"these are no weights, this is a text", "neither a safetensors file nor one of torch's"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of git LFS"),
        (b"\x08" + bytes(7) + b"{}", "damaged or only part of a safetensors file"),
        (b"\x80\x05K\x01.", "neither a safetensors file nor one of torch's"),
    ],
)
def test_other_files(tmp_path, content, message):
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tensors(tmp_path / "a.ckpt")
    assert caught.value.hint


def test_half_a_safetensors_file(tmp_path):
    save_file({"a": torch.ones(100)}, tmp_path / "a.safetensors")
    data = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="damaged or only part of a safetensors file"):
        read_tensors(tmp_path / "a.safetensors")


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        read_tensors(tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        read_tensors(tmp_path)
