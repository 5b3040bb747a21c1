"""Gate patterns that several circuits share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pennylane as qml

ENTANGLERS = {"cnot": qml.CNOT, "cz": qml.CZ}


def edges(wires: int) -> list[tuple[int, int]]:
    """Neighbours on a ring, each pair once: two wires have one edge, one wire has none."""
    return [(wire, (wire + 1) % wires) for wire in range(wires if wires > 2 else wires - 1)]


def ring(gate: Callable[..., Any], wires: int) -> None:
    """The two-wire gate from every wire to the next, the last to the first; nothing on one wire."""
    if wires > 1:
        for wire in range(wires):
            gate(wires=[wire, (wire + 1) % wires])


def chain(gate: Callable[..., Any], wires: int) -> None:
    """The two-wire gate on all neighbours, first to last, without closing the ring."""
    for wire in range(wires - 1):
        gate(wires=[wire, wire + 1])


def encode(inputs: Any, wires: int, scaling: float = 1.0) -> None:
    """Features as rotation angles, going round the wires until every wire and every feature is used.

    The first turn is RX, the next RY, then RZ: two features on one wire must not add up to one angle.
    PennyLane 0.45 on TensorFlow cannot differentiate batched RX, RY, RZ by backprop on 8 wires or more
    (`Matrix size-incompatible`); the layer works around it, the circuits stay as a user would write them.
    """
    features = inputs.shape[-1]
    for turn in range(max(wires, features)):
        rotation = (qml.RX, qml.RY, qml.RZ)[turn // wires % 3]
        rotation(scaling * inputs[..., turn % features], wires=turn % wires)


def rotate(weights: Any, wires: int, *index: int) -> None:
    """`Rot` with the three angles `weights[*index, wire]` on every wire."""
    for wire in range(wires):
        angles = [weights[(*index, wire, axis)] for axis in range(3)]
        qml.Rot(*angles, wires=wire)
