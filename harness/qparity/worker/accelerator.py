"""What an NVIDIA GPU needs and what of it is here: driver, a framework built for CUDA, cuStateVec.

Each is found by one small probe that imports no framework, so that an interpreter without any can still say what it
lacks. Standard library only.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.metadata
import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from qparity.scenario.backends import BackendFacts

CUDA_SUCCESS = 0
# cuInit's answers worth words of their own
REFUSALS = {
    100: "it finds no GPU (or CUDA_VISIBLE_DEVICES hides it)",
    101: "the GPU is not one it supports",
    803: "its parts are of different versions: a reboot after an update helps",
    804: "its kernel module is older than its libraries",
}


@dataclass(frozen=True, slots=True)
class Driver:
    """The NVIDIA driver: the newest CUDA it supports, (major, minor), and what keeps it from working, or None."""

    cuda: tuple[int, int]
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """An installed package: name with version, the CUDA it was built for, or None and what it is then."""

    name: str
    cuda: int | None
    without: str = "is built without CUDA"


def missing(backend: BackendFacts, accelerator: str, simulator: str = "") -> list[str]:
    """All that keeps a backend from running on the GPU here, or a simulator from it: one clause each, none if nothing.

    Args:
        backend: what is known of it.
        accelerator: `gpu` if the backend itself is to run there.
        simulator: a PennyLane device that does, or nothing.
    """
    builds = []
    reasons = []
    if accelerator == "gpu":
        found = build_of(backend)
        if found is not None and found.cuda is None:
            reasons.append(f"{found.name} {found.without} (pip install '.[{backend.gpu_extra}]' in a clone of qparity)")
        builds.append(found)
    if simulator == "lightning.gpu":
        found = lightning_build()
        if found is None:
            where = f"in {sys.executable} (pip install '.[lightning-gpu]' in a clone of qparity)"
            reasons.append(f"pennylane-lightning-gpu is not installed {where}")
        elif not custatevec(found.cuda):
            reasons.append(f"{found.name} finds no cuStateVec library (pip install custatevec-cu{found.cuda})")
        builds.append(found)
    if accelerator == "gpu" or simulator:
        reasons += driver_reasons(driver(), [build for build in builds if build and build.cuda])
    return reasons


def driver_reasons(found: Driver | None, builds: list[Build]) -> list[str]:
    """What the driver lacks for these builds."""
    if found is None:
        return ["there is no NVIDIA driver on this machine (libcuda.so.1 is not found)"]
    if found.fault:
        return [f"the NVIDIA driver does not work: {found.fault}"]
    supported = ".".join(map(str, found.cuda))
    return [
        f"{build.name} is built for CUDA {build.cuda}, the driver supports no more than CUDA {supported}"
        for build in builds
        if build.cuda and build.cuda > found.cuda[0]
    ]


def driver() -> Driver | None:
    """The driver of this machine, asked by its own library; None if there is none."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    number = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(number))
    version = number.value // 1000, number.value % 1000 // 10
    status = library.cuInit(0)
    if status == CUDA_SUCCESS:
        status = library.cuDeviceGetCount(ctypes.byref(number))
    if status != CUDA_SUCCESS:
        return Driver(version, REFUSALS.get(status, f"cuInit answers {status}"))
    return Driver(version, None if number.value else REFUSALS[100])


def build_of(backend: BackendFacts) -> Build | None:
    """The framework installed in this interpreter; None if there is none."""
    for name in backend.cpu_builds:
        if version := version_of(name):
            return Build(f"{name} {version}", None)
    version = version_of(backend.distributions[0])
    if version is None:
        return None
    if backend.cuda_plugins:
        plugins = sorted(backend.cuda_plugins.items())
        newest = max((cuda for cuda, name in plugins if version_of(name)), default=None)
        return Build(
            f"{backend.name} {version}", newest, f"has no CUDA plugin, {' or '.join(name for _, name in plugins)}"
        )
    cuda = cuda_written_in(backend.package, backend.cuda_file) if backend.cuda_file else backend.cuda
    return Build(f"{backend.name} {version}", cuda)


def cuda_written_in(package: str, file: str) -> int | None:
    """The CUDA version that a package was built for, from its line `cuda = "12.8"`; None if it says none."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    text = (Path(spec.origin).parent / file).read_text(encoding="utf-8")
    number = re.search(r"^cuda[^=]*=\s*['\"](\d+)", text, re.MULTILINE)
    return int(number[1]) if number else None


def lightning_build() -> Build | None:
    """PennyLane's simulator on cuStateVec, and the CUDA that its own requirements name."""
    version = version_of("pennylane-lightning-gpu")
    if version is None:
        return None
    named = re.search(r"\bcustatevec-cu(\d+)", " ".join(requirements_of("pennylane-lightning-gpu")))
    return Build(f"pennylane-lightning-gpu {version}", int(named[1]) if named else 12)


def custatevec(cuda: int | None) -> bool:
    """Whether the library lightning.gpu simulates with is here, as a package or on the system."""
    packages = (f"{name}-cu{cuda}" for name in ("custatevec", "cuquantum", "cuquantum-python"))
    return any(map(version_of, packages)) or ctypes.util.find_library("custatevec") is not None


def requirements_of(package: str) -> list[str]:
    """What an installed distribution requires; empty if it is not installed."""
    try:
        return importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def version_of(package: str) -> str | None:
    """The version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
