"""A circuit that is written out as data: PennyLane applies what is written, and the code of a script is the same."""

import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.definition import bind
from qparity.circuit.written import written
from qparity.diagnose import written as code
from qparity.hunt.draw import draw
from qparity.hunt.rewrites import rewrite
from qparity.scenario.errors import ScenarioError
from qparity.scenario.variant import Variant
from qparity.scenario.written import KINDS, Written, read

CIRCUITS = 130


def circuits():
    """Random circuits, rewritten so that every mark of a gate occurs, and how many features they take."""
    for number in range(CIRCUITS):
        drawn = draw(2, number, [Variant.parse("torch")])
        circuit = rewrite(drawn.circuit, np.random.default_rng(number), 2).after
        yield drawn, circuit, drawn.training["data"]["features"]


def tape_of(function, *arguments):
    with qml.queuing.AnnotatedQueue() as queue:
        function(*arguments)
    return qml.tape.QuantumScript.from_queue(queue)


def test_options_are_read_back_and_code_queues_the_same_gates():
    seen = set()
    for drawn, circuit, features in circuits():
        options = drawn.scenario(circuit).circuit_options
        assert read(options) == circuit
        bound = bind(written, drawn.training["wires"], 1, options, {"weights": [drawn.weights]}, features)
        weights, inputs = bound.example()
        names = {"qml": qml, "np": np}
        exec(code.circuit(circuit), names)
        said = tape_of(names["circuit"], [weights["weights"]], inputs)
        assert said.hash == bound.tape(weights, inputs).hash
        seen |= {gate.gate for gate in circuit.gates}
        seen |= {mark for gate in circuit.gates for mark in ("adjoint", "spelled", "control") if getattr(gate, mark)}
    assert {"RX", "QubitChannel", "StatePrep", "adjoint", "spelled", "control"} <= seen


def test_every_gate_of_the_table_is_pennylanes_with_its_wires():
    for name, kind in KINDS.items():
        operation = getattr(qml, name)
        if kind.wires:
            assert operation.num_wires == kind.wires, name
        assert issubclass(operation, qml.operation.Operator)


GOOD = {
    "gates": [{"gate": "RX", "wires": [0], "angles": [[[0.5, "w0"], [0.1]]]}],
    "measured": [{"kind": "expval", "terms": [[1.0, "Z", [0]]]}],
}


def with_gate(**changes):
    return {**GOOD, "gates": [{**GOOD["gates"][0], **changes}]}


def with_measured(**table):
    return {**GOOD, "measured": [table]}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({**GOOD, "measured": []}, "measured"),
        ({**GOOD, "gates": "RX"}, "gates"),
        ({**GOOD, "gates": ["RX"]}, "gates[0]"),
        (with_gate(gate="eval"), "gates[0].gate"),
        (with_gate(further=1), "gates[0]"),
        (with_gate(wires=[0, 0]), "gates[0].wires"),
        (with_gate(wires=[0, 1]), "gates[0].wires"),
        (with_gate(wires=[True]), "gates[0].wires"),
        (with_gate(control=[0], values=[1]), "gates[0].wires"),
        (with_gate(control=[1], values=[]), "gates[0].values"),
        (with_gate(control=[1], values=[2]), "gates[0].values"),
        (with_gate(angles=[]), "gates[0].angles"),
        (with_gate(angles=[[]]), "gates[0].angles[0]"),
        (with_gate(angles=[[["w0"]]]), "gates[0].angles[0]"),
        (with_gate(angles=[[[1.0, "w0]; import os"]]]), "gates[0].angles[0]"),
        (with_gate(power=0), "gates[0].power"),
        (with_gate(word="X"), "gates[0].word"),
        (with_gate(numbers=[1.0, 0.0]), "gates[0].numbers"),
        (with_gate(gate="QubitUnitary", angles=[], numbers=[1.0, 0.0]), "gates[0].numbers"),
        (with_measured(kind="sample", wires=[0]), "measured[0].kind"),
        (with_measured(kind="expval", wires=[0], observable="hermitian", numbers=[1.0]), "measured[0]"),
        (with_measured(kind="expval", terms=[[1.0, "Q", [0]]]), "measured[0].terms[0]"),
        (with_measured(kind="purity", terms=[[1.0, "Z", [0]]]), "measured[0]"),
    ],
)
def test_what_is_no_circuit_is_one_line_with_its_place(options, key):
    assert read(GOOD).options() == GOOD
    with pytest.raises(ScenarioError) as error:
        read(options)
    assert error.value.key == key
    assert "\n" not in str(error.value)


def test_code_of_a_circuit_without_gates_is_a_function():
    names = {"qml": qml, "np": np}
    exec(code.circuit(Written((), read(GOOD).measured)), names)
    assert tape_of(names["circuit"], [np.zeros(1)], np.zeros(1)).operations == []
