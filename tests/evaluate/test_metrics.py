from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from diffir.errors import CheckpointError, DataError, UnknownComponentError
from diffir.evaluate.metrics import METRICS, load_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from diffir.contracts.codec import Pixels


def test_order_is_kept_and_repeats_are_not() -> None:
    assert list(load_metrics(["ssim", "psnr", "ssim"])) == ["ssim", "psnr"]


def test_unknown_name_is_refused_with_near_ones() -> None:
    with pytest.raises(UnknownComponentError, match="no metric called 'lpips-alx'") as raised:
        load_metrics(["lpips-alx"])
    assert "lpips-alex" in str(raised.value.hint)
    with pytest.raises(UnknownComponentError, match="no metric called 'xyz'") as raised:
        load_metrics(["xyz"])
    assert "Known: psnr, ssim" in str(raised.value.hint)


def test_no_name_is_refused() -> None:
    with pytest.raises(DataError, match="one metric or more, got none"):
        load_metrics([])


@pytest.mark.parametrize("name", ["lpips-alex", "lpips-vgg", "dists"])
def test_missing_weights_are_said_before_any_picture(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"weights of .* are not at") as raised:
        load_metrics(["psnr", name])
    assert raised.value.hint == "run: diffir fetch-metrics"


@pytest.mark.usefixtures("fetched")
def test_every_metric_agrees_on_which_picture_is_worse(scene: Pixels) -> None:
    for name, measure in load_metrics(METRICS).items():
        light, heavy = (measure(scene, scene // step * step) for step in (16, 64))
        assert (light > heavy) == METRICS[name].more_is_better, name


@pytest.mark.usefixtures("fetched")
def test_a_reference_may_come_back_after_another_one(scene: Pixels) -> None:
    measure = load_metrics(["lpips-alex"])["lpips-alex"]
    other, third = scene // 16 * 16, 255 - scene
    first = measure(scene, other)
    assert measure(third, other) > first
    assert measure(scene, other) == first


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.usefixtures("fetched")
def test_smallest_is_what_each_takes(name: str) -> None:
    side = METRICS[name].smallest
    measure = load_metrics([name])[name]
    measure(np.zeros((side, side + 1, 3), np.uint8), np.ones((side, side + 1, 3), np.uint8))
    smaller = np.zeros((side - 1, side, 3), np.uint8)
    with pytest.raises((DataError, ValueError)):  # of no pixels torch and numpy tell
        measure(smaller, smaller)


def test_what_is_of_sets_is_told() -> None:
    with pytest.raises(DataError, match="'fid' is not measured here: it is of whole sets"):
        load_metrics(["psnr", "fid"])


@pytest.mark.usefixtures("fetched")
def test_pictures_of_two_sizes_are_refused(scene: Pixels) -> None:
    measure = load_metrics(["lpips-alex"])["lpips-alex"]
    measure(scene, scene)
    with pytest.raises(DataError, match="LPIPS-Alex compares two"):
        measure(scene, scene[:-1])


def test_psnr_b_of_luma_takes_the_luma_as_it_is() -> None:
    gray = np.full((24, 24, 3), 90, np.uint8)
    color, luma = (load_metrics(["psnr-b"], gray=gray_)["psnr-b"] for gray_ in (False, True))
    assert color(gray, gray + 10) > luma(gray, gray + 10) == pytest.approx(28.1308, abs=1e-4)
