from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.moe.windows import WINDOW, WindowBlock


@pytest.fixture(scope="module")
def block():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WindowBlock(8)


def tokens(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, height, width, 8, generator=torch.Generator().manual_seed(0))


@given(height=st.integers(1, 20), width=st.integers(1, 20))
@settings(max_examples=15, deadline=None)
def test_any_size(block, height, width):
    x = tokens(height, width)
    out = block(x)
    assert out.shape == x.shape
    assert out.isfinite().all()


def test_a_token_reaches_its_window_and_no_further(block):
    x = tokens(2 * WINDOW, 3 * WINDOW)
    changed = x.clone()
    changed[0, 3, WINDOW + 2, 0] += 9
    moved = (block(changed) - block(x)).abs().amax(dim=-1) > 0
    window = torch.zeros_like(moved)
    window[0, :WINDOW, WINDOW : 2 * WINDOW] = True
    assert moved[window].all()
    assert not moved[~window].any()


def test_a_window_cut_out_is_treated_the_same(block):
    x = tokens(2 * WINDOW, 2 * WINDOW)
    torch.testing.assert_close(block(x)[:, WINDOW:, :WINDOW], block(x[:, WINDOW:, :WINDOW]))
