"""The examples that the pages begin with, on every variant and in both precisions: judged, and in plain `model.fit`.

    python benchmarks/docs_examples.py [-v tf tf-graph ...] [--tutorial]

Of README.md (the circuit with its scenario file, the layer), docs/layer.md (the layer between others), docs/scripts.md
(examples/fourier.py) and the shipped smoke.toml. `--tutorial` does what docs/tutorial.md says instead, in an empty
folder: its files are written, its commands run one after the other, and must show the marks and verdicts that stand
there and end with the exit code that belongs to them. Exit code 1 where one does not pass; what cannot run says why.
In a script of float64 Keras itself computes losses, layers or an optimizer's numbers in float32 (docs/found.md): told,
and counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qparity.scenario.variant import Variant

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = ("tf", "tf-graph", "tf-xla", "torch", "jax", "jax-jit")
DTYPES = ("float32", "float64")
PASSES = ("ROUNDING",)
DOUBLE = ("_float64.py", "fourier.py")
COMPILED = {
    "eager": {"run_eagerly": True, "jit_compile": False},
    "graph": {"run_eagerly": False, "jit_compile": False},
    "xla": {"run_eagerly": False, "jit_compile": True},
    "jit": {"run_eagerly": False, "jit_compile": True},
}
FIT = """

import json
import os

import numpy as np

rng = np.random.default_rng(0)
x, y = rng.uniform(0.1, 1, (6, model.input_shape[1])), rng.uniform(-1, 1, (6, 1))
model.compile("adam", "mse", **json.loads(os.environ.get("COMPILE", "{}")))
history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
assert np.isfinite(history.history["loss"]).all()
assert model.predict(x, verbose=0).shape == (6, 1)
"""


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def write(folder: Path) -> tuple[list[str], list[str]]:
    """The scenario files and scripts of the pages, each in both precisions; their names."""
    circuit = next(block for block in blocks("README.md", "python") if "def circuit" in block)
    layer = next(block for block in blocks("README.md", "python") if "QKerasLayer(circuit" in block)
    (folder / "my_ansatz.py").write_text(circuit)
    (mine,) = (block for block in blocks("README.md", "toml") if "my_ansatz" in block)
    (folder / "mine.toml").write_text(f"{mine}\n[matrix]\ndtype = {json.dumps(DTYPES)}\n")
    (folder / "smoke.toml").write_text((ROOT / "scenarios/smoke.toml").read_text())
    scripts = []
    for name, text in (("readme_layer", circuit + layer), ("layer_page", blocks("docs/layer.md", "python")[0])):
        for dtype in DTYPES:
            scripts.append(f"{name}_{dtype}.py")
            declared = f"import keras\n\nkeras.config.set_floatx({dtype!r})\n"
            (folder / scripts[-1]).write_text(declared + text + FIT)
    (folder / "fourier.py").write_text((ROOT / "examples/fourier.py").read_text())
    return ["mine.toml", "smoke.toml"], scripts


def judged(folder: Path, file: str, variants: Sequence[str]) -> int:
    """Run and check one scenario file or script; how many of its cells neither pass nor are refused."""
    more = [part for v in variants for part in ("-v", v)] + (["--steps", "6"] if file == "fourier.py" else [])
    ran = qparity(folder, "run", file, "--no-timing", *more)
    if ran.returncode:
        print(f"{file}: {ran.stderr[-500:]}")
        return 1
    cells = json.loads(qparity(folder, "check", "--json").stdout)["cells"]
    odd = [cell for cell in cells if cell["verdict"] not in PASSES]
    for cell in odd:
        print(f"{file} {cell['scenario']}/{cell['variant']}: {cell['reason']}")
    refused = sum(cell["status"] == "unsupported" for cell in odd)
    leaks = sum(map(of_keras, odd)) if file.endswith(DOUBLE) else 0
    print(
        f"{file}: {len(cells) - len(odd)} of {len(cells)} pass, {refused} refused, {leaks} leaks of Keras", flush=True
    )
    return len(odd) - refused - leaks


def of_keras(cell: dict[str, Any]) -> bool:
    """Whether what was found is a number of float32 in a program of float64."""
    numbers = cell["verdict"] == "SETUP-FAULT" and "the optimizer uses" in cell["reason"]
    return cell["verdict"] == "PRECISION-LEAK" or numbers


def fitted(folder: Path, script: str, name: str) -> int:
    """Run a script as it is on a variant; 1 where it breaks for another reason than that XLA cannot compile it."""
    variant = Variant.parse(name)
    told = {"KERAS_BACKEND": variant.backend, "COMPILE": json.dumps(COMPILED[variant.mode])}
    told |= {"JAX_ENABLE_X64": "1"} if "float64" in script else {}
    fit = started(folder, [script], told)
    if not fit.returncode:
        return 0
    last = (fit.stderr.strip().splitlines() or ["no message"])[-1][:300]
    print(f"plain fit of {script} on {variant}: {last}", flush=True)
    return int("XLA" not in last)


def qparity(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a folder."""
    return started(folder, ["-m", "qparity.cli", *arguments], {})


def started(folder: Path, arguments: list[str], told: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A Python process in a folder, with these variables."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "harness")} | told
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w.]+\.(?:py|toml))`[^`]*:\s*\Z", re.DOTALL)
"""The file that a block is to be, at the end of what stands before it."""
JUDGED = re.compile(r"([✓✗≈]) (\S+) (\S+): (within rounding|[A-Z]+-[A-Z]+)")


def tutorial(folder: Path) -> int:
    """Follow docs/tutorial.md; how many of its commands show something else than it says."""
    page, wrong, before = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8"), 0, 0
    for block in BLOCK.finditer(page):
        kind, text = block.groups()
        said, before = page[before : block.start()].rsplit("\n\n", 2)[-2], block.end()
        if kind == "console":
            wrong += sum(
                followed(folder, *each.partition("\n")[::2]) for each in re.split(r"^\$ ", text, flags=re.M)[1:]
            )
        elif name := NAMED.search(said):
            (folder / name[1]).write_text(text, encoding="utf-8")
    return wrong


def followed(folder: Path, command: str, shown: str) -> int:
    """Run one command of the tutorial's; 1 where its verdicts or its exit code are others."""
    words = shlex.split(command.partition("  #")[0])
    if words[0] != "qparity":
        return 0  # how it is installed
    done = qparity(folder, *words[1:])
    wanted = JUDGED.findall(shown)
    code = int(any(mark == "✗" for mark, *_ in wanted) and "--check" in words)
    missing = [each for each in wanted if each not in JUDGED.findall(done.stdout + done.stderr)]
    print(
        f"$ {command}\n  exit code {done.returncode}, {len(wanted) - len(missing)} of {len(wanted)} verdicts as shown"
    )
    if done.returncode == code and not missing:
        return 0
    print(f"  missing: {missing}\n{(done.stdout + done.stderr)[-2000:]}")
    return 1


def main() -> int:
    """Run all; a line for whatever does not pass."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-v", "--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--tutorial", action="store_true", help="follow docs/tutorial.md instead")
    options = parser.parse_args()
    if options.tutorial:
        with tempfile.TemporaryDirectory() as name:
            wrong = tutorial(Path(name))
        print(f"{wrong} commands show something else")
        return int(bool(wrong))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, scripts = write(folder)
        wrong = sum(judged(folder, file, options.variants) for file in (*files, *scripts, "fourier.py"))
        wrong += sum(fitted(folder, script, name) for script in scripts for name in options.variants)
    print(f"{wrong} do not pass")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
