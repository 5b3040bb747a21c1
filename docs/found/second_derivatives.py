"""PennyLane: a second derivative under adjoint leaves out the circuit's own part, and no error is raised."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X, Y = 0.5, 0.3


def second_derivative(method: str) -> float:
    """Of (<Z> - y)^2 after RX(x), where <Z> is cos(x)."""

    @qml.qnode(qml.device("default.qubit", wires=1), diff_method=method, max_diff=2)
    def circuit(x):
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    return float(qml.grad(qml.grad(lambda x: (circuit(x) - Y) ** 2))(pnp.array(X, requires_grad=True)))


def main() -> int:
    """By hand it is 2 sin(x)^2 - 2 (cos(x) - y) cos(x)."""
    expected = 2 * np.sin(X) ** 2 - 2 * (np.cos(X) - Y) * np.cos(X)
    print(f"pennylane {qml.version()}: second derivative of a loss")
    errors = {}
    for method in ("backprop", "adjoint"):
        got = second_derivative(method)
        errors[method] = abs(got - expected)
        said = "wrong" if errors[method] > 1e-9 else "right"
        print(f"{method}: got {got:.9f}, expected {expected:.9f}: {said}")
    return int(errors["adjoint"] > 1e-9)


if __name__ == "__main__":
    sys.exit(main())
