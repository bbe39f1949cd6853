"""Detail can have no checkerboard: its filter is zero at half the sampling rate."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from diffir.moe.detail import HALF_BAND, DetailLevels
from diffir.moe.feature_prompts import FeaturePrompts
from diffir.moe.prompted_level import PromptedLevel


@pytest.fixture
def detail() -> DetailLevels:
    torch.manual_seed(0)

    def prompts(width):
        return FeaturePrompts(width, degradation_width=4, experts=3, top_k=2)

    level = partial(PromptedLevel, degradation_width=4)
    levels = DetailLevels(widths=[8, 6], blocks=1, prompts=prompts, level=level)
    torch.nn.init.normal_(levels.head.weight)  # a head that would love to draw patterns
    return levels.eval()


def test_no_energy_at_half_the_sampling_rate(detail):
    maps = [torch.randn(1, 8, 16, 16), torch.randn(1, 6, 32, 32)]
    with torch.no_grad():
        added = detail(maps, torch.randn(1, 4))[0].numpy()
    assert added.shape == (3, 64, 64)
    inner = added[:, 8:-8, 8:-8]
    spectrum = np.abs(np.fft.fft2(inner - inner.mean((1, 2), keepdims=True)))
    assert spectrum[:, 24].max() < spectrum.max() / 20
    assert spectrum[:, :, 24].max() < spectrum.max() / 20


def test_the_filter_by_frequency():
    def response(frequency: float) -> float:
        return sum(t * np.cos((i - 2) * frequency) for i, t in enumerate(HALF_BAND))

    assert response(0) == pytest.approx(1)
    assert response(np.pi / 2) == pytest.approx(0.75)
    assert response(np.pi) == pytest.approx(0)


def test_a_constant_stays_up_to_the_border(detail):
    torch.nn.init.zeros_(detail.head.weight)
    torch.nn.init.constant_(detail.head.bias, 0.25)
    with torch.no_grad():
        added = detail([torch.zeros(1, 8, 4, 4), torch.zeros(1, 6, 8, 8)], None)
    assert torch.allclose(added, torch.full_like(added, 0.25))
