"""The backends: one file each behind the seam in `base`. Importing this package imports no framework."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qparity.environments import MANIFEST
from qparity.scenario.backends import BACKENDS, NEEDED, every, trainable
from qparity.worker import accelerator as gpu

if TYPE_CHECKING:
    from qparity.worker.backends.base import Backend

PLUGINS = tuple(name for facts in trainable() for _, name in sorted(facts.cuda_plugins.items()))
RECORDED = (
    "keras", "pennylane", "pennylane-lightning", "pennylane-lightning-gpu", "custatevec-cu12", "custatevec-cu13",
    *every("distributions"), *PLUGINS, "numpy", "scipy", "autoray",
)  # fmt: skip


def missing(name: str, accelerator: str, simulator: str = "") -> str | None:
    """Why this backend cannot run here: a package that is not installed, all the GPU lacks; None if nothing is."""
    facts = BACKENDS[name]
    for package in (facts.package, *NEEDED) if facts.trains else NEEDED:
        if importlib.util.find_spec(package) is None:
            extra = f"pip install '.[{facts.extra}]' in a clone of qparity"
            return f"{package} is not installed in {sys.executable} ({extra})"
    return "; ".join(gpu.missing(facts, accelerator, simulator)) or None if facts.trains else None


def backend_class(name: str) -> type[Backend]:
    """The class of a backend; imports no framework."""
    module, _, attribute = BACKENDS[name].implementation.partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), attribute)
    return found


def environment(name: str, accelerator: str, threads: int, simulator: str = "") -> dict[str, str]:
    """The environment to set before `load`; a simulator on the GPU must see it where the framework must not use it."""
    found = BACKENDS[name].variables(accelerator, threads)
    if simulator:
        found.pop("CUDA_VISIBLE_DEVICES", None)
    if simulator or accelerator == "gpu":
        found["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # one workspace a stream: cuBLAS gives the same bits each time
    return found


def load(name: str, accelerator: str, threads: int) -> Backend:
    """Import keras, the framework and PennyLane with its devices, once; execute nothing."""
    import keras
    import pennylane

    backend = backend_class(name)(accelerator, threads)
    if keras.backend.backend() != name:
        raise RuntimeError(f"Keras chose the backend {keras.backend.backend()}, not {name}")
    importlib.import_module("pennylane.devices.default_qubit")
    if importlib.util.find_spec("pennylane_lightning"):
        importlib.import_module("pennylane_lightning.lightning_qubit")
    del pennylane
    return backend


def blind(backend: Backend, simulator: str = "") -> str | None:
    """Why the GPU cannot be used although nothing is missing: the framework, or the simulator, was asked; or None.

    Their exceptions are passed on: a GPU may be short of memory for the moment.
    """
    if backend.accelerator == "gpu" and not backend.gpus():
        return f"{backend.name} sees no GPU, although the driver has one (its own log says why)"
    if simulator:
        import pennylane

        pennylane.device(simulator, wires=1)
    return None


def description(backend: Backend) -> dict[str, Any]:
    """Versions, flags and interpreter of this server, for the run's record."""
    gpus = {"gpus": backend.gpus()} if backend.accelerator == "gpu" else {}
    return {**about_packages(backend.threads), "accelerator": backend.accelerator, **gpus}


def about_packages(threads: int) -> dict[str, Any]:
    """Versions and interpreter of this process."""
    versions = {}
    for package in (*RECORDED, *asked_for()):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        name = package.replace("-", "_")
        imported = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(imported, str) and imported.partition("+")[0] != version.partition("+")[0]:
            version = imported  # a checkout that comes before what is installed
        versions[name] = version
    python = sys.version.split()[0]
    return {"versions": versions, "python": python, "interpreter": sys.executable, "threads": threads}


def asked_for() -> list[str]:
    """The packages that were asked for in an environment made by qparity, and what came with them; none elsewhere."""
    try:
        told = json.loads((Path(sys.prefix) / MANIFEST).read_text(encoding="utf-8"))
        named = [found[0] for text in told["requirements"] if (found := re.match(r"[A-Za-z0-9._-]+", text))]
        return [*named, *(name for name in told["installed"] if isinstance(name, str))]
    except (OSError, ValueError, LookupError, TypeError):
        return []
