"""Reads torch's own files (.ckpt, .pth, .pt, .bin) as tensors; code in them never runs.

    zip archive (since torch 1.6)   NAME/data.pkl says what there is, NAME/data/KEY are the numbers
    the format before it            five pickles: a number, the version, the machine, what there is,
                                    the storages' keys; then for each key a count and the numbers

The file is mapped into memory, privately: a tensor takes none until it is used, and the file cannot
be changed through it. Every claim is checked against the bytes that are there: torch compresses
nothing, so an archive cannot hold more than it weighs.
"""

from __future__ import annotations

import io
import mmap
import pickle
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from diffir.errors import CheckpointError
from diffir.weights.torch_pickle import StoredTensor, unpickle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""How torch.save began its files before version 1.6: a number of ten bytes, pickled."""

LARGEST_PICKLE = 64 * 2**20
"""In bytes, of the part that says what there is; that of Stable Diffusion has less than 1 MB."""

_LOCAL_HEADER = struct.Struct("<26xHH")
_COUNT = struct.Struct("<q")
_HALF_A_FILE = "The download or copy broke off: get the file again."


def is_torch_file(start: bytes) -> bool:
    """Whether a file that starts with these bytes (16 or more) is one of torch's."""
    return start.startswith((ZIP_MAGIC, LEGACY_MAGIC))


_DAMAGE = (
    *(OSError, EOFError, ValueError, OverflowError, struct.error, zipfile.BadZipFile),
    NotImplementedError,  # a version of zip that there has never been
    TypeError,  # a number where a list of keys belongs
)


