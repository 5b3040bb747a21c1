"""qparity: do the Keras backends train the same PennyLane circuit alike, which one is wrong, how fast is each?

What stands in `__all__` is the public surface, and the only promise: everything below it may move. Names are loaded on
first use, so that `import qparity` imports no framework; `QKerasLayer`, `quantum_circuit` and `Recorder` then import
Keras and PennyLane.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qparity.api import judge, report, run
    from qparity.circuit.definition import quantum_circuit
    from qparity.circuit.layer import QKerasLayer
    from qparity.recording.callback import Recorder
    from qparity.store import Run
    from qparity.summary import RunView

__version__ = "0.2.0"
__all__ = ["QKerasLayer", "Recorder", "Run", "RunView", "__version__", "judge", "quantum_circuit", "report", "run"]

_HOMES = {
    "QKerasLayer": "qparity.circuit.layer",
    "quantum_circuit": "qparity.circuit.definition",
    "Recorder": "qparity.recording.callback",
    "Run": "qparity.store",
    "RunView": "qparity.summary",
    "run": "qparity.api",
    "judge": "qparity.api",
    "report": "qparity.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qparity' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
