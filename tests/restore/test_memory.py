from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from diffir.errors import DeviceError
from diffir.restore.memory import (
    LARGEST_TILE,
    bytes_per_pixel,
    choose_tile,
    free_bytes,
    is_out_of_memory,
    memory_told,
    peak_bytes,
)
from diffir.restore.tiling import GRID, SMALLEST_TILE

CPU = torch.device("cpu")


def test_a_refused_allocation_is_recognized():
    with pytest.raises(RuntimeError, match="memory") as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be reported at some other call",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 9.00 GB, max allowed: 9.07 GB)",
        "[enforce fail at alloc_cpu.cpp:124] not enough memory: you tried to allocate 8 bytes",
    ],
)
def test_so_is_what_devices_say(message):
    assert is_out_of_memory(RuntimeError(message))


def test_other_mistakes_are_not():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not is_out_of_memory(caught.value)


def test_a_tile_that_fits(build_model):
    tile = choose_tile(build_model(), CPU)
    assert tile % GRID == 0
    assert SMALLEST_TILE <= tile <= LARGEST_TILE


def test_wider_numbers_take_more(build_model):
    model = build_model()
    assert bytes_per_pixel(model) == 2 * bytes_per_pixel(model.half()) > 0


def test_this_process_holds_memory():
    assert free_bytes(CPU) > 0
    assert peak_bytes(CPU) > 50 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
def test_a_real_shortage_ends_with_smaller_tiles(tiny_weights):
    """A process that may grow by 80 MB cannot hold a tile of 1024, and can hold one of 256."""
    program = Path(__file__).with_name("short_of_memory.py")
    words = [sys.executable, str(program), str(tiny_weights), "80", "1024", "1024"]
    # glibc gives freed memory back at once, so that the limit is on what is held.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "100000", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in (128, 256, 512)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
def test_a_hopeless_shortage_is_told(tiny_weights):
    program = Path(__file__).with_name("short_of_memory.py")
    words = [sys.executable, str(program), str(tiny_weights), "8", "256", "256"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "DeviceError: out of memory even with tiles of 128x128 pixels" in done.stderr


def test_it_is_told_in_our_words():
    with pytest.raises(DeviceError, match="out of memory") as caught, memory_told("Less."):
        torch.empty(1 << 50)
    assert caught.value.hint == "Less."
    with pytest.raises(RuntimeError, match="size of tensor"), memory_told("Less."):
        torch.ones(2) + torch.ones(3)
