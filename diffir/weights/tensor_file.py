"""Opens a file of weights by its content, whatever it is called: safetensors, or torch's own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from diffir.errors import CheckpointError
from diffir.weights.torch_file import is_torch_file, read_torch_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_KINDS = (
    (b"<", "a web page", "The download needs a login or a consent: get the file in a browser."),
    (b"version https://git-lfs", "a pointer of git LFS", "Fetch the file itself: git lfs pull"),
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, mapped into memory where the format allows it.

    Of a training checkpoint, which keeps them under `state_dict` beside other things, those alone.

    Raises:
        CheckpointError: no such file, of another format, damaged, or with more than tensors in it.
    """
    start = _start(path)
    if is_torch_file(start):
        return read_torch_file(path)
    if start[8:9] == b"{":
        return _of_safetensors(path)
    for magic, kind, hint in _KINDS:
        if start.lstrip().startswith(magic):
            raise CheckpointError(f"{path} is {kind}, not a file of weights", hint=hint)
    raise CheckpointError(
        f"{path} is neither a safetensors file nor one of torch's (.ckpt, .pth, .pt)",
        hint="Give the file of weights itself, not an archive or a text.",
    )


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}", hint="Check the path."
        ) from error


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or only part of a safetensors file: {error}",
            hint="The download or copy broke off: get the file again.",
        ) from error
