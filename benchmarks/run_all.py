"""Run every benchmark of this folder and print what each prints: ratios, not absolute times.

Those that are about faults, not about speed, take long and are run by themselves: `BY_HAND`.
"""

import subprocess
import sys
from pathlib import Path

BY_HAND = ("fuzz.py", "kills.py", "soak.py")


def main() -> None:
    """One script after the other, so that they do not disturb each other."""
    here = Path(__file__).parent
    for script in sorted(here.glob("*.py")):
        if script.name not in (Path(__file__).name, *BY_HAND) and not script.name.startswith("_"):
            print(f"== {script.name}", flush=True)
            subprocess.run([sys.executable, script, *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
