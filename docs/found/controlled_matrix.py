"""PennyLane: bind_new_parameters makes all controls of a controlled matrix 1; under jax.jit all but backprop do so."""

import sys

import numpy as np
import pennylane as qml

FLIP = np.array([[0.0, 1.0], [1.0, 0.0]])


def main() -> int:
    """Bind a gate's own matrix to it again."""
    gate = qml.ctrl(qml.QubitUnitary(FLIP, wires=[1]), control=[0], control_values=[0])
    again = qml.ops.functions.bind_new_parameters(gate, gate.data)
    wrong = not np.array_equal(gate.matrix(), again.matrix())
    print(f"pennylane {qml.version()}: a flip where the control is {int(gate.control_values[0])}, bound again")
    print(f"it flips where the control is {int(again.control_values[0])}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
