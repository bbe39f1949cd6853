"""The Inception network of FID: features `(B,2048)` of pictures, on weights that the user gives.

FID is defined by one set of weights, TensorFlow's of 2015-12-05, which torch users know as
`pt_inception-2015-12-05-6726825d.pth`. No package brings them and diffir fetches them from nowhere.
The network is torchvision's Inception v3 but for the pooling in four kinds of blocks: means leave
the padding out, and the last block takes the largest value.
"""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import inception

from diffir.errors import CheckpointError
from diffir.perceptual.weights import load_weights, save_weights, weights_path

if TYPE_CHECKING:
    from pathlib import Path

ORIGINAL = "pt_inception-2015-12-05-6726825d.pth"
ORIGINAL_SHA256 = "6726825d"
"""How the checksum of the file begins that figures of FID are taken with."""

WIDTH = 2048
SIDE = 299
_CLASSES = 1008


def _inner_mean(maps: Tensor) -> Tensor:
    return F.avg_pool2d(maps, kernel_size=3, stride=1, padding=1, count_include_pad=False)


def _largest(maps: Tensor) -> Tensor:
    return F.max_pool2d(maps, kernel_size=3, stride=1, padding=1)


# torchvision tells no types, so its classes are Any to mypy.
class _BlockA(inception.InceptionA):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_inner_mean(x))]


class _BlockC(inception.InceptionC):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_inner_mean(x))]


class _BlockE(inception.InceptionE):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_inner_mean(x))]


class _LastBlock(inception.InceptionE):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_largest(x))]


class FidInception(nn.Module):
    """Features of images for FID; frozen, float32.

    Args:
        weights: a safetensors file; by default the one that `import_inception` has made.

    Raises:
        CheckpointError: the weights are missing or damaged.
    """

    def __init__(self, *, weights: Path | None = None) -> None:
        super().__init__()
        self.network = build_network()
        path = weights or weights_path("inception")
        if not path.is_file():
            raise CheckpointError(
                f"FID needs the weights of its Inception network, which are not at {path}",
                hint=f"Get {ORIGINAL}, then run: diffir fetch-metrics --inception FILE",
            )
        load_weights(self.network, path)
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Tensor:
        """`(B,3,H,W)` in [0,1] of any size to `(B,2048)`.

        Made 299x299 bilinearly without antialias, as pytorch-fid does.
        """
        small = F.interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=False)
        features: Tensor = self.network(2 * small - 1)
        return features


def build_network() -> nn.Module:
    """Torchvision's network with FID's pooling, up to the features; weights are random."""
    blocks = [
        inception.BasicConv2d,
        _BlockA,
        inception.InceptionB,
        _BlockC,
        inception.InceptionD,
        _BlockE,
        inception.InceptionAux,
    ]
    network: nn.Module = inception.Inception3(
        num_classes=_CLASSES, aux_logits=False, inception_blocks=blocks, init_weights=False
    )
    network.Mixed_7c = _LastBlock(WIDTH)
    network.fc = nn.Identity()
    return network


def import_inception(file: Path) -> tuple[Path, str]:
    """Keep the user's weights of FID's network in the cache, as safetensors.

    Args:
        file: `.safetensors`, or a pickle of tensors, of which nothing else is unpickled.

    Returns:
        Where they are, and the sha256 of `file`.

    Raises:
        CheckpointError: it cannot be read, holds something else than tensors, or other ones.
    """
    try:
        data = file.read_bytes()
        stored = (
            load_file(file)
            if file.suffix.lower() == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{file} holds no weights that can be read: {error}",
            hint=f"The file is known as {ORIGINAL}.",
        ) from error
    if not isinstance(stored, dict):
        raise CheckpointError(
            f"{file} holds a {type(stored).__name__}, expected tensors by their names",
            hint=f"The file is known as {ORIGINAL}.",
        )
    expected = build_network().state_dict()
    # Batch counters and the classifier take no part in the features.
    missing = [
        name
        for name, tensor in expected.items()
        if not name.endswith("num_batches_tracked")
        and getattr(stored.get(name), "shape", None) != tensor.shape
    ]
    if missing:
        raise CheckpointError(
            f"{file} lacks {len(missing)} tensors of FID's Inception network, such as {missing[0]}",
            hint=f"The file is known as {ORIGINAL}.",
        )
    tensors = {name: stored.get(name, tensor).contiguous() for name, tensor in expected.items()}
    return save_weights("inception", tensors), hashlib.sha256(data).hexdigest()
