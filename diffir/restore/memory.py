"""How large a tile fits into memory, and what running out of it looks like."""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from diffir.errors import DeviceError
from diffir.restore.tiling import GRID, SMALLEST_TILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffir.diffusion.model import RestorationModel

LARGEST_TILE = 512
"""Larger tiles waste less on overlap, but fall out of a CPU's caches: no faster, more memory."""
SHARE_OF_FREE = 0.5

REFUSAL = re.compile(
    r"can't allocate memory|not enough memory|could not create a primitive$"
    r"|CUDA error: out of memory|_STATUS_ALLOC_FAILED|MPS backend out of memory"
)
"""How torch's CPU allocator says it, on Linux and macOS and on Windows, and how oneDNN does; then
CUDA outside torch's allocator, cuBLAS and cuDNN, and Metal."""


def bytes_per_pixel(model: RestorationModel) -> int:
    """Peak working memory of a forward pass over the number of pixels, about."""
    parameter = next(model.parameters())
    return int(model.encoder.values_per_pixel * parameter.element_size())


def free_bytes(device: torch.device) -> int:
    """Memory that can be had without swapping, on the CPU or on a CUDA device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


def choose_tile(model: RestorationModel, device: torch.device) -> int:
    """The largest tile that uses at most half of the free memory."""
    pixels = SHARE_OF_FREE * free_bytes(device) / bytes_per_pixel(model)
    side = int(pixels**0.5) // GRID * GRID
    return max(SMALLEST_TILE, min(LARGEST_TILE, side))


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch or the operating system refused memory."""
    return isinstance(error, torch.OutOfMemoryError) or bool(REFUSAL.search(str(error)))


@contextmanager
def memory_told(hint: str) -> Iterator[None]:
    """What is inside may run out of memory, and says so in our words.

    Raises:
        DeviceError: it did; with that hint.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        raise DeviceError("out of memory", hint=hint) from error


def held_bytes(device: torch.device) -> int:
    """The memory that this process holds now: on a CUDA device, there."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    import psutil

    return int(psutil.Process().memory_info().rss)


def return_freed() -> None:
    """Give memory that was freed back to the system, where the C library (glibc) keeps it.

    Steps of training leave tens of megabytes in pieces, into which what a judgement needs does not
    fit.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has held so far: on a CUDA device, there."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # of Unix alone

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
