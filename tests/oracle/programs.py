"""Random gate programs over the whole table."""

from __future__ import annotations

from typing import Any

import numpy as np

from qparity import records
from qparity.oracle import GateProgram
from qparity.oracle.gates import ALIASES, GATES

WIDTH = {
    name: 1 + max(w for o in ops for w in [o.wire, *o.controls, *[v for _, v in o.word]]) for name, ops in GATES.items()
}
PARAMETERS = {name: len({o.parameter for o in ops} - {None}) for name, ops in GATES.items()}
WIDTH |= {"MultiRZ": 3, "GlobalPhase": 1, "Identity": 1} | {a: WIDTH[n] for a, n in ALIASES.items()}
PARAMETERS |= {"MultiRZ": 1, "GlobalPhase": 1, "Identity": 0} | {a: PARAMETERS[n] for a, n in ALIASES.items()}
NAMES = sorted(WIDTH)


def parameter(rng: np.random.Generator, weights: int, features: int) -> dict[str, Any]:
    """A quadratic form with all kinds of terms."""

    def coefficient() -> float:
        return float(rng.normal())

    return {
        "constant": coefficient(),
        "weights": [[int(rng.integers(weights)), coefficient()]],
        "inputs": [[int(rng.integers(features)), coefficient()]] if rng.random() < 0.5 else [],
        "products": [
            [str(rng.choice(["w", "i"])), int(rng.integers(features)), "i", int(rng.integers(features)), coefficient()]
        ]
        if rng.random() < 0.4
        else [],
    }


def random_program(seed: int, wires: int = 3, gates: int = 12, names: list[str] | None = None) -> dict[str, Any]:
    """A program with 6 weights in two arrays, 2 features, Pauli-word and probability measurements."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(names or NAMES, gates)
    table = []
    for wire in range(wires):
        table.append({"name": "RY", "wires": [wire], "params": [parameter(rng, 6, 2)]})
    for name in map(str, chosen):
        width = min(WIDTH[name], wires)
        listed = f"Adjoint({name})" if rng.random() < 0.2 else name
        params = [parameter(rng, 6, 2) for _ in range(PARAMETERS[name])]
        table.append({"name": listed, "wires": [int(w) for w in rng.permutation(wires)[:width]], "params": params})
    word = [[str(rng.choice(list("XYZ"))), int(w)] for w in rng.permutation(wires)[:2]]
    return {
        "schema": 1,
        "wires": wires,
        "features": 2,
        "weights": [{"name": "a", "shape": [2, 2]}, {"name": "b", "shape": [2]}],
        "gates": table,
        "measurements": [
            {"kind": "expval", "terms": [[0.7, word], [-1.3, [["Z", 0]]], [0.4, []]]},
            {"kind": "probs", "wires": [wires - 1, 0]},
        ],
        "not_covered": None,
    }


def arguments(seed: int, steps: int = 1, rows: int = 3) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Weights (steps, ...), inputs, cotangents and offsets for a random program."""
    rng = np.random.default_rng([seed, 1])
    weights = [rng.normal(size=(steps, 2, 2)), rng.normal(size=(steps, 2))]
    total = steps * rows
    return weights, rng.normal(size=(total, 2)), rng.normal(size=(total, 5)), np.arange(steps + 1) * rows


def read(data: dict[str, Any]) -> GateProgram:
    return records.read(records.Program, data).simulated
