"""The script that shows the fault, and whether it does so on both sides of the change."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from pathlib import Path

from qparity.diagnose import find, reproduce, shrink
from qparity.releases.evaluation import Bench, Evaluation
from qparity.store import Run, atomic

PATIENCE_S = 600.0


def script_of(bench: Bench, wrong: Evaluation) -> Path:
    """The reproducer of an evaluation's cell, made with its release; its modules are the user's own, who ran them.

    Raises:
        DiagnosisError: there is no such script.
    """
    path = bench.folder / wrong.release / f"reproduce-{bench.package}-{wrong.release}.py"
    if not path.exists():
        run = Run.load(bench.folder / str(wrong.run))
        given = bench.interpreters(wrong.release).paths
        subject = find(run, next(place.cell_id for place in run.planned()), trust=True)
        atomic.write_bytes(path, reproduce(run, shrink(run, subject, given), given).encode())
    return path


def tried(bench: Bench, release: str, script: Path) -> int | None:
    """The exit code of a script with a release; None where it takes too long."""

    def run() -> int | None:
        variant = bench.block.variants[0]
        interpreter = bench.interpreters(release).environment(variant.backend, variant.accelerator).interpreter
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        try:
            return subprocess.run(
                [interpreter, str(script.resolve())],
                cwd=script.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return None

    return bench.script_ended(f"{sha256(script.read_bytes()).hexdigest()} {release}", run)
