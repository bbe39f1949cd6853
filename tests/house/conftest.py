from __future__ import annotations

import sys
from pathlib import Path

# Tests of the house share `sources`; test folders are no packages.
sys.path.insert(0, str(Path(__file__).parent))
