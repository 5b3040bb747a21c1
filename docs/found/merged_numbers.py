"""PennyLane on torch: merge_rotations takes the numbers beside a tensor, among the angles of Rot gates, for float32."""

import sys

import numpy as np
import pennylane as qml
import torch

X = 0.7


def gates(x: object) -> list[qml.operation.Operator]:
    """Two Rot gates with one angle that is trained."""
    return [qml.Rot(x, 0.3, 0.4, wires=0), qml.Rot(0.5, 0.6, 0.1, wires=0)]


def matrix(x: object) -> np.ndarray:
    """Of the two gates, merged into one."""
    (merged,), _ = qml.transforms.merge_rotations(qml.tape.QuantumScript(gates(x)))
    return np.asarray(qml.matrix(merged.operations[0]))


def main() -> int:
    """As a matrix, beside the product of the two."""
    first, second = (gate.matrix() for gate in gates(X))
    print(f"pennylane {qml.version()}, torch {torch.__version__}: Rot(x, 0.3, 0.4) and Rot(0.5, 0.6, 0.1), merged")
    off = np.abs(matrix(torch.tensor(X, dtype=torch.float64)) - second @ first).max()
    plain = np.abs(matrix(X) - second @ first).max()
    wrong = bool(off > 1e-12)
    print(f"x a float64 tensor: off by {off:.1e}, a number: off by {plain:.1e}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
