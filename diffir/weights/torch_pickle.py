"""Reads the pickle in a torch file; the only things that it can make are values.

A pickle may ask for any function by name and call it. This unpickler answers with functions of its
own: a tensor becomes a `StoredTensor`, a record of what the file claims, which `torch_file` checks
before it makes a tensor of it. Bookkeeping of training frameworks becomes `StandIn`, which drops
whatever it is given; nothing is imported. Every other name is refused and told.
"""

from __future__ import annotations

import pickle
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from typing import IO, Any

from diffir.errors import CheckpointError

_PLAIN = ("bool", "bytearray", "complex", "dict", "float", "frozenset", "int", "list", "set", "str")
_BOOKKEEPING = (
    "pytorch_lightning.",
    "lightning.",
    "lightning_fabric.",
    "torchmetrics.",
    "omegaconf.",
    "numpy.core.multiarray.",
    "numpy._core.multiarray.",
    "numpy.dtype",
    "pathlib.",
)
_NAMED_BOOKKEEPING = {
    "_codecs.encode",
    "argparse.Namespace",
    "collections.Counter",
    "collections.defaultdict",
    "torch.device",
    "typing.Any",
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _PLAIN),
}
_STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.storage.UntypedStorage": "uint8",
}
_DTYPES = {f"torch.{name}" for name in _STORAGES.values()}


@dataclass(frozen=True)
class Storage:
    """What a file says of one block of numbers: its key in the file, dtype, count of elements."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """What a file says of one tensor: a strided view of a storage, in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class StandIn:
    """What is read in place of bookkeeping, as a class or as an object; it keeps nothing."""

    def __new__(cls, *arguments: object, **named: object) -> StandIn:
        """Drop the arguments."""
        return super().__new__(cls)

    def __init__(self, *arguments: object, **named: object) -> None:
        """Drop the arguments."""

    def _drop(self, *arguments: object) -> None:
        """Drop what is put in."""

    __setstate__ = __setitem__ = append = extend = add = _drop


def unpickle(stream: IO[bytes]) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle: plain containers, numbers, strings, `StoredTensor` and `StandIn`.

    Returns:
        What it holds, and every storage that it names, by key.

    Raises:
        CheckpointError: it asks for something else, which may be code, or is damaged.
    """
    unpickler = _Unpickler(stream)
    start = stream.tell()
    try:
        _check_claims(stream)
        stream.seek(start)
        return unpickler.load(), unpickler.storages
    except CheckpointError:
        raise
    # Damaged bytes raise whatever the operation that they happen to name raises.
    except Exception as error:
        raise CheckpointError(
            f"its pickle is damaged ({type(error).__name__}: {error})",
            hint="The download or copy broke off: get the file again.",
        ) from error


def _check_claims(stream: IO[bytes]) -> None:
    """Look before unpickling: what is claimed is allocated there, be it 64 GB for a memo of 2^32.

    Raises:
        ValueError: a length beyond the bytes, or a place in the memo beyond what came before.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if "PUT" in opcode.name and argument is not None and argument > 2 * count + 100:
            raise ValueError(f"place {argument} in a memo of {count}")


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Answer a name with something of ours; nothing is imported."""
        asked = f"{module}.{name}"
        if asked in _ANSWERS:
            return _ANSWERS[asked]
        if asked in _NAMED_BOOKKEEPING or asked in _DTYPES or asked.startswith(_BOOKKEEPING):
            return StandIn
        raise CheckpointError(
            f"it asks for {asked}, which makes no tensor and was not run",
            hint="A file of weights has no use for that: do not trust it; ask for .safetensors.",
        )

    def persistent_load(self, pid: Any) -> Storage:
        """A storage: ("storage", type, key, device, count), from older versions with a view."""
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or not isinstance(dtype, str) or any(part for part in view):
            raise CheckpointError(f"its pickle names a storage of unknown kind: {pid}")
        return self.storages.setdefault(str(key), Storage(str(key), dtype, int(count)))


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: object) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise CheckpointError(f"its pickle makes a tensor of a {type(storage).__name__}")
    return StoredTensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


def _same(data: StoredTensor, *_: object) -> StoredTensor:
    return data


def _size(values: Any = ()) -> tuple[Any, ...]:
    return tuple(values)


_ANSWERS: dict[str, Any] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _same,
    "torch.Size": _size,
    "collections.OrderedDict": OrderedDict,
    **_STORAGES,
}
