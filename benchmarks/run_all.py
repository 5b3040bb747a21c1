"""Run every benchmark of this folder and print what each prints: ratios, not absolute times."""

import subprocess
import sys
from pathlib import Path


def main() -> None:
    """One script after the other, so that they do not disturb each other."""
    here = Path(__file__).parent
    for script in sorted(here.glob("*.py")):
        if script.name != Path(__file__).name and not script.name.startswith("_"):
            print(f"== {script.name}", flush=True)
            subprocess.run([sys.executable, script, *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
