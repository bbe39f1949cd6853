"""An ablation of the tiny recipe that takes seconds: two steps, crops of 32x32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from diffir.ablation.cells import Budget, Plan
from diffir.ablation.questions import questions
from diffir.ablation.witnesses import Witnesses
from diffir.evaluate.metrics import load_metrics
from diffir.host.manager import default_host

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def witnesses(photos) -> Witnesses:
    paths = sorted(photos.iterdir())[:2]
    return Witnesses(paths, ["jpeg-10", "webp-5"], default_host(), load_metrics(["psnr", "ssim"]))


@pytest.fixture
def plan(tiny_recipe, photos, lpips, tmp_path) -> Callable[..., Plan]:
    """Make a plan: plan("K", seeds=(0, 1))."""

    def make(*only: str, seeds: tuple[int, ...] = (0,), **budget: object) -> Plan:
        spent = {"steps": 2, "batch": 2, "crop": 32, "precision": "no"} | budget
        return Plan(
            recipe=tiny_recipe,
            host=default_host(),
            data=photos,
            output=tmp_path / "ablation",
            budget=Budget(**spent),
            questions=questions(tiny_recipe, only),
            seeds=seeds,
            cpu=True,
        )

    return make
