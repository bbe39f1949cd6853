from __future__ import annotations

import pytest
import torch

from diffir.errors import DeviceError
from diffir.restore.device import choose_device, choose_dtype


def test_auto_takes_what_is_there():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "cpu:x"])
def test_a_device_that_is_not_here(name):
    with pytest.raises(DeviceError, match=f"no device '{name}' here") as caught:
        choose_device(name)
    assert caught.value.hint.startswith("This machine has: cpu")


def test_a_device_that_is_full(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB.")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(DeviceError, match="device 'cpu' has no memory left") as caught:
        choose_device("cpu")
    assert "Close other programs" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_dtypes(name, dtype):
    assert choose_dtype(name) == dtype


def test_a_dtype_that_is_not_there():
    with pytest.raises(DeviceError, match="no dtype 'float8'") as caught:
        choose_dtype("float8")
    assert "auto, float32, bfloat16, float16" in caught.value.hint
