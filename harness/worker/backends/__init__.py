"""The backends: one file each behind the seam in `base`. Importing this package imports no framework."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.worker.backends.base import Backend

# Keras' name of the backend -> its package, its class
REGISTRY = {
    "tensorflow": ("tensorflow", "harness.worker.backends.tensorflow:TensorFlow"),
    "torch": ("torch", "harness.worker.backends.torch:Torch"),
    "jax": ("jax", "harness.worker.backends.jax:Jax"),
}
PACKAGES = (
    "keras", "pennylane", "pennylane_lightning", "tensorflow", "tensorflow_cpu", "torch", "jax", "jaxlib",
    "numpy", "scipy", "autoray",
)  # fmt: skip


def missing(name: str, accelerator: str) -> str | None:
    """Why this backend cannot run here: a package that is not installed, no GPU; None if nothing is missing."""
    if accelerator == "gpu" and not shutil.which("nvidia-smi"):
        return "no NVIDIA GPU: there is no driver (nvidia-smi) on this machine"
    for package in (REGISTRY[name][0], "keras", "pennylane", "numpy", "pydantic", "psutil"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed in {sys.executable} (pip install 'qparity[{name}]')"
    return None


def backend_class(name: str) -> type[Backend]:
    """The class of a backend; imports no framework."""
    module, _, attribute = REGISTRY[name][1].partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), attribute)
    return found


def environment(name: str, accelerator: str, threads: int) -> dict[str, str]:
    """The environment to set before `load`."""
    return {"KERAS_BACKEND": name, **backend_class(name).environment(accelerator, threads)}


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


def description(backend: Backend) -> dict[str, Any]:
    """Versions, flags and interpreter of this server, for the run's record."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "python": sys.version.split()[0],
        "interpreter": sys.executable,
        "threads": backend.threads,
        "accelerator": backend.accelerator,
    }
