"""Which QNodes a model's own layers call: how each is differentiated, and whether it samples."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import pennylane as qml

from qparity.records.document import Table


@contextlib.contextmanager
def noticed(found: dict[str, Table]) -> Iterator[None]:
    """While this holds, every QNode that is called is written into `found`, by its settings (records.CalledQNode).

    Those of quantum layers are left out: how they are run stands with the layer.
    """
    call = qml.QNode.__call__

    @functools.wraps(call)
    def called(self: Any, *arguments: Any, **options: Any) -> Any:
        if not of_a_quantum_layer(self):
            about = _about(self)
            found[repr(about)] = about
        return call(self, *arguments, **options)

    qml.QNode.__call__ = called
    try:
        yield
    finally:
        qml.QNode.__call__ = call


def of_a_quantum_layer(qnode: Any) -> bool:
    """Whether a QNode is one that a quantum layer of qparity's runs."""
    owner = type(getattr(qnode.func, "__self__", None)).__module__
    return owner.partition(".")[0] == "qparity"


def step_of(options: Mapping[str, Any]) -> float | None:
    """The step of finite differences among a method's options."""
    step = options.get("h")
    return float(step) if isinstance(step, int | float) else None


def total_of(shots: Any) -> int | None:
    """How many shots there are, also of a vector of shots; None where nothing is sampled."""
    total = qml.measurements.Shots(shots).total_shots
    return None if total is None else int(total)


def _about(qnode: Any) -> Table:
    method = qnode.diff_method
    name = method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)
    return {
        "name": str(getattr(qnode.func, "__name__", type(qnode.func).__name__)),
        "diff_method": name.replace("param_shift", "parameter-shift").replace("_", "-"),
        "diff_step": step_of(qnode.gradient_kwargs or {}),
        "shots": total_of(qnode.shots),
    }
