"""The mean over turned and mirrored views: what it is, who takes it, what it costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.restore.restorer import Restorer
from diffir.restore.tensors import pad_to_multiple, to_image
from diffir.restore.views import VIEWS, VIEWS_WHERE_FAITHFUL

CPU = torch.device("cpu")
JPEG = CodecInfo(name="jpeg", severity=0.9)


@pytest.fixture(scope="module")
def picture() -> Picture:
    pixels = np.random.default_rng(0).integers(64, 192, (40, 60, 3), np.uint8)
    return Picture(pixels, codec=JPEG)


class TestPositions:
    image = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)

    @pytest.mark.parametrize("view", VIEWS)
    def test_back_is_where_it_came_from(self, view):
        assert torch.equal(view.back(view.of(self.image)), self.image)

    def test_all_eight_differ_and_the_first_is_the_picture_itself(self):
        square = torch.arange(9).reshape(1, 1, 3, 3)
        assert len({tuple(view.of(square).flatten().tolist()) for view in VIEWS}) == 8
        assert torch.equal(VIEWS[0].of(self.image), self.image)

    def test_the_second_swaps_rows_and_columns(self):
        assert torch.equal(VIEWS[1].of(self.image), self.image.transpose(2, 3))


class TestRestorer:
    @pytest.mark.parametrize("views", [2, 8])
    def test_faithful_is_the_mean_over_views_and_rich_is_as_it_was(
        self, build_model, picture, views
    ):
        model = build_model()
        estimates = Restorer(model, device=CPU, tile=128, views=views).estimate(picture)
        alone = Restorer(model, device=CPU, tile=128).estimate(picture)
        image = pad_to_multiple(to_image(picture.pixels), model.multiple)
        with torch.inference_mode():
            made = [view.back(model(view.of(image), [JPEG])[0].faithful) for view in VIEWS[:views]]
        expected = (sum(made) / views - image)[0, :, :40, :60].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(estimates.faithful, expected, atol=1e-3)
        assert np.abs(estimates.faithful - alone.faithful).max() > 2e-3
        np.testing.assert_array_equal(estimates.rich, alone.rich)
        assert (alone.views, estimates.views) == (1, views)

    def test_at_the_faithful_end_several_and_else_one(self, build_model):
        restorer = Restorer(build_model(), device=CPU)
        assert [restorer.views_at(fidelity) for fidelity in (0, 0.05, 0.99, 1)] == [
            1,
            1,
            1,
            VIEWS_WHERE_FAITHFUL,
        ]
        assert Restorer(build_model(), device=CPU, views=2).views_at(0) == 2
        assert Restorer(build_model(), device=CPU, steps=3).views_at(1) == 1

    def test_a_model_without_a_faithful_estimate_of_its_own_runs_once(self, build_model):
        model = build_model()

        class OneOutput(torch.nn.Module):
            pass

        model.decoder = OneOutput()
        assert Restorer(model, device=CPU).views_at(1) == 1

    def test_they_may_be_asked_for_one_picture(self, build_model, picture):
        restorer = Restorer(build_model(), device=CPU, tile=128)
        assert restorer.estimate(picture, views=2).views == 2
        assert restorer.estimate(picture).views == 1

    @pytest.mark.parametrize("views", [0, 9])
    def test_there_are_eight(self, build_model, views):
        with pytest.raises(ValueError, match=rf"views must be in 1..8, got {views}"):
            Restorer(build_model(), device=CPU, views=views)
        with pytest.raises(ValueError, match=rf"views must be in 1..8, got {views}"):
            Restorer(build_model(), device=CPU).estimate(
                Picture(np.zeros((8, 8, 3), np.uint8)), views=views
            )


def test_the_rich_estimate_can_be_left_out(build_model, picture):
    model = build_model()
    image = pad_to_multiple(to_image(picture.pixels), model.multiple)
    with torch.inference_mode():
        (both, _), (one, _) = model(image, [JPEG]), model(image, [JPEG], rich=False)
    torch.testing.assert_close(one.faithful, both.faithful)
    assert one.rich is one.faithful
