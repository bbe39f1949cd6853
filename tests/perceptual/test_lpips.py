from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffir.errors import DataError, UnknownComponentError
from diffir.perceptual.lpips import Lpips

if TYPE_CHECKING:
    from pathlib import Path

    from diffir.perceptual.networks import Backbone

Scene = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def alex(random_weights: Path) -> Lpips:
    return Lpips("alex", weights=random_weights / "alex.safetensors")


@pytest.fixture(scope="module", params=["alex", "vgg"])
def lpips(request: pytest.FixtureRequest, random_weights: Path) -> Lpips:
    return Lpips(request.param, weights=random_weights / f"{request.param}.safetensors")


class TestDistance:
    def test_is_zero_for_equal_images(self, lpips: Lpips, scene: Scene) -> None:
        assert lpips(scene[0], scene[0]).item() == 0

    def test_is_symmetric_and_positive(self, lpips: Lpips, scene: Scene) -> None:
        there, back = lpips(*scene), lpips(*reversed(scene))
        torch.testing.assert_close(there, back)
        assert there.item() > 0

    def test_images_of_a_batch_do_not_mix(self, lpips: Lpips, scene: Scene) -> None:
        a, b = scene
        batch = lpips(torch.cat([a, a, b]), torch.cat([b, a, a]))
        assert batch.shape == (3,)
        torch.testing.assert_close(batch[0], lpips(a, b)[0])
        assert batch[1].item() == pytest.approx(0, abs=1e-6)

    @settings(max_examples=5, deadline=None)
    @given(height=st.integers(31, 70), width=st.integers(31, 70))
    def test_takes_every_size(self, alex: Lpips, height: int, width: int) -> None:
        images = torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(0))
        assert torch.isfinite(alex(images[0], images[1])).all()


class TestGradient:
    def test_flows_to_both_images_and_to_no_weight(self, lpips: Lpips, scene: Scene) -> None:
        a, b = (image.clone().requires_grad_() for image in scene)
        lpips(a, b).sum().backward()
        for image in (a, b):
            assert image.grad is not None
            assert image.grad.abs().sum() > 0
        assert all(p.grad is None and not p.requires_grad for p in lpips.parameters())

    def test_is_finite_where_all_features_are_zero(self, random_weights: Path) -> None:
        lpips = Lpips("alex", weights=random_weights / "alex.safetensors")
        torch.nn.init.constant_(cast("Tensor", lpips.trunk.convolutions[0].bias), -100)
        black = torch.zeros(1, 3, 64, 64, requires_grad=True)
        lpips(black, torch.ones(1, 3, 64, 64)).sum().backward()
        assert black.grad is not None
        assert torch.isfinite(black.grad).all()

    def test_survives_half_precision(self, lpips: Lpips, scene: Scene) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = lpips(*scene)
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, lpips(*scene), rtol=0.05, atol=0.01)


class TestRefusals:
    def test_other_shapes(self, alex: Lpips) -> None:
        with pytest.raises(DataError, match=r"LPIPS-alex compares two \(B,3,H,W\) of one shape"):
            alex(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 65))

    def test_small_images(self, lpips: Lpips) -> None:
        side = lpips.trunk.smallest - 1
        image = torch.zeros(1, 3, 64, side)
        with pytest.raises(DataError, match=rf"needs at least .* got {side}x64"):
            lpips(image, image)

    def test_unknown_backbone(self) -> None:
        with pytest.raises(UnknownComponentError, match="no backbone called 'squeeze'"):
            Lpips(cast("Any", "squeeze"))


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize(("backbone", "expected"), [("alex", 0.146059), ("vgg", 0.227596)])
def test_golden_distance(backbone: Backbone, expected: float, scene: Scene) -> None:
    assert Lpips(backbone)(*scene).item() == pytest.approx(expected, abs=1e-4)
