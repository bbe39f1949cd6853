"""Published LPIPS and DISTS of LIVE1's JPEGs, at native size: half a minute to minutes each."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffir.perceptual.dists import Dists
from diffir.perceptual.lpips import Lpips

DATA = os.environ.get("DIFFIR_TEST_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATA is None, reason="DIFFIR_TEST_DATA is not set"),
    pytest.mark.usefixtures("fetched"),
]


def _image(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


def _live1_mean(metric: torch.nn.Module, image_format: str, quality: int) -> float:
    scores = []
    for path in sorted(Path(DATA or "", "live1").glob("*.png")):
        clean = Image.open(path).convert("RGB")
        buffer = io.BytesIO()
        clean.save(buffer, image_format, quality=quality)
        with torch.inference_mode():
            scores.append(metric(_image(clean), _image(Image.open(buffer).convert("RGB"))).item())
    assert len(scores) == 29
    return sum(scores) / len(scores)


@pytest.mark.parametrize(
    ("image_format", "quality", "expected"),
    [("JPEG", 10, 0.3013), ("JPEG", 20, 0.1799), ("WEBP", 5, 0.2561)],
)
def test_lpips_alex(image_format: str, quality: int, expected: float) -> None:
    assert _live1_mean(Lpips("alex"), image_format, quality) == pytest.approx(expected, abs=2e-4)


def test_dists() -> None:
    assert _live1_mean(Dists(), "JPEG", 10) == pytest.approx(0.2387, abs=2e-4)


def test_lpips_vgg() -> None:
    """Measured here; the other two hold the features and the arithmetic to published figures."""
    assert _live1_mean(Lpips("vgg"), "JPEG", 10) == pytest.approx(0.4787, abs=2e-4)
