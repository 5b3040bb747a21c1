"""The backends: one file each behind the seam in `base`. Importing this package imports no framework."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from qparity.worker import accelerator as gpu

if TYPE_CHECKING:
    from qparity.worker.backends.base import Backend

# Keras' name of the backend -> its package, its class
REGISTRY = {
    "tensorflow": ("tensorflow", "qparity.worker.backends.tensorflow:TensorFlow"),
    "torch": ("torch", "qparity.worker.backends.torch:Torch"),
    "jax": ("jax", "qparity.worker.backends.jax:Jax"),
}
PACKAGES = (
    "keras", "pennylane", "pennylane_lightning", "pennylane_lightning_gpu", "custatevec_cu12", "tensorflow",
    "tensorflow_cpu", "torch", "jax", "jaxlib", "jax_cuda12_plugin", "jax_cuda13_plugin", "numpy", "scipy", "autoray",
)  # fmt: skip


def missing(name: str, accelerator: str, simulator: str = "") -> str | None:
    """Why this backend cannot run here: a package that is not installed, all the GPU lacks; None if nothing is."""
    own = [REGISTRY[name][0]] if name in REGISTRY else []
    for package in (*own, "keras", "pennylane", "numpy", "pydantic", "psutil"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed in {sys.executable} (pip install '.[{name}]' in a clone of qparity)"
    return "; ".join(gpu.missing(name, accelerator, simulator)) or None if own else None


def backend_class(name: str) -> type[Backend]:
    """The class of a backend; imports no framework."""
    module, _, attribute = REGISTRY[name][1].partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), attribute)
    return found


def environment(name: str, accelerator: str, threads: int, simulator: str = "") -> dict[str, str]:
    """The environment to set before `load`; a simulator on the GPU must see it where the framework must not use it."""
    found = {"KERAS_BACKEND": name, **backend_class(name).environment(accelerator, threads)}
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

    Whatever they raise is no answer to that: a GPU may be short of memory for the moment.
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
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    python = sys.version.split()[0]
    return {"versions": versions, "python": python, "interpreter": sys.executable, "threads": threads}
