"""A program that squeezes pictures, for the guide that makes a codec of it. It knows no diffir.

python examples/squeeze.py encode photo.png photo.sqz 30
python examples/squeeze.py decode photo.sqz photo.png
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def encode(source: str, target: str, quality: str) -> None:
    """Leave each sample one of a few values, and let zlib find what repeats."""
    pixels = np.asarray(Image.open(source).convert("RGB"))
    steps = 1 + int(quality) ** 2 // 160  # 1 to 63: two to 64 values
    coarse = np.rint(pixels * (steps / 255)).astype(np.uint8)
    head = f"SQZ {pixels.shape[0]} {pixels.shape[1]} {steps}\n"
    Path(target).write_bytes(head.encode() + zlib.compress(coarse.tobytes(), 9))


def decode(source: str, target: str) -> None:
    """Undo the packing; the lost values stay lost."""
    head, data = Path(source).read_bytes().split(b"\n", 1)
    height, width, steps = map(int, head.split()[1:])
    coarse = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, width, 3)
    Image.fromarray(np.rint(coarse * (255 / steps)).astype(np.uint8)).save(target)


def main(action: str, *words: str) -> None:
    """Encode or decode."""
    {"encode": encode, "decode": decode}[action](*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
