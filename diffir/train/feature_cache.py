"""What does not change while prompts are fine-tuned, computed once and kept on disk.

    crop -> encoder -> latent, feature maps -.
         -> conditioner -> context ----------+-> the U-Net's way down   ===> one row of each array
    (frozen, and no prompt acts here)

A model that restores in one step goes down from the degraded latent. One that samples from noise
goes down from the clean latent with noise, drawn once per crop; what it should predict is kept.

Arrays are half precision, on disk: of them a process holds the rows of one step. A cache is found
again by the hash of all that it was made from: the model's weights, the pixels, and how they were
compressed. The folder is bounded; the caches that were not used for longest go first.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from diffir.contracts.interfaces import Encoded
from diffir.diffusion.schedule import TIMESTEPS, add_noise
from diffir.diffusion.unet import Descent
from diffir.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from diffir.contracts.codec import CodecInfo
    from diffir.diffusion.model import RestorationModel
    from diffir.train.transfer_crops import Pair

FORMAT = "3"
LIMIT_BYTES = 2 * 1024**3
ABANDONED_SECONDS = 24 * 3600
BATCH = 8


class _Array:
    """An array on disk. It stays readable when another process evicts the cache."""

    def __init__(self, path: Path) -> None:
        layout = np.load(path, mmap_mode="r")
        with path.open("rb") as file:
            self.mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        numbers = np.frombuffer(self.mapping, layout.dtype, layout.size, layout.offset)
        self.whole = numbers.reshape(layout.shape)

    def rows(self, index: Sequence[int]) -> NDArray[np.generic]:
        """A copy of some rows."""
        found = self.whole[list(index)]
        if hasattr(mmap, "MADV_DONTNEED"):  # else all that was ever read counts as held memory
            self.mapping.madvise(mmap.MADV_DONTNEED)
        return found


@dataclass(frozen=True, eq=False)
class Rows:
    """A batch of crops, as far as they are known before any prompt acts.

    target: what the denoiser should predict, where the model samples from noise. seen: what the
    router's frozen degradation tower made of the image, where it has one.
    """

    clean: Tensor
    encoded: Encoded
    context: Tensor
    descent: Descent
    codecs: tuple[CodecInfo, ...]
    target: Tensor | None = None
    seen: Tensor | None = None


class FeatureCache:
    """The crops of one fine-tuning, as rows.

    Args:
        folder: holds all caches. model: the frozen base, in evaluation mode. key: the base's hash.
        crops: all of one size.

    Raises:
        OutputError: there is no space for it.
    """

    def __init__(
        self, folder: Path, model: RestorationModel, *, key: str, crops: Sequence[Pair]
    ) -> None:
        self.codecs = [crop.codec for crop in crops]
        if model.sampler.steps > 1:
            drawn = getattr(model.encoder, "sample", False)
            key = f"{key} {model.sampler.prediction} {drawn}"
        else:
            key = f"{key} {model.sampler.at}"
        self.place = folder / _digest(key, crops)
        try:
            self.reused = there = self._open()
            while not there:  # more than once where another process evicts it at once
                self._fill(model, crops)
                there = self._open()
            _evict(folder, keep=self.place)
        except OSError as error:
            raise OutputError(
                f"cannot keep features in {folder}: {error.strerror or error}",
                hint="Free some space, or name another folder in DIFFIR_CACHE.",
            ) from error

    def __len__(self) -> int:
        return len(self.codecs)

    def rows(self, index: Sequence[int], device: torch.device) -> Rows:
        """The rows of `index`, on a device, in float32."""

        def part(name: str) -> Tensor:
            array = self.arrays[name].rows(index)
            tensor = torch.from_numpy(array).to(device).float()
            tensor = tensor / 255 if array.dtype == np.uint8 else tensor
            wanted = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
            return tensor.contiguous(memory_format=wanted)

        def parts(prefix: str) -> tuple[Tensor, ...]:
            count = sum(name.startswith(prefix) for name in self.arrays)
            return tuple(part(f"{prefix}{position}") for position in range(count))

        return Rows(
            part("clean"),
            Encoded(part("degraded"), part("latent"), parts("feature-")),
            part("context"),
            Descent(part("time"), parts("skip-")),
            tuple(self.codecs[i] for i in index),
            *(part(name) if name in self.arrays else None for name in ("target", "seen")),
        )

    def _open(self) -> bool:
        """Map the arrays, if they are all there."""
        complete = self.place / "complete"
        if not complete.is_file():
            return False
        try:
            os.utime(complete)  # the time of its last use
            self.arrays = {path.stem: _Array(path) for path in sorted(self.place.glob("*.npy"))}
        except FileNotFoundError:  # another process evicts it
            return False
        return complete.is_file()

    def _fill(self, model: RestorationModel, crops: Sequence[Pair]) -> None:
        partial = self.place.with_name(f"{self.place.name}.{os.getpid()}.partial")
        try:
            self._write(model, crops, partial)
            _publish(partial, self.place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @torch.inference_mode()
    def _write(self, model: RestorationModel, crops: Sequence[Pair], partial: Path) -> None:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        device = next(model.parameters()).device
        arrays: dict[str, np.memmap[tuple[int, ...], np.dtype[np.generic]]] = {}
        torch.manual_seed(0)  # of the noise, where some is drawn
        for start in range(0, len(crops), BATCH):
            chunk = crops[start : start + BATCH]
            for name, rows in _frozen(model, chunk, device).items():
                if name not in arrays:
                    file, shape = partial / f"{name}.npy", (len(crops), *rows.shape[1:])
                    arrays[name] = np.lib.format.open_memmap(file, "w+", rows.dtype, shape)
                    _reserve(file)
                arrays[name][start : start + len(chunk)] = rows
        for array in arrays.values():
            array.flush()
        (partial / "complete").touch()


def _publish(partial: Path, place: Path) -> None:
    """Give a cache its name; one that another process has published meanwhile stays."""
    if not (place / "complete").is_file():
        _remove(place)
    try:
        os.replace(partial, place)
    except OSError:
        if not (place / "complete").is_file():
            raise


def _remove(place: Path) -> None:
    """What is half removed, by a process that is killed, must not look complete."""
    (place / "complete").unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)


def _frozen(
    model: RestorationModel, crops: Sequence[Pair], device: torch.device
) -> dict[str, np.ndarray]:
    clean = np.stack([crop.clean for crop in crops]).transpose(0, 3, 1, 2)
    degraded = np.stack([crop.degraded for crop in crops]).transpose(0, 3, 1, 2)
    image = torch.from_numpy(degraded.copy()).to(device) / 255
    encoded = model.encoder.encode(image)
    context = model.conditioner.condition(image, encoded.latent)
    tensors = {"latent": encoded.latent, "context": context}
    if model.sampler.steps == 1:
        start = encoded.latent
        timesteps = torch.full((len(crops),), model.sampler.at, device=device)
        tensors |= {f"feature-{i}": feature for i, feature in enumerate(encoded.features)}
    else:
        pixels = torch.from_numpy(clean.copy()).to(device) / 255
        start, tensors["target"], timesteps = _noised(model, model.encoder.encode(pixels).latent)
    look = getattr(model.router, "see", None)
    if look is not None and (seen := look(image)) is not None:
        tensors["seen"] = seen
    descent = model.denoiser.descend(start, timesteps, context)
    tensors["time"] = descent.time
    tensors |= {f"skip-{i}": skip for i, skip in enumerate(descent.skips)}
    rows = {name: tensor.half().cpu().numpy() for name, tensor in tensors.items()}
    return rows | {"clean": clean, "degraded": degraded}


def _noised(model: RestorationModel, clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy latents at drawn timesteps, what to predict of them, and the timesteps."""
    timesteps = torch.randint(TIMESTEPS, (len(clean),)).to(clean.device)
    noise = torch.randn(clean.shape).to(clean)
    return *add_noise(clean, noise, timesteps, model.sampler.prediction), timesteps


def _reserve(file: Path) -> None:
    """Take a sparse file's space now: a full disk is an error here, and a crash in mapped memory.

    Raises:
        OSError: there is not enough.
    """
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _digest(key: str, crops: Sequence[Pair]) -> str:
    digest = hashlib.sha256(f"{FORMAT} {key}".encode())
    for crop in crops:
        digest.update(crop.clean.tobytes())
        digest.update(crop.degraded.tobytes())
        digest.update(json.dumps([crop.codec.name, crop.codec.severity]).encode())
    return digest.hexdigest()[:24]


def _evict(folder: Path, *, keep: Path) -> None:
    for partial in folder.glob("*.partial"):  # of runs that were killed
        with suppress(FileNotFoundError):  # or that are done just now
            if time.time() - partial.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(partial, ignore_errors=True)
    found = []
    for place in folder.iterdir():
        if place.suffix == ".partial":
            continue
        with suppress(OSError):  # no cache, or one that another process removes
            used = (place / "complete").stat().st_mtime
            found.append((used, sum(file.stat().st_size for file in place.iterdir()), place))
    total = sum(size for _, size, _ in found)
    for _, size, place in sorted(found):
        if total <= LIMIT_BYTES:
            break
        if place != keep:
            total -= size
            _remove(place)
