"""What is known of each Keras backend before anything is imported: the one place that names them.

Variants, colours, interpreters, environment variables, versions to record and the interfaces of PennyLane are all read
from here. How a backend trains is code: `qparity.worker.backends`. Standard library only: a worker whose interpreter
lacks NumPy reads this file too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to run a backend: `name` as it is recorded, `variant` as people write it.

    `colours` are those of its curves on white and on black, `dashes` the lengths of strokes and gaps; the backend shows
    in the hue, the mode in the dash. `aliases` are what people write instead, for "did you mean". A scenario file that
    names no variants gets those that are `usual`: the mode that a plain `model.fit` runs in.
    """

    name: str
    variant: str
    colours: tuple[str, str]
    dashes: tuple[int, ...]
    aliases: tuple[str, ...] = ()
    usual: bool = False


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """One Keras backend.

    A value of an environment variable may hold `{threads}`. The fields on CUDA say for which version an installed
    package is built: `cuda` for all, or the file `cuda_file` of the package, or the first of `cuda_plugins` (CUDA
    version to distribution) that is installed; `cpu_builds` are distributions of the same package without CUDA.
    """

    name: str
    """As Keras writes it."""
    package: str
    """What is imported."""
    distributions: tuple[str, ...]
    """What is installed, and recorded with its version; the first is the usual one."""
    interface: str
    """As PennyLane writes it."""
    implementation: str = ""
    """`module:class` of the subclass of `qparity.worker.backends.base.Backend`; none for the reference."""
    modes: tuple[Mode, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Set before the framework is imported."""
    environment_cpu: Mapping[str, str] = field(default_factory=dict)
    environment_gpu: Mapping[str, str] = field(default_factory=dict)
    environment_one_thread: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    """Beginnings of the names of variables that a worker does not inherit: they change numerics or speed."""
    flags: tuple[str, ...] = ()
    """Variables that are recorded with a run, since they change numbers or speed."""
    caches: tuple[str, ...] = ()
    """Variables that name the folder where compilers keep what they have made; each cell has its own."""
    cpu_builds: tuple[str, ...] = ()
    cuda: int | None = None
    cuda_file: str = ""
    cuda_plugins: Mapping[int, str] = field(default_factory=dict)
    narrows_floats: bool = False
    """Reads a Python float as float32 on its way to float64; a NumPy float64 keeps its digits."""
    batched_wires: int | None = None
    """PennyLane's simulation in this framework takes no batch on so many wires or more."""
    traces_callbacks: bool = True
    """Compiles around a circuit that it does not simulate itself."""

    juror_mode: str = "eager"
    """In which mode a juror runs, where the scenario is trained in it: that whose few steps cost least."""

    @property
    def trains(self) -> bool:
        """Whether it differentiates; one that only runs forward serves as the reference."""
        return bool(self.implementation)

    @property
    def extra(self) -> str:
        """What to install of this project for it: `pip install '.[<extra>]'`."""
        return self.name

    @property
    def gpu_extra(self) -> str:
        """The same for an environment with a GPU."""
        return f"{self.name}-gpu"

    def variables(self, accelerator: str, threads: int) -> dict[str, str]:
        """The environment variables to set before the import, for `cpu` or `gpu` and so many threads."""
        found = {"KERAS_BACKEND": self.name, **self.environment}
        found |= self.environment_one_thread if threads == 1 else {}
        found |= self.environment_gpu if accelerator == "gpu" else self.environment_cpu
        return {name: value.format(threads=threads) for name, value in found.items()}


_FACTS = (
    BackendFacts(
        "tensorflow",
        package="tensorflow",
        distributions=("tensorflow", "tensorflow-cpu"),
        interface="tf",
        implementation="qparity.worker.backends.tensorflow:TensorFlow",
        modes=(
            Mode("eager", "tf", ("#E69F00", "#E69F00"), (1, 0), ("tensorflow", "keras", "tf-eager")),
            Mode("graph", "tf-graph", ("#D55E00", "#FF8A3D"), (6, 3), ("graph",), usual=True),
            Mode("xla", "tf-xla", ("#8C6A00", "#F0E442"), (2, 2), ("xla",)),
        ),
        environment={
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_NUM_INTRAOP_THREADS": "{threads}",
            "TF_NUM_INTEROP_THREADS": "{threads}",
        },
        environment_cpu={"CUDA_VISIBLE_DEVICES": "-1"},
        environment_gpu={
            "TF_CPP_MIN_LOG_LEVEL": "1",  # a CUDA library that is not found is a warning
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        },
        dropped=("TF_", "XLA_"),
        flags=(
            "TF_NUM_INTRAOP_THREADS",
            "TF_NUM_INTEROP_THREADS",
            "TF_ENABLE_ONEDNN_OPTS",
            "TF_XLA_FLAGS",
            "XLA_FLAGS",
            "TF_DETERMINISTIC_OPS",
            "TF_CUDNN_DETERMINISTIC",
        ),
        cpu_builds=("tensorflow-cpu",),
        cuda=12,
        narrows_floats=True,
        batched_wires=8,
        traces_callbacks=False,
    ),
    BackendFacts(
        "torch",
        package="torch",
        distributions=("torch",),
        interface="torch",
        implementation="qparity.worker.backends.torch:Torch",
        modes=(
            Mode("eager", "torch", ("#CC79A7", "#E59BC5"), (1, 0), ("pytorch", "torch-eager"), usual=True),
            Mode("compile", "torch-compile", ("#009E73", "#2FCB9E"), (6, 3), ("compile",)),
        ),
        environment={
            # NVML answers whether there is a GPU without initialising CUDA, which would poison a fork.
            "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
            "TORCHINDUCTOR_COMPILE_THREADS": "{threads}",
            # Inductor's precompiled headers (150 MB) lie in one place for all, whatever cache it is given; a compiler
            # that is killed there leaves one that breaks every later cell.
            "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0",
        },
        environment_cpu={"CUDA_VISIBLE_DEVICES": "", "KERAS_TORCH_DEVICE": "cpu"},
        dropped=("TORCH", "PYTORCH"),
        flags=("TORCH_COMPILE_DISABLE",),
        caches=("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"),
        cuda_file="version.py",
    ),
    BackendFacts(
        "jax",
        package="jax",
        distributions=("jax", "jaxlib"),
        interface="jax",
        implementation="qparity.worker.backends.jax:Jax",
        modes=(
            Mode("eager", "jax", ("#56B4E9", "#56B4E9"), (1, 0), ("jax-eager",)),
            Mode("jit", "jax-jit", ("#0072B2", "#A99BFF"), (6, 3), ("jit",), usual=True),
        ),
        environment={
            "XLA_FLAGS": "",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # GPU memory is taken as needed
            "JAX_ENABLE_COMPILATION_CACHE": "false",  # a user's cache would have earlier runs help a compile phase
        },
        environment_one_thread={
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
        },
        environment_cpu={"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""},
        # The CPU stays available beside a GPU, as the second choice: callbacks into Python need it.
        environment_gpu={"JAX_PLATFORMS": "cuda,cpu"},
        dropped=("JAX_", "XLA_"),
        juror_mode="jit",  # each operation is compiled by itself where it is eager
        flags=("XLA_FLAGS", "JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION"),
        cuda_plugins={13: "jax-cuda13-plugin", 12: "jax-cuda12-plugin"},
    ),
    BackendFacts("numpy", package="numpy", distributions=("numpy",), interface="numpy"),
)

BACKENDS: dict[str, BackendFacts] = {facts.name: facts for facts in _FACTS}
"""Keras' name -> facts, in the order in which variants are listed."""

NEEDED = ("keras", "pennylane", "numpy", "pydantic", "psutil")
"""What a worker imports beside its framework."""

REFERENCE = "numpy"
"""Keras on this backend says what a whole model computes: worker/reference."""


def trainable() -> list[BackendFacts]:
    """The backends that train, which are those under test."""
    return [facts for facts in BACKENDS.values() if facts.trains]


def every(field_name: str) -> tuple[str, ...]:
    """The entries of a field of all backends that train, each once: `every("caches")`."""
    return tuple(dict.fromkeys(entry for facts in trainable() for entry in getattr(facts, field_name)))
