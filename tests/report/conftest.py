"""The synthetic run builder is shared with other rooms' tests, so it is imported by its own name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
