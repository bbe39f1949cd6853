"""The unrestored rows of LIVE1, measured again: DIFFIR_TEST_DATA names the folder with live1/."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from diffir_vvc.codec import Vvc
from PIL import Image

DATA = os.environ.get("DIFFIR_TEST_DATA")
needs_live1 = pytest.mark.skipif(not DATA, reason="DIFFIR_TEST_DATA names no folder with live1/")
VVC = Vvc()


def row(qp: int, *, first: int | None = None) -> tuple[float, float]:
    """Mean PSNR and bits per pixel, RGB at native size."""
    ratios, rates = [], []
    for path in sorted(Path(str(DATA), "live1").glob("*.png"))[:first]:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        data = VVC.encode(pixels, qp)
        error = np.mean((VVC.decode(data).astype(np.float64) - pixels) ** 2)
        ratios.append(10 * np.log10(255**2 / error))
        rates.append(VVC.read_info(data).bits_per_pixel)
    return float(np.mean(ratios)), float(np.mean(rates))


@needs_live1
@pytest.mark.slow
@pytest.mark.parametrize(
    ("qp", "psnr", "rate"), [(37, 31.35, 0.508), (42, 28.60, 0.253), (47, 26.23, 0.119)]
)
def test_rows(qp, psnr, rate):
    measured, bits = row(qp)
    assert measured == pytest.approx(psnr, abs=0.1)
    assert bits == pytest.approx(rate, abs=0.01)