def read_torch_file(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, on the CPU.

    Of a training checkpoint, which keeps them under `state_dict` beside other things, those alone.

    Raises:
        CheckpointError: the file is damaged, holds more than tensors and plain values, holds no
            tensors by name, or claims what it does not hold.
    """
    try:
        contents = _open(path)
        tensors = _named_tensors(contents.root)
        return {name: contents.tensor(name, stored) for name, stored in tensors.items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", hint=error.hint) from error
    except _DAMAGE as error:
        raise CheckpointError(f"{path} is damaged: {error}", hint=_HALF_A_FILE) from error


@dataclass(frozen=True)
class _Contents:
    """A mapped file: what its pickle says, and where in it each storage begins, in bytes."""

    data: mmap.mmap
    root: Any
    places: Mapping[str, tuple[int, int]]  # key: first byte, length

    def tensor(self, name: str, stored: StoredTensor) -> torch.Tensor:
        """Make a tensor of what is stored; every number of it must be there."""
        storage = stored.storage
        dtype = getattr(torch, storage.dtype)
        first, length = self.places.get(storage.key, (0, 0))
        if not 0 <= storage.count * dtype.itemsize <= length:
            claimed = storage.count * dtype.itemsize
            raise CheckpointError(
                f"'{name}' claims {claimed} bytes, {length} are there", hint=_HALF_A_FILE
            )
        _check_view(name, stored)
        if not storage.count or 0 in stored.shape:
            return torch.empty(stored.shape, dtype=dtype)
        if first % dtype.itemsize:  # the older format aligns nothing
            raw = bytearray(self.data[first : first + storage.count * dtype.itemsize])
            flat = torch.frombuffer(raw, dtype=dtype)
        else:
            flat = torch.frombuffer(self.data, dtype=dtype, count=storage.count, offset=first)
        return flat.as_strided(stored.shape, stored.stride, stored.offset)


def _check_view(name: str, stored: StoredTensor) -> None:
    """Refuse a view that leaves its storage, or that repeats it (stride 0 claims any size)."""
    last, elements = stored.offset, 1
    for side, stride in zip(stored.shape, stored.stride, strict=True):
        last += max(side - 1, 0) * stride
        elements *= side
    sane = stored.offset >= 0 and all(n >= 0 for n in (*stored.shape, *stored.stride))
    if not sane or elements > stored.storage.count or (elements and last >= stored.storage.count):
        raise CheckpointError(
            f"'{name}' claims {stored.shape} out of {stored.storage.count} stored numbers",
            hint="The file is damaged or was made to exhaust memory; do not use it.",
        )


def _named_tensors(root: Any) -> dict[str, StoredTensor]:
    if isinstance(root, dict) and isinstance(root.get("state_dict"), dict):
        root = root["state_dict"]
    named = root.items() if isinstance(root, dict) else ()
    tensors = {str(name): value for name, value in named if isinstance(value, StoredTensor)}
    if not tensors:
        raise CheckpointError(
            f"tensors by name were expected, found none in a {type(root).__name__}",
            hint="Save model.state_dict(), not the model.",
        )
    return tensors


def _open(path: Path) -> _Contents:
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if data[: len(ZIP_MAGIC)] == ZIP_MAGIC:
        with zipfile.ZipFile(path) as archive:
            return _of_archive(data, archive.infolist())
    return _of_sequence(data)


def _of_archive(data: mmap.mmap, members: list[zipfile.ZipInfo]) -> _Contents:
    claimed = sum(member.file_size for member in members)
    if claimed > len(data) or any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise CheckpointError(
            f"an archive of {len(data)} bytes that unpacks to {claimed}; torch compresses nothing",
            hint="The file was not written by torch, or was made to exhaust memory; do not use it.",
        )
    by_name = {member.filename.partition("/")[2]: member for member in members}
    if "data.pkl" not in by_name or "constants.pkl" in by_name:
        raise CheckpointError(
            "a zip archive, but not one of tensors (data.pkl alone was expected in it)",
            hint="Give the file of weights itself, not a program or a folder of them.",
        )
    places = {name: _place(data, member) for name, member in by_name.items()}
    first, length = places["data.pkl"]
    if length > LARGEST_PICKLE:
        raise CheckpointError(
            f"its pickle has {length} bytes, at most {LARGEST_PICKLE} are read",
            hint="Save the tensors alone.",
        )
    if "byteorder" in places and data[slice(*_ends(places["byteorder"]))] != b"little":
        raise CheckpointError("its numbers are big-endian", hint="Save it anew on a usual machine.")
    root, _ = unpickle(io.BytesIO(data[first : first + length]))
    keys = {name.removeprefix("data/"): place for name, place in places.items()}
    return _Contents(data, root, keys)


def _place(data: mmap.mmap, member: zipfile.ZipInfo) -> tuple[int, int]:
    """First byte and length of a member; between its header and it stand its name and padding."""
    name, extra = _LOCAL_HEADER.unpack_from(data, member.header_offset)
    first = member.header_offset + _LOCAL_HEADER.size + name + extra
    return first, min(member.file_size, max(len(data) - first, 0))


def _ends(place: tuple[int, int]) -> tuple[int, int]:
    return place[0], place[0] + place[1]


def _of_sequence(data: mmap.mmap) -> _Contents:
    """The format before the archives; `mmap.read` never allocates more than is there."""
    stream: Any = data
    _magic, _protocol, (system, _), (root, storages), (keys, _) = (
        unpickle(stream) for _ in range(5)
    )
    if not (isinstance(system, dict) and system.get("little_endian")):
        raise CheckpointError("its numbers are big-endian", hint="Save it anew on a usual machine.")
    sizes = {key: s.count * getattr(torch, s.dtype).itemsize for key, s in storages.items()}
    places, first = {}, data.tell()
    for key in keys:
        if first + _COUNT.size > len(data) or str(key) not in sizes:
            raise CheckpointError(f"storage {key} is missing", hint=_HALF_A_FILE)
        first += _COUNT.size
        places[str(key)] = first, max(0, min(sizes[str(key)], len(data) - first))
        first += sizes[str(key)]
    return _Contents(data, root, places)
