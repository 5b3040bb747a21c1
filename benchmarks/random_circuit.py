"""Random circuits for `clean_cells.py`: any gate; angles that are weights, features, multiples, sums and products, or
that are computed by functions of these."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml

ONE = (qml.RX, qml.RY, qml.RZ, qml.PhaseShift)
TWO = (qml.CRX, qml.CRY, qml.CRZ, qml.IsingXX, qml.IsingYY, qml.IsingZZ, qml.ControlledPhaseShift, qml.MultiRZ)
FIXED = (qml.CNOT, qml.CZ, qml.SWAP, qml.CY)
COEFFICIENTS = (1.0, -1.0, 0.5, np.pi, 0.1, -3.7, 20.0)


def _computed(rng: np.random.Generator, w: Any, x: Any, inputs: Any) -> Any:
    """One of the ways in which people compute angles: squashed, scaled by a norm, multiplied, raised, nested."""
    m = qml.math
    c = float(rng.choice(COEFFICIENTS))
    forms = (
        lambda: m.arctan(c * x),
        lambda: m.arctan(x**2),
        lambda: 2 * m.arcsin(m.tanh(x)),
        lambda: m.arccos(0.9 * m.sin(w + x)),
        lambda: np.pi * m.tanh(w * x),
        lambda: np.pi / (1 + m.exp(-w * x)),
        lambda: m.exp(-(x**2)) * w,
        lambda: (np.pi - x) * (np.pi - w) * w,
        lambda: w**3,
        lambda: c * w * x * x,
        lambda: m.sin(w) * m.cos(c * x),
        lambda: np.pi * x / m.sqrt(1e-3 + m.sum(inputs**2, axis=-1)),
        lambda: m.log(1 + x**2) - w,
        lambda: m.log(1 + m.exp(w)),
        lambda: m.sqrt(1 + w**2) * x,
        lambda: m.arctan2(x, 2 + w**2),
        lambda: m.exp(m.sin(w - x)),
        lambda: m.cosh(m.arctan(x)) + m.arctan(m.sinh(w)),
    )
    return forms[int(rng.integers(len(forms)))]()


def random_computed(weights: Any, inputs: Any, wires: int, layers: int, draw: int) -> Any:
    """A random circuit of which half the angles are functions of weights and features."""
    return random_circuit(weights, inputs, wires, layers, draw, computed=0.5)


def random_circuit(weights: Any, inputs: Any, wires: int, layers: int, draw: int, computed: float = 0.0) -> Any:
    """`draw` chooses the circuit; weights (W,), inputs (..., F); so large a share of angles is `_computed`."""
    rng = np.random.default_rng(draw)
    features = inputs.shape[-1]

    def angle() -> Any:
        w, x = weights[int(rng.integers(weights.shape[0]))], inputs[..., int(rng.integers(features))]
        if computed and rng.random() < computed:
            return _computed(rng, w, x, inputs)
        c = float(rng.choice(COEFFICIENTS))
        return (lambda: w, lambda: c * w, lambda: c * x, lambda: c * w + x, lambda: w * x, lambda: w + c)[
            rng.choice(6, p=[0.4, 0.1, 0.2, 0.1, 0.1, 0.1])
        ]()

    for wire in range(wires):
        qml.Hadamard(wire)
        qml.RY(weights[wire % weights.shape[0]], wires=wire)
    for _ in range(3 * wires * layers):
        kind, places = rng.integers(4), [int(w) for w in rng.permutation(wires)[:2]]
        if kind == 0 or (wires == 1 and kind != 3):
            ONE[rng.integers(len(ONE))](angle(), wires=places[0])
        elif kind == 3:
            qml.Rot(angle(), angle(), angle(), wires=places[0])
        elif kind == 1:
            TWO[rng.integers(len(TWO))](angle(), wires=places)
        else:
            FIXED[rng.integers(len(FIXED))](wires=places)
    last = int(rng.integers(wires))
    if rng.random() < 0.3:
        return qml.probs(wires=last)
    words = [qml.X(0), qml.Z(last), qml.Y(wires - 1) if wires == 1 else qml.Z(0) @ qml.Y(wires - 1)]
    return qml.expval(qml.dot([float(c) for c in rng.normal(size=3) * rng.choice([1, 10])], words))
