from __future__ import annotations

import sys
from pathlib import Path

# Tests of weights and of their conversion share `ldm_layout`; test folders are no packages.
sys.path.insert(0, str(Path(__file__).parent))
