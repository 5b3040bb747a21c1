"""PennyLane, default.qubit, adjoint: probabilities and variances are those of another circuit, when differentiated.

The trainable parameters are written over the circuit's first parameters, be those trainable or not.
"""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("default.qubit"), diff_method="adjoint")
def circuit(x):
    """Turn by a fixed 0.4 about Y, then by x about X: the probability of 0 is (1 + cos(0.4) cos(x)) / 2."""
    qml.RY(0.4, wires=0)
    qml.RX(x, wires=0)
    return qml.probs(wires=0)


def main() -> int:
    """Value and gradient, once x is to be differentiated, are those of a circuit with x in both gates."""
    x = pnp.array(X, requires_grad=True)
    values = circuit(X)[0], float(circuit(x)[0]), (1 + np.cos(0.4) * np.cos(X)) / 2
    got, expected = float(np.real(qml.jacobian(circuit)(x)[0])), -np.cos(0.4) * np.sin(X) / 2
    wrong = abs(values[1] - values[2]) > 1e-6 or abs(got - expected) > 1e-6
    print(f"pennylane {qml.version()}, default.qubit, adjoint: the probability of 0")
    print(f"value: got {values[0]:.6f}, and {values[1]:.6f} to be differentiated, expected {values[2]:.6f}")
    print(f"gradient: got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
