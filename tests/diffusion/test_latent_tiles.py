from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_sd21 import NATIVE, small_model, small_recipe

from diffir.contracts.codec import CodecInfo
from diffir.diffusion.latent_tiles import Grid, run_in_tiles

JPEG = CodecInfo(name="jpeg", quality=10.0, severity=0.9)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.integers(2, 6),
    overlap=st.integers(0, 7),
)
def test_tiles_cover_the_latent_and_overlap(height, width, size, overlap):
    unit, size = 2, 4 + 2 * size
    grid = Grid(2 * height, 2 * width, size, overlap, unit)
    seen = torch.zeros(2 * height, 2 * width)
    for rows, columns in grid:
        assert (rows.start % unit, columns.start % unit) == (0, 0)
        assert rows.stop - rows.start == min(size, 2 * height)
        assert columns.stop - columns.start == min(size, 2 * width)
        seen[rows, columns] += 1
    assert (seen > 0).all()
    starts = sorted({rows.start for rows, _ in grid})
    assert all(b - a <= size - overlap + unit for a, b in pairwise(starts))


@given(height=st.integers(1, 9), width=st.integers(1, 9), overlap=st.integers(0, 3))
def test_maps_of_every_scale_come_back_as_they_were(height, width, overlap):
    scales = (8, 2, 1, 0.5)
    inputs = [torch.randn(2, 3, int(4 * height * s), int(4 * width * s)) for s in scales]
    found = run_in_tiles(lambda *tiles: tiles, inputs, Grid(4 * height, 4 * width, 8, overlap, 4))
    for one, other in zip(found, inputs, strict=True):
        torch.testing.assert_close(one, other)


def test_no_seam_on_a_gradient():
    """A function that shifts each tile by its own mean, as norms over a tile do."""
    gradient = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    overlap = 8
    (found,) = run_in_tiles(
        lambda tile: [tile - tile.mean()], [gradient], Grid(64, 64, 24, overlap, 8)
    )
    jumps = found.diff(dim=-1).abs().max()
    means = 24 / 64  # of neighboring tiles differ by less
    assert jumps <= 1 / 63 + 1.5 * means / overlap
    (hard,) = run_in_tiles(lambda tile: [tile - tile.mean()], [gradient], Grid(64, 64, 24, 0, 8))
    assert hard.diff(dim=-1).abs().max() > 3 * jumps


@pytest.mark.parametrize(("size", "unit"), [(12, 8), (8, 8), (4, 8)])
def test_tiles_that_cannot_be(size, unit):
    with pytest.raises(ValueError, match=f"multiple of 8 above their overlap of 8 .* got {size}"):
        Grid(64, 64, size, 8, unit)


@pytest.fixture(scope="module", params=["sd21", "light"])
def model(request, build_model):
    return build_model() if request.param == "light" else small_model(small_recipe(NATIVE))


@pytest.fixture(scope="module")
def image():
    """A gradient, dark above."""
    return torch.linspace(0.2, 0.8, 256)[:, None].expand(1, 3, 256, 192).clone()


class TestModel:
    def run(self, model, image, **options):
        noise = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            return model(image, [JPEG], generator=noise, steps=2, **options)[0].faithful

    def test_a_picture_no_larger_than_the_tile_is_not_cut(self, model, image):
        assert torch.equal(self.run(model, image, tile=256), self.run(model, image))

    def test_a_larger_one_is(self, model, image):
        found = self.run(model, image, tile=128)
        assert found.shape == image.shape
        assert found.isfinite().all()

    def test_no_seam_where_tiles_meet(self, model, image):
        # Tiles of 128 over 256 rows start at 0, 64 and 128. Jumps there against those elsewhere.
        whole, tiled = (self.run(model, image, tile=tile) for tile in (None, 128))
        steps = [one.mean(dim=(0, 1, 3)).diff().abs() for one in (whole, tiled)]
        at_borders = torch.stack([steps[1][63], steps[1][127], steps[1][191]])
        assert at_borders.max() <= 1.5 * max(step.max() for step in steps)
        assert steps[1].max() <= 1.5 * steps[0].max()

    def test_without_a_norm_over_the_plane_tiles_hardly_differ(self, build_model, image):
        model = build_model()
        whole, tiled = (self.run(model, image, tile=tile) for tile in (None, 192))
        assert (whole - tiled).abs().mean() < 0.1 * whole.std()
