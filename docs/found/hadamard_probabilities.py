"""PennyLane, hadamard: gradients of probabilities in the basis of a Hadamard or Hermitian do not even sum to zero."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("default.qubit", wires=2), diff_method="hadamard", gradient_kwargs={"aux_wire": 1})
def circuit(x):
    """Turn by 0.3 about Y and x about X: (X + Z) / sqrt(2) is then (sin(0.3) + cos(0.3) cos(x)) / sqrt(2)."""
    qml.RY(0.3, wires=0)
    qml.RX(x, wires=0)
    return qml.probs(op=qml.Hadamard(0))


def main() -> int:
    """The derivatives of the two outcomes are opposite."""
    got = qml.jacobian(circuit)(pnp.array(X, requires_grad=True))
    expected = np.cos(0.3) * np.sin(X) / np.sqrt(8) * np.array([-1, 1])
    wrong = not np.allclose(got, expected, atol=1e-6)
    print(f"pennylane {qml.version()}, default.qubit, hadamard: gradient of probs(op=Hadamard)")
    print(f"got {got}, expected {expected}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
