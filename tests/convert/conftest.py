from __future__ import annotations

import sys
from pathlib import Path

# Tests of the conversion share layouts of checkpoints; test folders are no packages.
FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "weights"), str(FOLDER.parent)]
