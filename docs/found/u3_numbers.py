"""PennyLane on torch: U3 fails where its second angle is a number and its third one a tensor, or U2 likewise."""

import sys

import numpy as np
import pennylane as qml
import torch

X = 0.5
CASES = {"U3(0.4, 0.4, x)": lambda x: qml.U3(0.4, 0.4, x, wires=0), "U2(0.4, x)": lambda x: qml.U2(0.4, x, wires=0)}


def main() -> int:
    """As a matrix; with plain numbers they have one."""
    print(f"pennylane {qml.version()}, torch {torch.__version__}: the matrix of a gate of numbers and tensors")
    wrong = False
    for name, make in CASES.items():
        expected = make(X).matrix()
        try:
            got = make(torch.tensor(X, dtype=torch.float64)).matrix().numpy()
        except TypeError as error:
            wrong = True
            print(f"{name}: {error}: wrong")
            continue
        print(f"{name}: off by {np.abs(got - expected).max():.1e}: right")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
