from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from diffir.errors import DataError
from diffir.perceptual.dists import Dists, L2Pooling

if TYPE_CHECKING:
    from pathlib import Path

Scene = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def dists(random_weights: Path) -> Dists:
    return Dists(
        weights=random_weights / "dists.safetensors",
        trunk_weights=random_weights / "vgg.safetensors",
    )


def test_is_zero_for_equal_images(dists: Dists, scene: Scene) -> None:
    assert dists(scene[0], scene[0]).item() == pytest.approx(0, abs=1e-6)


def test_is_symmetric_and_positive(dists: Dists, scene: Scene) -> None:
    there, back = dists(*scene), dists(*reversed(scene))
    torch.testing.assert_close(there, back)
    assert 0 < there.item() < 1


def test_images_of_a_batch_do_not_mix(dists: Dists, scene: Scene) -> None:
    a, b = scene
    batch = dists(torch.cat([a, a]), torch.cat([b, a]))
    torch.testing.assert_close(batch, torch.cat([dists(a, b), dists(a, a)]), atol=1e-5, rtol=1e-4)


def test_gradient_flows_to_the_image_alone(dists: Dists, scene: Scene) -> None:
    image = scene[1].clone().requires_grad_()
    dists(scene[0], image).sum().backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()
    assert image.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in dists.parameters())


def test_small_images_are_refused(dists: Dists) -> None:
    image = torch.zeros(1, 3, 15, 64)
    with pytest.raises(DataError, match="DISTS needs at least 16x16 pixels, got 64x15"):
        dists(image, image)


@pytest.mark.parametrize("side", [4, 5])
def test_pooling_keeps_the_level_and_halves_the_size(side: int) -> None:
    pooled = L2Pooling(2)(torch.full((1, 2, side, side), 3.0))
    assert pooled.shape == (1, 2, -(-side // 2), -(-side // 2))
    assert pooled[0, 0, 1, 1].item() == pytest.approx(3)


@pytest.mark.usefixtures("fetched")
def test_golden_distance(scene: Scene) -> None:
    assert Dists()(*scene).item() == pytest.approx(0.261390, abs=1e-4)
