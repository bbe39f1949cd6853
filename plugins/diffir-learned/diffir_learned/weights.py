"""Weights of the learned codecs: those in this package, or better ones that the user has.

A file is `FAMILY-LEVEL.safetensors`; its header says `architecture`. It is looked for in the folder
that `DIFFIR_LEARNED_WEIGHTS` names, then in this package. Official weights come as pickles:
`python -m diffir_learned.convert` makes such a file of one.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, cast

from safetensors import SafetensorError, safe_open

from diffir.errors import CodecError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from diffir_learned.networks import Network

VARIABLE = "DIFFIR_LEARNED_WEIGHTS"
FORMAT = "diffir-learned-1"
MOST_LOADED = 4
"""Networks kept in memory."""


def weights_file(family: str, level: int) -> Path:
    """Where the weights of a family and level lie.

    Raises:
        CodecError: nowhere.
    """
    name = f"{family}-{level}.safetensors"
    own = os.environ.get(VARIABLE)
    if own and not Path(own).is_dir():
        raise CodecError(
            f"{VARIABLE} names {own}, which is not a folder",
            hint="Name the folder that holds the weights, or unset it.",
        )
    folders = [*([Path(own)] if own else []), Path(str(files("diffir_learned") / "weights"))]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise CodecError(
        f"there are no weights {name} in {' or '.join(map(str, folders))}",
        hint=f"Set {VARIABLE} to a folder that holds them, or train them: "
        f"python -m diffir_learned.train --family {family} --data FOLDER",
    )


def load_network(path: Path) -> tuple[Network, bytes]:
    """The network of a weights file, ready to code, and four bytes that tell its weights.

    Raises:
        CodecError: not a weights file of this plugin.
    """
    stat = path.stat()
    return _load(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=MOST_LOADED)
def _load(path: Path, size: int, changed: int) -> tuple[Network, bytes]:
    from diffir_learned.networks import network_from

    tensors, architecture = _read(path)
    network = network_from(tensors, architecture, str(path))
    return network, hashlib.sha256(path.read_bytes()).digest()[:4]


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    """Tensors and architecture of a file of this plugin."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CodecError(
            f"{path} is not a safetensors file: {error}",
            hint="Official weights are converted by: python -m diffir_learned.convert FILE",
        ) from error
    if metadata.get("format") != FORMAT:
        raise CodecError(
            f"{path} holds {metadata.get('format', 'no format')!r}, {FORMAT!r} was expected",
            hint="Make it with python -m diffir_learned.convert or .train",
        )
    return tensors, metadata["architecture"]


def save_weights(
    network: nn.Module | Network,
    path: Path,
    architecture: str,
    card: dict[str, str],
    *,
    dtype: torch.dtype,
) -> None:
    """Write atomically, with the architecture and a card in the header."""
    from safetensors.torch import save_file

    from diffir_learned.networks import is_buffer

    tensors = {
        key: tensor.to(dtype).contiguous()
        for key, tensor in cast("nn.Module", network).state_dict().items()
        if not is_buffer(key)
    }
    metadata = {"format": FORMAT, "architecture": architecture, "card": json.dumps(card)}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata=metadata)
    os.replace(partial, path)


def load_weights(network: nn.Module, path: Path) -> None:
    """Start from the weights of another level or family.

    Raises:
        CodecError: not a weights file of this plugin.
    """
    tensors = {key: tensor.float() for key, tensor in _read(path)[0].items()}
    network.load_state_dict({**network.state_dict(), **tensors})
