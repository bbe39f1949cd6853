"""Weights for tests: random ones of the right shape, and the real ones where they are fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffir.perceptual.networks import AlexNet, Vgg16

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with alex, vgg and dists: every layer as a fresh network has it, seeded."""
    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(0)
    for name, trunk in (("alex", AlexNet()), ("vgg", Vgg16())):
        tensors = {}
        for key, value in trunk.state_dict().items():
            deviation = (2 / value[0].numel()) ** 0.5 if value.ndim > 1 else 0.01
            tensors[f"trunk.{key}"] = torch.randn(value.shape, generator=generator) * deviation
        for position, width in enumerate(trunk.channels):
            tensors[f"linear.{position}"] = torch.rand(width, generator=generator)
        save_file(tensors, folder / f"{name}.safetensors")
    mixing = {name: torch.rand(1475, generator=generator) for name in ("alpha", "beta")}
    save_file(mixing, folder / "dists.safetensors")
    return folder


@pytest.fixture(scope="session")
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """A drawn scene, `(1,3,48,64)` in [0,1], and the same with noise and a blur."""
    rows, columns = np.mgrid[0:48, 0:64]
    waves = [np.sin(columns / 5), np.cos(rows / 7), np.sin((rows + columns) / 9)]
    clean = torch.from_numpy(np.stack(waves) / 2 + 0.5).float()[None]
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.08, clean.shape)).float()
    worse = torch.nn.functional.avg_pool2d(clean, 3, stride=1, padding=1) + noise
    return clean, worse.clamp(0, 1)
