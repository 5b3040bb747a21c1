"""PennyLane's default.mixed: PSWAP with a batch of one angle gives four results, none of which is right."""

import sys

import numpy as np
import pennylane as qml

X = 0.3
DEVICE = qml.device("default.mixed", wires=2)


@qml.qnode(DEVICE, diff_method=None)
def circuit(x: object) -> object:
    """The mean of Z behind a swap that multiplies what it swaps by a phase."""
    qml.RY(1.0, wires=1)
    qml.PSWAP(x, wires=[0, 1])
    return qml.expval(qml.Z(0))


def main() -> int:
    """Beside the cosine of the angle, which the swap takes to the other wire."""
    print(f"pennylane {qml.version()}: PSWAP on default.mixed, cos(1) = {np.cos(1.0):.6f} expected")
    wrong = False
    for size in (1, 2):
        got = np.asarray(circuit(np.full(size, X)))
        right = got.shape == (size,) and bool(np.allclose(got, np.cos(1.0), atol=1e-12))
        wrong |= not right
        print(f"a batch of {size}: {got}: {'right' if right else 'wrong'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
