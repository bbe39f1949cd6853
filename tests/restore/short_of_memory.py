"""Restores a picture in a process that may grow by a few megabytes only; prints the last tile.

python short_of_memory.py WEIGHTS MEGABYTES SIDE TILE
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import numpy as np

from diffir.contracts.picture import Picture
from diffir.restore.restorer import load


def main() -> None:
    weights, megabytes, side, tile = sys.argv[1], *(int(word) for word in sys.argv[2:])
    restorer = load(weights, device="cpu", tile=tile)
    restorer(Picture(np.zeros((64, 64, 3), np.uint8)))  # what is made once is made now
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    estimates = restorer.estimate(Picture(np.zeros((side, side, 3), np.uint8)))
    sys.stdout.write(f"{estimates.tile}\n")


if __name__ == "__main__":
    main()
