"""The unrestored rows of the benchmark, measured again on the whole of LIVE1."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffir.codecs.jpeg import Jpeg

DATA = os.environ.get("DIFFIR_TEST_DATA")


@pytest.mark.skipif(not DATA, reason="DIFFIR_TEST_DATA does not name a folder with live1/")
def test_jpeg_10_on_live1():
    codec, ratios, rates = Jpeg(), [], []
    paths = sorted(Path(str(DATA), "live1").glob("*.png"))
    for path in paths:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        data = codec.encode(pixels, 10)
        error = np.mean((codec.decode(data).astype(np.float64) - pixels) ** 2)
        ratios.append(10 * np.log10(255**2 / error))
        rates.append(codec.read_info(data).bits_per_pixel)
    assert len(paths) == 29
    assert np.mean(ratios) == pytest.approx(25.69, abs=0.01)
    assert np.mean(rates) == pytest.approx(0.384, abs=0.001)
