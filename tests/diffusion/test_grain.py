"""Noise as an input: grain that does not repeat, and is the same each time, tile or no tile."""

from __future__ import annotations

import pytest
import torch

from diffir.contracts.interfaces import Encoded, Routing
from diffir.diffusion.grain import SIDE, Grain
from diffir.moe.compensator import CompensatedDecoder
from diffir.restore.tiling import GRID


@pytest.fixture
def grain() -> Grain:
    torch.manual_seed(0)
    return Grain(6, planes=4).eval()


def test_the_field_ends_where_tiles_begin(grain):
    assert 2 * SIDE == GRID
    large = grain(torch.zeros(1, 6, 3 * SIDE, 2 * SIDE + 8))
    tile = grain(torch.zeros(1, 6, 2 * SIDE, SIDE + 8))
    assert torch.equal(large[..., SIDE:, SIDE:], tile)


def test_it_is_added_and_the_same_each_time(grain):
    x = torch.randn(2, 6, 5, 7)
    added = grain(x) - x
    assert torch.allclose(added[0], added[1], atol=1e-6)
    assert torch.equal(grain(x), grain(x))
    torch.nn.init.zeros_(grain.weight)
    assert torch.equal(grain(x), x)


def test_in_training_the_field_moves(grain):
    x = torch.zeros(1, 6, SIDE, SIDE)
    still = grain(x)
    torch.manual_seed(1)
    moved = grain.train()(x)
    assert not torch.equal(moved, still)
    # As a set of numbers it is the same field.
    assert torch.equal(*(one[0, 0].flatten().sort().values for one in (moved, still)))


def test_what_no_file_brings_is_there_however_a_large_model_is_built():
    with torch.device("meta"):
        detail = CompensatedDecoder(
            widths=[8, 12, 16], blocks=1, latent_channels=4, degradation_width=6, noise_planes=4
        ).detail
    assert {buffer.device.type for buffer in detail.buffers()} == {"cpu"}
    assert torch.equal(detail.grain.field, Grain(8, planes=4).field)


@pytest.mark.parametrize("planes", [0, 4])
def test_without_noise_flat_blocks_all_look_the_same(planes):
    torch.manual_seed(0)
    decoder = CompensatedDecoder(
        widths=[8, 12, 16],
        blocks=1,
        latent_channels=4,
        degradation_width=6,
        detail_blocks=1,
        noise_planes=planes,
    ).eval()
    torch.nn.init.normal_(decoder.detail.head.weight)
    # Flat: each map is one block that repeats, of 8x8 pixels of the picture.
    latent = torch.randn(1, 4, 1, 1).repeat(1, 1, 16, 16)
    features = tuple(
        torch.randn(1, width, side, side).repeat(1, 1, 16, 16)
        for width, side in ((8, 4), (12, 2), (16, 1))
    )
    image = torch.full((1, 3, 128, 128), 0.5)
    routing = Routing((), torch.ones(1, 1), torch.randn(1, 6))
    with torch.no_grad():
        rich = decoder.decode(latent, Encoded(image, latent, features), routing).rich
    inner = rich[..., 32:-32, 32:-32]
    repeats = torch.allclose(inner[..., 8:, 8:], inner[..., :-8, :-8], atol=1e-5)
    assert repeats is (planes == 0)
