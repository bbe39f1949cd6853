"""The charge for a lattice: for what repeats, where the picture is flat, and for nothing else."""

from __future__ import annotations

import pytest
import torch

from diffir.train.losses import lattice


@pytest.fixture
def clean() -> torch.Tensor:
    torch.manual_seed(0)
    return 0.5 + torch.randn(2, 3, 96, 64) / 255


def pattern(size: torch.Size) -> torch.Tensor:
    """A block of 8x8 with mean 0, everywhere."""
    block = torch.randn(1, 3, 8, 8)
    block = block - block.mean((2, 3), keepdim=True)
    return block.repeat(size[0], 1, size[2] // 8, size[3] // 8)


def test_what_repeats_costs_what_it_measures(clean):
    repeated = pattern(clean.shape) / 255
    assert float(lattice(clean + repeated, clean)) == pytest.approx(float(repeated.abs().mean()))


def test_what_does_not_repeat_costs_little(clean):
    noise = torch.randn(clean.shape) / 255
    assert float(lattice(clean + noise, clean)) < 0.15 * float(noise.abs().mean())


def test_another_brightness_costs_nothing(clean):
    assert float(lattice(clean + 0.1, clean)) < 1e-6


def test_flat_places_count_most(clean):
    busy = torch.cat([torch.rand(2, 3, 96, 64), clean], dim=3)
    error = torch.cat([torch.zeros_like(clean), pattern(clean.shape) / 255], dim=3)
    in_flat = float(lattice(busy + error, busy))
    in_busy = float(lattice(busy + error.flip(3), busy))
    assert in_busy < 0.01 * in_flat
