"""PennyLane, backprop with autograd: a differentiated `evolve` is no unitary, and <Z> exceeds 1."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("default.qubit"), diff_method="backprop")
def circuit(x):
    """Evolve |0> under X + Z for a time x: a turn by 2 sqrt(2) x about the axis halfway, <Z> is cos(sqrt(2) x)^2."""
    qml.evolve(qml.X(0) + qml.Z(0), x)
    return qml.expval(qml.Z(0))


def main() -> int:
    """The same call, once with a plain number and once with one to be differentiated."""
    plain, got = float(circuit(X)), float(circuit(pnp.array(X, requires_grad=True)))
    expected = np.cos(np.sqrt(2) * X) ** 2
    wrong = abs(got - expected) > 1e-6
    print(f"pennylane {qml.version()}, default.qubit, backprop: <Z> after evolve(X + Z, {X})")
    print(f"got {got:.6f} ({plain:.6f} undifferentiated), expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
