"""A QNode's own settings as arguments of a QKerasLayer: what `QKerasLayer.from_qnode` takes over."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Collection
from typing import Any

import pennylane as qml

from qparity.circuit.errors import CircuitError

METHODS = {"param_shift": "parameter-shift", "finite_diff": "finite-diff", "hadamard_grad": "hadamard"}
METHODS |= {"spsa_grad": "spsa", "None": "best", "device": "best"}


def settings_of(qnode: qml.QNode) -> dict[str, Any]:
    """Wires, device, differentiation method with its options, shots, and what else the QNode was told.

    Raises:
        CircuitError: its device does not say its wires; several numbers of shots at once.
    """
    device = qnode.device
    if not device.wires:
        raise CircuitError(f"the QNode's device does not say its wires: expected qml.device('{device.name}', wires=n)")
    if qnode.shots.has_partitioned_shots:
        raise CircuitError(f"the QNode has {qnode.shots}: expected one number of shots")
    labels = list(device.wires)
    method = getattr(qnode.diff_method, "__name__", str(qnode.diff_method))
    return {
        "wires": len(labels) if labels == list(range(len(labels))) else labels,
        "device": device,
        "diff_method": METHODS.get(method, method),
        "diff_options": dict(qnode.gradient_kwargs),
        "shots": qnode.shots.total_shots,
        "qnode_options": {key: value for key, value in qnode.execute_kwargs.items() if _is_said(key, value)},
    }


def name_of_inputs(qnode: qml.QNode, weights: Collection[str]) -> str:
    """The argument that takes the features: `inputs`, or the only one that is neither a weight nor has a default.

    Raises:
        CircuitError: none, or more than one.
    """
    arguments = inspect.signature(qnode.func).parameters.values()
    others = [each for each in arguments if each.name not in (*weights, "wires", "layers")]
    if any(each.name == "inputs" or each.kind is each.VAR_KEYWORD for each in others):
        return "inputs"
    others = [each for each in others if each.default is each.empty] or others
    if len(others) != 1:
        names = ", ".join(each.name for each in others) or "none"
        raise CircuitError(f"which argument takes the features ({names})? Say it: input_name=...")
    return others[0].name


def path_of(qnode: qml.QNode) -> str | None:
    """`module:name` where that is this very QNode, else None."""
    path = f"{qnode.__module__}:{qnode.__qualname__}"
    try:
        found = functools.reduce(getattr, qnode.__qualname__.split("."), sys.modules[qnode.__module__])
    except (AttributeError, KeyError):
        return None
    return path if found is qnode else None


def _is_said(key: str, value: Any) -> bool:
    default = inspect.signature(qml.QNode).parameters[key].default
    return value != default and isinstance(value, bool | int | float | str)
