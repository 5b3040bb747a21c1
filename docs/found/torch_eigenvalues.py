"""PennyLane on torch: the eigenvalues of RZ, CRZ, IsingZZ and PhaseShift of a float64 angle are complex64."""

import sys

import numpy as np
import pennylane as qml
import torch

X = 0.5
GATES = {"RZ": [0], "PhaseShift": [0], "CRZ": [0, 1], "IsingZZ": [0, 1]}


@qml.qnode(qml.device("default.mixed", wires=1), interface="torch", diff_method="backprop")
def circuit(x):
    """Turn by x about X, then about Z: <Z> is cos(x). The device applies RZ by its eigenvalues."""
    qml.RX(x, wires=0)
    qml.RZ(x, wires=0)
    return qml.expval(qml.Z(0))


def main() -> int:
    """They have the modulus 1, to 1e-16 in float64."""
    print(f"pennylane {qml.version()}, torch {torch.__version__}: eigenvalues")
    x = torch.tensor(X, dtype=torch.float64)
    wrong = False
    for name, wires in GATES.items():
        values = getattr(qml, name)(x, wires=wires).eigvals()
        error = float(np.abs(values.numpy() - getattr(qml, name)(X, wires=wires).eigvals()).max())
        wrong |= error > 1e-12
        print(f"{name}: {values.dtype}, off by {error:.1e}: {'wrong' if error > 1e-12 else 'right'}")
    print(f"<Z> on default.mixed: off by {abs(float(circuit(x)) - np.cos(X)):.1e}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
