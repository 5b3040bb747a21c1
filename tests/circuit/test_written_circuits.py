"""A gate program written out as PennyLane code, as reproducers have it, is the circuit that the oracle simulates."""

import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.definition import bind
from qparity.circuit.program import gate_program
from qparity.diagnose import script
from qparity.oracle import predict
from qparity.worker.prefix import cut
from tests.oracle.programs import read

UNITARY = np.linalg.qr(np.array([[0.3, 0.2j, 0.5, 1], [1j, 2, 0.4, 0], [0.1, 0.7, 1j, 3], [0, 1, 0, 0.2j]]))[0]
WEIGHTS, INPUTS = np.array([0.3, 0.7, 0.4]), np.array([0.2, 0.6])


def prepared(w, inputs):
    qml.AmplitudeEmbedding(inputs, wires=[0, 1], pad_with=0.3)
    qml.ctrl(qml.Rot, [0, 1], control_values=[1, 0])(w[0], w[1], w[2], wires=2)
    qml.ctrl(qml.QubitUnitary(UNITARY, [1, 2]), 0)
    return qml.expval(qml.dot([w[0], w[1]], [qml.Z(0), qml.X(2)])), qml.var(qml.Z(1)), qml.purity([2])


def noisy(w, inputs):
    qml.StatePrep(UNITARY[0], wires=[0, 1])
    qml.RX(inputs[..., 0], wires=0)
    qml.PhaseDamping(0.1, wires=0)
    qml.QubitChannel([np.diag([1, 0.8]), np.array([[0, 0.6], [0, 0]])], wires=1)
    qml.adjoint(qml.S(1))
    return qml.expval(qml.Hermitian(UNITARY + UNITARY.conj().T, [0, 1])), qml.probs(op=qml.X(1))


@pytest.mark.parametrize("function", [prepared, noisy])
def test_written_code_is_the_circuit(function):
    program = read(gate_program(bind(function, 3, 1, {}, {"w": (3,)}, 2)))
    names = {"qml": qml, "np": np}
    exec(script.circuit(program), names)
    device = qml.device("default.mixed" if program.mixed else "default.qubit", wires=3)
    written, own = (
        np.hstack(qml.QNode(f, device)(*arguments))
        for f, arguments in ((names["circuit"], ([WEIGHTS], INPUTS)), (function, (WEIGHTS, INPUTS)))
    )
    assert np.allclose(written, own, rtol=0, atol=1e-13)
    assert np.allclose(predict(program, [WEIGHTS], INPUTS[None])[0], own, rtol=0, atol=1e-13)


@pytest.mark.parametrize("function", [prepared, noisy])
def test_a_circuit_taken_apart_gate_by_gate_is_the_circuit(function):
    bound = bind(function, 3, 1, {}, {"w": (3,)}, 2)
    gates = len(read(gate_program(bound)).gates)
    device = qml.device("default.mixed" if function is noisy else "default.qubit", wires=3)

    def node(count, words):
        return qml.QNode(lambda: cut(bound, count, words)(w=WEIGHTS, inputs=INPUTS), device)

    own = qml.QNode(function, device)(WEIGHTS, INPUTS)
    assert np.allclose(np.hstack(node(gates, None)()), np.hstack(own), rtol=0, atol=1e-13)
    for count in range(gates + 1):
        tape = qml.workflow.construct_tape(node(count, [[("Z", 0)]]), level=0)()
        assert (len(tape.operations), len(tape.measurements)) == (count, 1)
