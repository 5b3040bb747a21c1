"""What a run ran on, found out without importing any framework.

Two runs with the same fingerprint should give the same bits and, on a quiet machine, the same speeds.
"""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import psutil

from qparity.records.document import Table
from qparity.records.run import Environment
from qparity.scenario.backends import every

PACKAGES = (
    "qparity", "keras", *every("distributions"), "pennylane", "pennylane-lightning", "pennylane-lightning-gpu",
    "numpy", "scipy", "autograd", "autoray", "ml-dtypes",
)  # fmt: skip

# Only flags that change numbers or speed: an environment may hold secrets, so it is never copied whole.
FLAGS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_PROC_BIND",
    *every("flags"), "NVIDIA_TF32_OVERRIDE", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "KERAS_BACKEND",
    "PYTHONHASHSEED",
)  # fmt: skip

# What must be equal for two runs' cells to stand in one table.
COMPARED = ("packages", "requirements", "python", "platform", "cpu", "gpu", "flags")
# What must be equal for their times to be compared.
MACHINE = ("platform", "cpu", "gpu")


def fingerprint(cwd: Path | str = ".") -> Table:
    """Versions, machine, thread and BLAS flags, git state of `cwd`, as a JSON object. Memory is in bytes."""
    return {
        "packages": _packages(),
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "platform": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
        },
        "cpu": {"model": _cpu_model(), "count": os.cpu_count(), "affinity": _affinity()},
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": _gpus(),
        "blas": _blas(),
        "flags": {name: os.environ[name] for name in FLAGS if name in os.environ},
        "git": _git(Path(cwd)),
        "host": hashlib.sha256(platform.node().encode()).hexdigest()[:12],
    }


def machine(environment: Environment) -> Table:
    """The flat part of a fingerprint that must be equal for times to be compared."""
    return _flat(environment, MACHINE)


def differences(base: Environment, other: Environment, keys: Sequence[str] = COMPARED) -> list[str]:
    """One line an entry that differs, such as `packages.torch: 2.6.0 -> 2.7.0`; none: cells may be mixed."""
    return changes(_flat(base, keys), _flat(other, keys))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line an entry that differs between two flat tables."""
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _flat(environment: Environment, keys: Sequence[str]) -> Table:
    flat: Table = {}
    for key in keys:
        value = getattr(environment, key)
        if is_dataclass(value) and not isinstance(value, type):
            value = {name: item for name, item in asdict(value).items() if item is not None}
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": list(item) if isinstance(item, tuple) else item for name, item in value.items()}
        else:
            flat[key] = list(value) if value else None
    return flat


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _affinity() -> list[int] | None:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _gpus() -> list[dict[str, str]]:
    if shutil.which("nvidia-smi") is None:
        return []
    fields = ("name", "driver_version", "memory.total")
    answer = _output(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"])
    rows = [line.split(", ") for line in (answer or "").splitlines()]
    return [dict(zip(fields, row, strict=True)) for row in rows if len(row) == len(fields)]


def _blas() -> str | None:
    """The BLAS that NumPy was built with; NumPy is imported by the parent anyway."""
    numpy_config = sys.modules.get("numpy.__config__")
    blas = getattr(numpy_config, "CONFIG", {}).get("Build Dependencies", {}).get("blas", {})
    return f"{blas['name']} {blas.get('version', '')}".strip() if blas.get("name") else None


def _git(cwd: Path) -> Table | None:
    commit = _output(["git", "-C", str(cwd), "rev-parse", "HEAD"])
    if commit is None:
        return None
    status = _output(["git", "-C", str(cwd), "status", "--porcelain", "--untracked-files=no"])
    return {"commit": commit, "dirty": bool(status)}


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
