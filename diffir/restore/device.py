"""Device and dtype by name, with an error that says what this machine has."""

from __future__ import annotations

import torch

from diffir.errors import DeviceError
from diffir.restore.memory import is_out_of_memory

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_device(name: str) -> torch.device:
    """Name to device: "auto" takes CUDA where there is one, else the CPU; other names are torch's.

    Raises:
        DeviceError: no such device here, or no memory left on it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise DeviceError(
                f"device '{name}' has no memory left",
                hint="Close other programs that use it, or take --device cpu.",
            ) from error
        cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        raise DeviceError(
            f"there is no device '{name}' here",
            hint=f"This machine has: {', '.join(['cpu', *cuda])}.",
        ) from error
    return device


def choose_dtype(name: str) -> torch.dtype:
    """Name to dtype: "auto" is float32, which is exact everywhere and fast enough.

    Raises:
        DeviceError: not one of `DTYPES`.
    """
    if name == "auto":
        return torch.float32
    if name not in DTYPES:
        raise DeviceError(
            f"there is no dtype '{name}'", hint=f"Choose one of auto, {', '.join(DTYPES)}."
        )
    return DTYPES[name]
