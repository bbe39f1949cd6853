from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.restore.tiling import GRID, OVERLAP, count, cut, on_grid

LENGTHS = st.integers(1, 1500)
SIZES = st.sampled_from([128, 192, 256, 512])


@given(height=LENGTHS, width=LENGTHS, size=SIZES)
@settings(max_examples=40, deadline=None)
def test_weights_sum_to_one_everywhere(height, width, size):
    total = np.zeros((height, width), np.float32)
    for tile in cut(height, width, size):
        total[tile.rows, tile.columns] += tile.row_weights * tile.column_weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(height=LENGTHS, width=LENGTHS, size=SIZES)
@settings(max_examples=40, deadline=None)
def test_where_tiles_lie(height, width, size):
    tiles = list(cut(height, width, size))
    assert len(tiles) == count(height, width, size)
    for tile in tiles:
        for place, length in ((tile.rows, height), (tile.columns, width)):
            assert place.start % GRID == 0
            assert 0 < place.stop - place.start <= size
            assert place.stop <= length
            # A tile that begins inside the picture brings something beside the overlap.
            assert place.start == 0 or place.stop - place.start > OVERLAP


@given(seed=st.integers(0, 1000), size=SIZES)
@settings(max_examples=20, deadline=None)
def test_tiles_that_disagree_fade_into_each_other(seed, size):
    rng = np.random.default_rng(seed)
    blended = np.zeros((400, 700, 3), np.float32)
    for tile in cut(400, 700, size):
        flat = np.full((*blended[tile.rows, tile.columns].shape[:2], 3), rng.random(), np.float32)
        blended[tile.rows, tile.columns] += tile.weigh(flat)
    for axis in (0, 1):
        assert np.abs(np.diff(blended, axis=axis)).max() <= 1 / OVERLAP + 1e-6


def test_a_picture_that_fits_is_one_tile_of_full_weight():
    (tile,) = cut(100, 128, 128)
    assert (tile.rows, tile.columns) == (slice(0, 100), slice(0, 128))
    values = np.ones((100, 128, 3), np.float32)
    np.testing.assert_array_equal(tile.weigh(values), values)


@pytest.mark.parametrize("size", [0, 64, 100, 130, -128])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"a multiple of 64 from 128, got {size}"):
        list(cut(300, 300, size))


class TestOnGrid:
    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 7), st.integers(0, 7))
    def test_blocks_begin_at_the_corner(self, height, width, row, column):
        pixels = np.arange(height * width * 3, dtype=np.uint16).reshape(height, width, 3)
        whole, inside = on_grid(pixels, (row, column))
        assert np.array_equal(whole[inside], pixels)
        assert (inside[0].start + row) % 8 == (inside[1].start + column) % 8 == 0
        assert max(inside[0].start, inside[1].start) < 8

    def test_what_lies_on_it_is_not_copied(self):
        pixels = np.zeros((20, 30, 3), np.uint8)
        assert on_grid(pixels, (0, 0))[0] is pixels
