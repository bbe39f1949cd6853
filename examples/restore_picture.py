"""Restores one picture from Python, once, and writes it at three settings of the fidelity dial.

python examples/restore_picture.py examples/photo.jpg restored
"""

from __future__ import annotations

import sys
from pathlib import Path

import diffir


def main(source: str, folder: str) -> None:
    """Write rich.png, default.png and faithful.png to `folder`."""
    photo = diffir.read(source)
    codec = photo.codec
    print(f"{source}: {codec.name}, quality {codec.quality}, {photo.width}x{photo.height}")

    restorer = diffir.load("moe-diffir-tiny")
    estimates = restorer.estimate(photo)  # the model runs here, and only here
    settings = {"rich": 0.0, "default": restorer.fidelity, "faithful": 1.0}
    for name, fidelity in settings.items():
        written = diffir.write(estimates.at(fidelity), Path(folder) / f"{name}.png", overwrite=True)
        print(f"fidelity {fidelity:g}: {written}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except diffir.DiffirError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")
