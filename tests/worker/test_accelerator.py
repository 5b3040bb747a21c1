"""What is said of a missing GPU: only the answers of the machine are made up here, never what follows from them."""

import ctypes
import os
import threading
from types import SimpleNamespace

import pytest

from qparity.runner.pool import Pool
from qparity.scenario.backends import trainable
from qparity.scenario.variant import Variant
from qparity.worker import accelerator
from qparity.worker.accelerator import Driver
from qparity.worker.server import pin

CPU_ONLY = {"tensorflow-cpu": "2.21.0", "torch": "2.13.0+cpu", "jax": "0.10.2"}
FOR_CUDA = {
    "tensorflow": "2.21.0",
    "torch": "2.13.0",
    "jax": "0.10.2",
    "jax-cuda12-plugin": "0.10.2",
    "pennylane-lightning-gpu": "0.45.0",
    "custatevec-cu12": "1.15.0",
}
BACKENDS = {facts.name: facts for facts in trainable()}


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with these packages and this driver."""

    def make(packages, driver, requirements=()):
        cuda = None if "+cpu" in packages["torch"] else "13.0"
        (tmp_path / "version.py").write_text(f"cuda: Optional[str] = {cuda!r}\n")
        spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
        monkeypatch.setattr(accelerator.importlib.util, "find_spec", lambda name: spec)
        monkeypatch.setattr(accelerator, "version_of", packages.get)
        monkeypatch.setattr(accelerator, "requirements_of", lambda package: requirements)
        monkeypatch.setattr(accelerator.ctypes.util, "find_library", lambda name: None)
        monkeypatch.setattr(accelerator, "driver", lambda: driver)

    return make


def test_nothing_is_missing_where_everything_is_there(machine):
    machine(FOR_CUDA, Driver((13, 0)))
    for backend in BACKENDS.values():
        assert accelerator.missing(backend, "gpu", "lightning.gpu") == []


def test_each_backend_says_what_it_lacks_itself(machine):
    machine(CPU_ONLY, None)
    said = {name: accelerator.missing(backend, "gpu") for name, backend in BACKENDS.items()}
    assert said["tensorflow"][0].startswith("tensorflow-cpu 2.21.0 is built without CUDA")
    assert said["torch"][0].startswith("torch 2.13.0+cpu is built without CUDA")
    assert said["jax"][0].startswith("jax 0.10.2 has no CUDA plugin")
    for backend, reasons in said.items():
        assert f".[{backend}-gpu]" in reasons[0]
        assert reasons[1:] == ["there is no NVIDIA driver on this machine (libcuda.so.1 is not found)"]
        assert accelerator.missing(BACKENDS[backend], "cpu") == []


def test_lightning_gpu_says_what_it_lacks_on_any_backend(machine):
    machine(CPU_ONLY, Driver((12, 4)))
    (alone,) = accelerator.missing(BACKENDS["torch"], "cpu", "lightning.gpu")
    assert "pennylane-lightning-gpu is not installed" in alone
    assert len(accelerator.missing(BACKENDS["torch"], "gpu", "lightning.gpu")) == 2
    machine({k: v for k, v in FOR_CUDA.items() if k != "custatevec-cu12"}, Driver((12, 4)))
    (library,) = accelerator.missing(BACKENDS["tensorflow"], "cpu", "lightning.gpu")
    assert "cuStateVec" in library


def test_the_cuda_of_lightning_gpu_is_the_one_that_its_requirements_name(machine):
    for_13 = ["pennylane>=0.44", "custatevec-cu13"]
    machine(FOR_CUDA | {"custatevec-cu12": None, "custatevec-cu13": "1.15.0"}, Driver((12, 9)), for_13)
    assert accelerator.missing(BACKENDS["torch"], "cpu", "lightning.gpu") == [
        "pennylane-lightning-gpu 0.45.0 is built for CUDA 13, the driver supports no more than CUDA 12.9"
    ]
    machine(FOR_CUDA, Driver((13, 0)), for_13)
    (library,) = accelerator.missing(BACKENDS["torch"], "cpu", "lightning.gpu")
    assert "custatevec-cu13" in library


def test_a_driver_that_is_too_old_or_broken_is_named_for_whom_it_is(machine):
    machine(FOR_CUDA, Driver((12, 4)))
    assert accelerator.missing(BACKENDS["torch"], "gpu") == [
        "torch 2.13.0 is built for CUDA 13, the driver supports no more than CUDA 12.4"
    ]
    assert accelerator.missing(BACKENDS["tensorflow"], "gpu") == accelerator.missing(BACKENDS["jax"], "gpu") == []
    machine(FOR_CUDA, Driver((13, 0), "it finds no GPU"))
    assert accelerator.missing(BACKENDS["jax"], "gpu") == ["the NVIDIA driver does not work: it finds no GPU"]


@pytest.mark.parametrize(
    ("init", "count", "expected"),
    [
        (0, 1, Driver((12, 4))),
        (0, 0, Driver((12, 4), accelerator.REFUSALS[100])),
        (100, 0, Driver((12, 4), accelerator.REFUSALS[100])),
        (999, 0, Driver((12, 4), "cuInit answers 999")),
    ],
)
def test_the_driver_is_asked_by_its_own_library(monkeypatch, init, count, expected):
    def answer(value):
        return lambda place: setattr(place._obj, "value", value) or 0

    library = SimpleNamespace(
        cuDriverGetVersion=answer(12040), cuInit=lambda flags: init, cuDeviceGetCount=answer(count)
    )
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert accelerator.driver() == expected


def test_gpu_children_are_spawned_in_the_interpreter_of_their_own(tmp_path):
    pool = Pool(tmp_path, 1, {"jax": "/cpu", "jax@gpu": "/gpu"})
    on_cpu, on_gpu = (pool.key(Variant.parse(name), "default.qubit") for name in ("jax-jit", "jax-jit@gpu"))
    lightning = pool.key(Variant.parse("jax"), "lightning.gpu")
    assert (on_cpu.interpreter, on_gpu.interpreter, lightning.interpreter) == ("/cpu", "/gpu", "/cpu")
    assert [pool.isolation(key) for key in (on_cpu, on_gpu, lightning)] == ["fork", "spawn", "spawn"]
    assert len({str(key) for key in (on_cpu, on_gpu, lightning)}) == 3
    assert Pool(tmp_path, 1, {}, isolation="spawn").isolation(on_cpu) == "spawn"
    assert Pool(tmp_path, 1, {}, isolation="fork").isolation(on_gpu) == "spawn", "CUDA does not survive a fork"


def test_every_thread_of_a_child_is_pinned(monkeypatch):
    """A GPU child has its threads before it knows its cores."""
    done, there = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (there.set(), done.wait()))
    thread.start()
    there.wait()
    before = os.sched_getaffinity(0)
    try:
        pin([min(before)])
        assert {frozenset(os.sched_getaffinity(int(tid))) for tid in os.listdir("/proc/self/task")} == {
            frozenset([min(before)])
        }
    finally:
        pin(sorted(before))
        done.set()
        thread.join()
