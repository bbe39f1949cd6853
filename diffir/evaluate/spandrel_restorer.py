"""Other people's restoration networks, from any weights file that spandrel knows.

    picture -> tiles if it must be -> descriptor (pads as the network asks) -> picture

Weights are read by safetensors, or by spandrel's unpickler that admits tensors alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from diffir.errors import CheckpointError, DataError, DeviceError, MissingDependencyError
from diffir.evaluate.protocol_pixels import as_8bit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from diffir.contracts.codec import Pixels
    from diffir.contracts.picture import Picture

SUFFIXES = (".safetensors", ".pth", ".ckpt")
LARGEST = 1024
"""Side of a tile in pixels; smaller pictures are restored whole."""


class SpandrelRestorer:
    """Restores with one network of somebody else's.

    A network that enlarges is let do so, and its picture made small again by Lanczos.

    Args:
        name: for messages.
        path: a file of weights.
        device: as torch names it.

    Raises:
        MissingDependencyError: spandrel is not installed.
        CheckpointError: no such file, one that would run code, or no network that spandrel knows
            or that takes a picture and gives one.
    """

    def __init__(self, name: str, path: Path, *, device: str = "cpu") -> None:
        self.name = name
        self._network = _load(path, device)
        self._device = device

    def __call__(self, picture: Picture) -> Picture:
        """Restore a picture of any size.

        Raises:
            DataError: the network knows one channel, and the picture has colors.
            CheckpointError: the network failed.
            DeviceError: not even the smallest tile fits into memory.
        """
        pixels = as_8bit(picture.pixels)
        if self._network.input_channels == 1 and not picture.gray:
            raise DataError(
                f"restorer '{self.name}' knows gray pictures alone, got one with colors",
                hint="Measure it by --protocol matlab-y-gray.",
            )
        restored = self._tiled(pixels)
        return picture.with_pixels(np.rint(restored * 255).astype(np.uint8))

    def _tiled(self, pixels: Pixels) -> NDArray[np.float32]:
        from diffir.restore.memory import is_out_of_memory
        from diffir.restore.tiling import GRID, SMALLEST_TILE

        tile = LARGEST
        while True:
            try:
                return self._restore(pixels, tile)
            except Exception as error:  # somebody else's network raises whatever it likes
                short = isinstance(error, RuntimeError) and is_out_of_memory(error)
                if not short and not isinstance(error, MemoryError):
                    raise CheckpointError(
                        f"restorer '{self.name}' failed on {pixels.shape[1]}x{pixels.shape[0]} "
                        f"pixels: {error}",
                        hint="Its network, not diffir, refused the picture.",
                    ) from error
                if tile <= SMALLEST_TILE or not self._may_be_cut:
                    raise DeviceError(
                        f"restorer '{self.name}' runs out of memory",
                        hint="Take another --device, or smaller pictures.",
                    ) from error
                tile = max(SMALLEST_TILE, tile // 2 // GRID * GRID)

    @property
    def _may_be_cut(self) -> bool:
        return bool(self._network.tiling.name == "SUPPORTED")

    def _restore(self, pixels: Pixels, tile: int) -> NDArray[np.float32]:
        """`(H,W,3)` in [0,1], of tiles that are blended."""
        from diffir.restore.tiling import cut

        if not self._may_be_cut:
            return self._run(pixels)
        whole = np.zeros(pixels.shape, np.float32)
        for place in cut(pixels.shape[0], pixels.shape[1], tile):
            part = self._run(pixels[place.rows, place.columns])
            whole[place.rows, place.columns] += place.weigh(part)
        return np.clip(whole, 0, 1)

    def _run(self, pixels: Pixels) -> NDArray[np.float32]:
        import torch

        from diffir.restore.tensors import to_image

        network = self._network
        image = to_image(pixels)[:, : network.input_channels].to(self._device)
        with torch.inference_mode():
            restored = network(image.contiguous())[0].float().cpu()
        array: NDArray[np.float32] = restored.permute(1, 2, 0).numpy()
        array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
        return array if network.scale == 1 else _made_small(array, like=pixels)


def _load(path: Path, device: str) -> Any:
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except ImportError as error:
        raise MissingDependencyError(
            f"restorers from weights files need the package spandrel, to read {path.name}",
            hint='Install it: pip install "diffir-restoration[restorers]", or pip install spandrel',
        ) from error
    if not path.is_file():
        raise CheckpointError(
            f"there is no file of weights {path}",
            hint="Name a file, or a command line with {input} and {output}.",
        )
    if path.suffix.lower() not in SUFFIXES:
        raise CheckpointError(
            f"expected a file of weights that ends in {', '.join(SUFFIXES)}, got {path.name}",
            hint="A .pt file that holds weights alone may be renamed to .pth; a script may not.",
        )
    try:
        network = ModelLoader(device).load_from_file(path)
    # Unpicklers, safetensors and spandrel's architectures raise whatever they like.
    except Exception as error:
        raise CheckpointError(
            f"spandrel cannot load {path.name}: {str(error) or type(error).__name__}",
            hint="Its list of networks: https://github.com/chaiNNer-org/spandrel",
        ) from error
    channels = network.input_channels, network.output_channels
    if not isinstance(network, ImageModelDescriptor) or channels not in ((1, 1), (3, 3)):
        raise CheckpointError(
            f"{path.name} holds a network of {network.architecture.name} from {channels[0]} to "
            f"{channels[1]} channels, expected one from a picture to a picture",
            hint="Take a network that restores gray or RGB pictures.",
        )
    return network.eval()


def _made_small(array: NDArray[np.float32], *, like: Pixels) -> NDArray[np.float32]:
    from PIL import Image

    size = like.shape[1], like.shape[0]
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS), np.float32)
        for plane in np.moveaxis(array, 2, 0)
    ]
    small: NDArray[np.float32] = np.clip(np.stack(planes, axis=2), 0, 1)
    return small
