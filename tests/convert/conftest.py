from __future__ import annotations

import sys
from pathlib import Path

# Tests of the conversion share layouts of checkpoints; test folders are no packages.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "weights")]
