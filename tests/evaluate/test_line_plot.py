from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffir.errors import DataError
from diffir.evaluate.line_plot import HEIGHT, WIDTH, draw_lines

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)


def test_a_curve_is_seen():
    image = draw_lines({"LPIPS": [(100, 0.9), (200, 0.8)]}, across="steps", up="base = 1")
    assert image.size == (WIDTH, HEIGHT)
    red = np.abs(np.asarray(image).astype(int) - (196, 54, 22)).sum(axis=2) < 60
    rows, columns = np.nonzero(red)
    assert columns.min() > WIDTH // 3  # x begins at 0
    assert rows.max() - rows.min() > HEIGHT // 2


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5))
def test_any_numbers_can_be_drawn(points):
    assert draw_lines({"x": points}, across="x", up="y").size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("points", [[], [(0.0, float("nan"))]])
def test_nothing_to_draw(points):
    with pytest.raises(DataError, match="nothing to draw"):
        draw_lines({"x": points}, across="x", up="y")
