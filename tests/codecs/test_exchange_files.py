from __future__ import annotations

import numpy as np
import pytest

from diffir.codecs.exchange_files import read_exchange, write_exchange
from diffir.errors import CodecError


def ramp(height: int, width: int) -> np.ndarray:
    gray = np.linspace(30, 220, height * width).reshape(height, width, 1)
    return np.repeat(gray, 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("exchange", ["png", "ppm"])
def test_exact_formats(exchange):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    assert np.array_equal(read_exchange(write_exchange(pixels, exchange), exchange), pixels)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (16, 48)])
def test_y4m_of_any_size(height, width):
    pixels = ramp(height, width)
    data = write_exchange(pixels, "y4m")
    assert data.startswith(b"YUV4MPEG2 W%d H%d " % (width, height))
    decoded = read_exchange(data, "y4m")
    assert decoded.shape == pixels.shape
    assert np.abs(decoded.astype(int) - pixels).max() <= 2


@pytest.mark.parametrize(
    ("color", "samples"),
    [
        ("mono", bytes([126] * 4)),
        ("444", bytes([126] * 4 + [128] * 8)),
        ("422", bytes([126] * 4 + [128] * 4)),
        ("420paldv", bytes([126] * 4 + [128] * 2)),
        ("420p10", np.array([504] * 4 + [512] * 2, "<u2").tobytes()),
    ],
)
def test_other_color_spaces_are_read(color, samples):
    data = f"YUV4MPEG2 W2 H2 F1:1 C{color} XYSCSS=X\nFRAME\n".encode() + samples
    assert np.abs(read_exchange(data, "y4m").astype(int) - 128).max() <= 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a Y4M file of one frame was expected"),
        (b"YUV4MPEG2 W2 H2 C411\nFRAME\n" + bytes(6), "a Y4M file of one frame was expected"),
        (b"YUV4MPEG2 W2 H0 C420\nFRAME\n", "says that its picture is 2x0"),
        (b"YUV4MPEG2 W999999 H999999\nFRAME\n", "says that its picture is 999999x999999"),
        (b"YUV4MPEG2 W2 H2 C420\nFRAME\n" + bytes(5), "cut short: 0 of 1 bytes are left"),
        (b"YUV4MPEG2 W2 H2 C420\nFRAME\n" + bytes(9), "holds 3 bytes after its first frame"),
    ],
)
def test_bad_y4m(data, message):
    with pytest.raises(CodecError, match=message):
        read_exchange(data, "y4m")
