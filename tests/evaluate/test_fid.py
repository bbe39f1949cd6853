from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffir.degradations.tasks import find_task
from diffir.errors import DataError
from diffir.evaluate.benchmark import run
from diffir.evaluate.contenders import AS_COMPRESSED, Undialed, Version
from diffir.evaluate.fid import FidScores, frechet_distance
from diffir.evaluate.metrics import load_metrics, split_metrics
from diffir.evaluate.report import to_json, to_markdown
from diffir.evaluate.trials import Plan
from diffir.host.manager import default_host
from diffir.perceptual.inception import build_network

if TYPE_CHECKING:
    from pathlib import Path


def _samples(mean, covariance, count: int, seed: int):
    """Samples whose own mean and covariance are exactly these."""
    width = len(mean)
    noise = np.random.default_rng(seed).normal(size=(count, width))
    noise -= noise.mean(0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise.T))).T
    return mean + white @ np.linalg.cholesky(covariance).T


def _covariance(seed: int, width: int = 6):
    root = np.random.default_rng(seed).normal(size=(width, width))
    return root @ root.T + 0.1 * np.eye(width)


class TestFrechet:
    def test_closed_form_of_independent_gaussians(self) -> None:
        """|difference of means|² + sum of (difference of deviations)²."""
        means = np.array([[0, 1, 2.0, -3], [1, 1, 0, -2]])
        deviations = np.array([[1, 2, 3.0, 0.5], [2, 2, 1, 0.1]])
        a, b = (
            _samples(mean, np.diag(deviation**2), 50, seed)
            for seed, (mean, deviation) in enumerate(zip(means, deviations, strict=True))
        )
        expected = (
            np.square(means[0] - means[1]).sum() + np.square(np.diff(deviations, axis=0)).sum()
        )
        assert frechet_distance(a, b) == pytest.approx(expected)

    def test_closed_form_of_any_gaussians(self) -> None:
        """Covariances that do not commute; the root by eigenvalues of the product."""
        one, other = _covariance(1), _covariance(2)
        a, b = _samples(np.zeros(6), one, 40, 3), _samples(np.ones(6), other, 70, 4)
        root = np.sqrt(np.linalg.eigvals(one @ other).real).sum()
        expected = 6 + np.trace(one) + np.trace(other) - 2 * root
        assert frechet_distance(a, b) == pytest.approx(expected)
        assert frechet_distance(b, a) == pytest.approx(expected)

    def test_fewer_samples_than_features(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(5, 40)), rng.normal(1, 2, size=(9, 40))
        covariances = [np.cov(samples.T) for samples in (a, b)]
        eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real
        root = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
        gap = np.square(a.mean(0) - b.mean(0)).sum()
        expected = gap + sum(np.trace(one) for one in covariances) - 2 * root
        assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)

    def test_of_equal_sets_is_zero(self) -> None:
        a = np.random.default_rng(0).normal(size=(20, 30))
        assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-9)

    def test_one_picture(self) -> None:
        with pytest.raises(DataError, match="FID needs two pictures or more, got 1"):
            frechet_distance(np.zeros((1, 4)), np.zeros((3, 4)))


def test_fid_is_split_from_the_metrics_of_pictures() -> None:
    assert split_metrics(["psnr", "fid"]) == (["psnr"], True)
    assert split_metrics(["psnr"]) == (["psnr"], False)


@pytest.fixture
def inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder whose Inception is the real network with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = build_network().state_dict()
    (tmp_path / "cache" / "metrics").mkdir(parents=True)
    save_file(state, tmp_path / "cache" / "metrics" / "inception.safetensors")
    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.usefixtures("inception")
def test_rows_have_it(folder: Path) -> None:
    tasks = [find_task(default_host(), name) for name in ("jpeg-5", "jpeg-90")]
    same = Undialed("same", lambda picture: picture, "")
    plan = Plan(sorted(folder.glob("*.png")), tasks, [same])
    result = run(plan, load_metrics(["psnr"]), fid=FidScores())
    found = {(row.task, row.version): row.fid for row in result.rows}
    assert found["jpeg-5", AS_COMPRESSED] == found["jpeg-5", Version("same")]
    assert found["jpeg-5", AS_COMPRESSED] > found["jpeg-90", AS_COMPRESSED] > 0
    text = to_markdown(result, command="")
    assert "| PSNR dB ↑ | FID ↓ | bpp |" in text
    assert "FID of fewer than 1000 pictures is too high and mostly noise" in text
    assert f'"fid": {found["jpeg-5", AS_COMPRESSED]}' in to_json(result, model="", command="")
