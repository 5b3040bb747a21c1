"""A worker without frameworks, for tests and benchmarks of everything around the training.

It speaks the real protocol through the real server, which forks a real child for every cell; only the training is the
small NumPy program of tests/parity/fake.py, so a cell costs milliseconds and passes the judge. What a cell does besides
is in its `circuit_options`: `how` names a misfortune (while the file QPARITY_TEST_FLAG exists), `seconds` is how
long its training lasts. Use: `--python torch=<file made by interpreter()> --python numpy=<the same>`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]


def interpreter(folder: Path) -> Path:
    """A program to give as the interpreter of a backend: it starts this worker in place of the real one."""
    program = folder / "null-python"
    program.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" -P "{__file__}" "$@"\n')
    program.chmod(0o755)
    return program


def toml(cells: int, *variants: str, **options: object) -> str:
    """A scenario file of one-wire scenarios that differ in their seed, `cells` in all."""
    extra = "".join(f", {key} = {value!r}" for key, value in options.items()).lstrip(", ")
    seeds = list(range(cells // len(variants)))
    return (
        f"variants = {list(variants)}\ndata = {{ samples = 4 }}\ntraining = {{ batch_size = 2, epochs = 2 }}\n"
        f"circuit_options = {{ {extra} }}\n[matrix]\nseed = {seeds}\n"
    )


def main() -> None:
    """Serve null cells until the parent closes the socket."""
    parser = argparse.ArgumentParser()
    for name in ("fd", "parent", "threads"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--backend")
    options, _ = parser.parse_known_args()
    sys.path[:0] = map(str, (ROOT / "harness", ROOT))
    from qparity.worker import control, server

    control.die_with(options.parent)
    parent = socket.socket(fileno=options.fd)
    for module in ("qparity.scenario.schema", "tests.parity.fake"):  # here, so that no child need import them
        importlib.import_module(module)
    control.tell(parent, "ready", import_s=0.0, versions={}, interpreter="null", threads=1, accelerator="cpu")
    server.serve(parent, serve_cell)


def serve_cell(channel: Any) -> None:
    """Answer prepare, audit and fit as harness/qparity/worker/child.py does."""
    from qparity.scenario.schema import Scenario
    from tests.parity import fake

    while (request := channel.receive()) is not None and request.kind != "close":
        if request.kind == "prepare" and not request.body["variant"]:  # asked in the reference's place
            channel.send("done", {"programs": [fake.program(null_setting(request.body["scenario"]))]})
        elif request.kind == "prepare":
            scenario = Scenario.model_validate(request.body["scenario"])
            setting = null_setting(request.body["scenario"])
            odd = {"output_shape": [None, 2]} if scenario.circuit_options.get("how") == "odd-answer" else {}
            initial = {f"initial/{k}": np.ones(1) for k in range(2)}
            channel.send("done", prepared(fake.program(setting)) | odd, initial)
        elif request.kind == "audit":
            print(f"begin {psutil.Process(os.getppid()).ppid()} {time.time()}")
            for step in suffered(scenario.circuit_options):
                channel.send("progress", {"phase": "audit", "step": step})
            trace = audited(scenario, setting, request.arrays)
            print(f"end {psutil.Process(os.getppid()).ppid()} {time.time()}")
            channel.send("done", about(scenario, trace), trace)
        elif request.kind == "fit":
            final = {f"final_weights/{k}": trace[f"new_weights/{k}"][-1] for k in range(2)}
            body = {"fit_s": 0.0, "epoch_seconds": [0.0], "steps": len(trace["loss"]), "waited_s": 0.0}
            body |= {"history": [0.0], "memory": MEMORY}
            channel.send("done", body, final)
        else:
            channel.send("error", {"status": "unsupported", "reason": "the null worker times nothing"})


def null_setting(scenario: dict[str, Any]) -> Any:
    """The circuit that every null cell trains."""
    from tests.parity import fake

    return fake.Setting(wires=1, layers=1, batch=scenario["training"]["batch_size"])


def suffered(options: dict[str, Any]) -> Iterator[int]:
    """Live through what the cell's options ask for, step by step."""
    if os.path.exists(os.environ.get("QPARITY_TEST_FLAG", "")):
        misfortune(str(options.get("how")))
    steps = max(1, round(20 * float(options.get("seconds", 0))))
    for step in range(steps):
        yield step
        time.sleep(float(options.get("seconds", 0)) / steps)


def misfortune(how: str) -> None:
    """What can befall a process."""
    if how == "kill-server":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if how == "cache":  # what a compiler leaves on disk
        cache = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        cache.mkdir(parents=True)
        with (cache / "header").open("wb") as file:  # torch's precompiled header has 154 MB
            file.write(bytes(100 * 2**20))
        print("cache", cache)
    if how == "hang":
        threading.Event().wait()
    if how == "orphan":  # started in the child's own group, and deaf to SIGTERM
        subprocess.Popen(
            [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(99)"]
        )
        threading.Event().wait()


def prepared(program: dict[str, Any]) -> dict[str, Any]:
    """The answer to `prepare`."""
    weights = [
        {
            "path": w["name"],
            "shape": w["shape"],
            "dtype": "float64",
            "device": "cpu",
            "layer": "quantum",
            "random": True,
        }
        for w in program["weights"]
    ]
    layers = [{"name": "quantum", "weights": [0, 1], "program": program, "drawing": ""}]
    resolved = {"interface": "null", "device": "null", "diff_method": "backprop", "dtype": "float64", "mode": "eager"}
    resolved |= {"bare": True, "weights": weights, "state": [], "quantum_layers": layers}
    return {"resolved": resolved, "output_shape": [1], "build_s": 0.0}


def audited(scenario: Any, setting: Any, sent: dict[str, Any]) -> dict[str, Any]:
    """The trace of a training from the weights and over the batches that were sent."""
    from tests.parity import fake

    size = scenario.training.batch_size
    sizes = [len(epoch[i : i + size]) for epoch in sent["order"] for i in range(0, len(epoch), size)]
    start = np.concatenate([sent["weights/0"], sent["weights/1"]])
    return fake._train(setting, start, sent["x"], sent["y"], sent["order"].reshape(-1), sizes)[0]


def about(scenario: Any, trace: dict[str, Any]) -> dict[str, Any]:
    """The answer to `audit` beside the trace."""
    from qparity.worker.protocol import digest

    hashes = {"x": digest(trace["x"]), "y": digest(trace["y"]), "order": digest(trace["batch_index"])}
    hashes["weights"] = [digest(trace[f"weights/{k}"][0]) for k in range(2)]
    audit = {"hashes": hashes, "hyperparameters": scenario.training.optimizer.arguments, "compiled": False}
    audit |= {"dtypes": {}, "devices": {"weights": ["cpu", "cpu"]}, "nonfinite": {}, "boundaries": "recorded"}
    seconds = [1e-3] * len(trace["loss"])
    return {"audit": audit, "step_seconds": seconds, "audit_s": 0.0, "waited_s": 0.0, "flags": {}, "memory": MEMORY}


MEMORY = {"baseline_bytes": 1, "peak_bytes": 2}

if __name__ == "__main__":
    main()
