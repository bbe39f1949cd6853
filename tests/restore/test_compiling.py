from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from small_sd21 import small_model, small_recipe

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.errors import DeviceError
from diffir.restore.compiling import compiler_error
from diffir.restore.restorer import Restorer

CPU = torch.device("cpu")


def test_graphs_need_cuda(build_model):
    with pytest.raises(DeviceError, match="replayed by CUDA alone, and this is cpu"):
        Restorer(build_model(), device=CPU, compiled="graphs")


def test_a_compiler_that_is_not_there_is_told():
    error = torch._dynamo.exc.BackendCompilerFailed(lambda: None, RuntimeError("no g++"), None)
    told = compiler_error(error)
    assert told is not None
    assert "cannot be compiled here" in told.message
    assert "no g++" in told.message
    assert "Leave out --compile" in told.hint
    assert compiler_error(RuntimeError("out of memory")) is None


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_denoiser_says_the_same():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    picture = Picture(pixels, codec=CodecInfo(name="jpeg", severity=0.9))
    model = small_model(small_recipe())
    plain, compiled = (
        Restorer(model, device=CPU, tile=128, steps=2, compiled=how).estimate(picture).rich
        for how in ("off", "kernels")
    )
    assert np.abs(plain.astype(float) - compiled.astype(float)).max() < 2e-3
