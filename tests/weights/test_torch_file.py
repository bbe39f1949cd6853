"""Files as torch writes them, in both formats, and files that somebody made to do harm."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from diffir.errors import CheckpointError
from diffir.weights.tensor_file import read_tensors
from diffir.weights.torch_file import LEGACY_MAGIC
from diffir.weights.torch_pickle import StandIn, unpickle

FORMATS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool]


def save(content: object, path: Path, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    made = {str(dtype): (torch.randn(3, 5) * 3).to(dtype) for dtype in DTYPES}
    whole = torch.arange(24.0).reshape(4, 6)
    return made | {
        "view": whole[1:, ::2],
        "turned": whole.t(),
        "empty": torch.empty(0, 7),
        "scalar": torch.tensor(2.5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


@FORMATS
class TestWhatTorchWrites:
    def test_comes_back_equal(self, tmp_path, legacy):
        found = read_tensors(save(tensors(), tmp_path / "a.pth", legacy=legacy))
        for name, tensor in tensors().items():
            assert torch.equal(found[name], tensor.detach()), name
            assert found[name].dtype == tensor.dtype
            assert type(found[name]) is torch.Tensor

    def test_a_state_dict_of_a_module(self, tmp_path, legacy):
        state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict()
        found = read_tensors(save(state, tmp_path / "a.pt", legacy=legacy))
        assert isinstance(state, OrderedDict)
        assert {n: tuple(t.shape) for n, t in found.items()} == {
            n: tuple(t.shape) for n, t in state.items()
        }

    def test_writing_to_a_tensor_leaves_the_file_alone(self, tmp_path, legacy):
        path = save({"a": torch.ones(1000)}, tmp_path / "a.ckpt", legacy=legacy)
        before = path.read_bytes()
        read_tensors(path)["a"].zero_()
        assert path.read_bytes() == before

    def test_cut_short(self, tmp_path, legacy):
        whole = save(tensors(), tmp_path / "a.ckpt", legacy=legacy).read_bytes()
        for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            path = tmp_path / "part.ckpt"
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(CheckpointError, match=r"part\.ckpt") as caught:
                read_tensors(path)
            assert caught.value.hint

    def test_code_is_told_and_never_run(self, tmp_path, legacy):
        class Intruder:
            def __reduce__(self) -> tuple[object, ...]:
                return (open, (str(tmp_path / "ran"), "w"))

        path = save(
            {"state_dict": {"a": torch.ones(2)}, "x": Intruder()},
            tmp_path / "a.ckpt",
            legacy=legacy,
        )
        with pytest.raises(
            CheckpointError,
            match=r"a\.ckpt: it asks for \w*io\.open, which makes "
            "no tensor and was not run",
        ):
            read_tensors(path)
        assert not (tmp_path / "ran").exists()


def test_the_page_shows_the_message(tmp_path, monkeypatch):
    class Intruder:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.system, ("touch ran",))

    monkeypatch.chdir(tmp_path)
    torch.save({"a": Intruder()}, "model.ckpt")
    with pytest.raises(CheckpointError, match="was not run") as caught:
        read_tensors(Path("model.ckpt"))
    page = Path(__file__).parents[2] / "docs" / "convert.md"
    shown = f"error: {caught.value.message}\nhint: {caught.value.hint}"
    assert shown.replace("nt.system", "posix.system") in page.read_text(encoding="utf-8")
    assert not Path("ran").exists()


class _Callback:
    """As Lightning 1.4 keeps its callbacks: the class itself is a key."""


_Callback.__module__ = "pytorch_lightning.callbacks.model_checkpoint"
_Callback.__qualname__ = _Callback.__name__ = "ModelCheckpoint"


class TestLightning:
    def test_its_bookkeeping_is_passed_over(self, tmp_path, monkeypatch):
        import sys
        import types

        import numpy as np

        module = types.ModuleType(_Callback.__module__)
        module.ModelCheckpoint = _Callback
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, _Callback.__module__, module)
        weight = torch.randn(2, 3)
        checkpoint = {
            "epoch": 3,
            "pytorch-lightning_version": "1.4.2",
            "callbacks": {_Callback: {"best_model_score": np.float64(0.5), "dirpath": Path("x")}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}, "made": _Callback()}],
            "hparams": {"shape": torch.Size([1]), "dtype": torch.float32, "set": {1, 2}},
            "state_dict": OrderedDict(weight=weight, other=torch.nn.Parameter(weight)),
        }
        path = save(checkpoint, tmp_path / "a.ckpt")
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks", _Callback.__module__):
            monkeypatch.delitem(sys.modules, name)
        found = read_tensors(path)
        assert list(found) == ["weight", "other"]
        assert torch.equal(found["weight"], weight)
        assert "pytorch_lightning" not in sys.modules

    def test_bookkeeping_is_inert(self):
        read, _ = unpickle(io.BytesIO(pickle.dumps(Path("a"))))
        assert isinstance(read, StandIn)
        assert vars(read) == {}


class TestRefused:
    @pytest.mark.parametrize(
        "stranger", [eval, exec, __import__, print, pickle.loads, torch.load, torch.nn.Linear(1, 1)]
    )
    @pytest.mark.parametrize("protocol", [2, 4])
    def test_strangers(self, stranger, protocol):
        with pytest.raises(CheckpointError, match=r"it asks for .* was not run"):
            unpickle(io.BytesIO(pickle.dumps([stranger], protocol=protocol)))

    def test_an_archive_that_unpacks_to_more(self, tmp_path):
        path = tmp_path / "bomb.ckpt"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\0" * 10**7)
        with pytest.raises(CheckpointError, match=r"an archive of .* that unpacks to 10000000"):
            read_tensors(path)

    def test_an_archive_of_something_else(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("folder/readme.txt", "weights inside")
        with pytest.raises(CheckpointError, match="not one of tensors"):
            read_tensors(tmp_path / "a.zip")

    def test_a_view_that_repeats_its_storage(self, tmp_path):
        path = save({"a": torch.ones(1).expand(2**40)}, tmp_path / "a.pt")
        with pytest.raises(CheckpointError, match=r"'a' claims \(1099511627776,\) out of 1 stored"):
            read_tensors(path)

    def test_a_storage_that_is_smaller_than_claimed(self, tmp_path):
        source = save({"a": torch.ones(1000)}, tmp_path / "a.pt")
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
            for name in old.namelist():
                data = old.read(name)
                new.writestr(name, data[:40] if name.endswith("data/0") else data)
        with pytest.raises(CheckpointError, match="'a' claims 4000 bytes, 40 are there"):
            read_tensors(tmp_path / "b.pt")

    def test_a_legacy_count_of_2_to_the_60(self, tmp_path):
        class Claim:
            def __reduce__(self) -> tuple[object, ...]:
                return (torch._utils._rebuild_tensor_v2, (None, 0, (2**60,), (1,), False, {}))

        class Pickler(pickle.Pickler):
            def persistent_id(self, thing: object) -> object:
                return (
                    None
                    if thing is not None
                    else ("storage", torch.FloatStorage, "0", "cpu", 2**60)
                )

        stream = io.BytesIO()
        for thing in (1001, {"little_endian": True}):
            pickle.dump(thing, stream, protocol=2)
        Pickler(stream, protocol=2).dump({"a": Claim()})
        pickle.dump(["0"], stream, protocol=2)
        path = tmp_path / "a.pth"
        path.write_bytes(LEGACY_MAGIC + stream.getvalue() + struct.pack("<q", 2**60))
        with pytest.raises(CheckpointError, match="claims 4611686018427387904 bytes, 0 are there"):
            read_tensors(path)

    @pytest.mark.parametrize("content", [torch.ones(2), [torch.ones(2)], {"epoch": 1}, {}])
    def test_no_tensors_by_name(self, tmp_path, content):
        with pytest.raises(CheckpointError, match="tensors by name were expected") as caught:
            read_tensors(save(content, tmp_path / "a.pt"))
        assert "state_dict()" in caught.value.hint

    def test_a_program(self, tmp_path):
        path = tmp_path / "a.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickle.dumps({}))
            archive.writestr("a/constants.pkl", pickle.dumps(()))
        with pytest.raises(CheckpointError, match="not one of tensors"):
            read_tensors(path)

    def test_big_endian(self, tmp_path):
        path = tmp_path / "a.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickle.dumps({}))
            archive.writestr("a/byteorder", "big")
        with pytest.raises(CheckpointError, match="big-endian"):
            read_tensors(path)

    @pytest.mark.parametrize(
        "claim",
        [b"\x80\x02]r\xff\xff\xff\xff.", b"\x80\x05\x96" + b"\xff" * 5 + b"\x00" * 3 + b"."],
        ids=["memo", "bytes"],
    )
    def test_memory_that_is_claimed_is_not_taken(self, tmp_path, claim):
        path = tmp_path / "a.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", claim)
        with pytest.raises(CheckpointError, match=r"its pickle is damaged \(ValueError"):
            read_tensors(path)

    @given(position=st.integers(0, 10**6), value=st.integers(0, 255))
    @example(position=57644, value=129)  # a central directory that lies beyond any file
    @example(position=1250, value=95)  # a version of zip that there has never been
    @pytest.mark.parametrize("legacy", [False, True])
    def test_a_changed_byte_is_read_or_told(self, tmp_path_factory, legacy, position, value):
        path = tmp_path_factory.mktemp("a") / "a.pt"
        data = bytearray(save({"a": torch.ones(3)}, path, legacy=legacy).read_bytes())
        data[position % len(data)] = value
        path.write_bytes(data)
        with contextlib.suppress(CheckpointError):  # anything else is a mistake of ours
            read_tensors(path)
