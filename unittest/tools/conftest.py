"""The modules behind the commands in tools/ are importable as `bootstrap`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
