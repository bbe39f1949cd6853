"""The unrestored rows of the video codecs, measured again on the first six pictures of LIVE1."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffir.codecs.avc import Avc
from diffir.codecs.hevc import Hevc

DATA = os.environ.get("DIFFIR_TEST_DATA")


@pytest.mark.skipif(not DATA, reason="DIFFIR_TEST_DATA does not name a folder with live1/")
@pytest.mark.parametrize(
    ("codec", "psnr", "rate"), [(Hevc(), 26.729, 0.333), (Avc(), 26.418, 0.374)]
)
def test_qp_42_on_live1(codec, psnr, rate):
    ratios, rates = [], []
    for path in sorted(Path(str(DATA), "live1").glob("*.png"))[:6]:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        data = codec.encode(pixels, 42)
        error = np.mean((codec.decode(data).astype(np.float64) - pixels) ** 2)
        ratios.append(10 * np.log10(255**2 / error))
        rates.append(codec.read_info(data).bits_per_pixel)
    assert np.mean(ratios) == pytest.approx(psnr, abs=0.02)
    assert np.mean(rates) == pytest.approx(rate, abs=0.002)
