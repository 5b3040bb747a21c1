"""A rewritten circuit is the same function: PennyLane says the same numbers, whatever was done."""

from itertools import combinations

import numpy as np
import pennylane as qml

from qparity.circuit.definition import bind
from qparity.circuit.trial import simulate
from qparity.circuit.written import operation, written
from qparity.hunt.draw import draw
from qparity.hunt.rewrites import ADDITIVE, DECOMPOSED, DIAGONAL, IDENTITIES, RULES, WITH_CONTROL, commute, rewrite
from qparity.scenario.variant import Variant
from qparity.scenario.written import KINDS, Gate

CIRCUITS = 120
ANGLES = tuple(((number, ()),) for number in (0.7, -1.3, 2.9))


def gate_of(name: str, wires: int | None = None) -> Gate:
    kind = KINDS[name]
    count = wires or kind.wires or 2
    numbers = (0.6, 0.8, 1.0, 0.0, 0.0, 1.0, -1.0, 0.0) if name == "DiagonalQubitUnitary" else ()
    angles = (ANGLES * 3)[: kind.count(count)]
    return Gate(name, tuple(range(count)), angles, word="XY" if name == "PauliRot" else "", numbers=numbers)


def matrix(*gates: Gate) -> np.ndarray:
    """Their product, as if the first stood first; a decomposition where the gate says so."""
    wires = sorted({wire for gate in gates for wire in gate.axes})
    found = np.eye(2 ** len(wires))
    for gate in gates:
        made = operation(gate, None, None)
        for part in made.decomposition() if gate.spelled else [made]:
            found = qml.matrix(part, wire_order=wires) @ found
    return found


def assert_same(one: np.ndarray, other: np.ndarray, name: str) -> None:
    """But for a global phase."""
    phase = np.vdot(one, other)
    np.testing.assert_allclose(one * phase / abs(phase), other, atol=1e-10, err_msg=name)


def test_random_circuits_predict_the_same_when_rewritten():
    done = set()
    for number in range(CIRCUITS):
        drawn = draw(5, number, [Variant.parse("torch")])
        found = rewrite(drawn.circuit, np.random.default_rng(number), 3)
        assert found.before == drawn.circuit
        assert found.after != drawn.circuit
        device = "default.mixed" if drawn.training["device"] == "default.mixed" else "default.qubit"
        values = []
        for circuit in (found.before, found.after):
            features = drawn.training["data"]["features"]
            bound = bind(written, drawn.training["wires"], 1, circuit.options(), {"weights": [drawn.weights]}, features)
            values.append(np.concatenate([np.ravel(v) for v in simulate(bound, device, None, bound.tape())]))
        np.testing.assert_allclose(values[1], values[0], atol=1e-10, err_msg=f"{number}: {found.rules}")
        done |= set(found.rules)
    assert done == {*RULES, "commuting gates exchanged", "an inverse pair inserted"}


def test_every_identity_is_one():
    for name in IDENTITIES:
        gate = gate_of(name)
        assert_same(matrix(gate), matrix(*RULES["another decomposition"](gate)), name)
    for name in WITH_CONTROL:
        plain = gate_of(name)
        gate = plain.changed(wires=tuple(wire + 1 for wire in plain.wires), control=(0,), values=(1,))
        assert_same(matrix(gate), matrix(*RULES["another decomposition"](gate)), name)


def test_what_pennylane_decomposes_and_what_adds_up_is_listed_rightly():
    for name in DECOMPOSED:
        for controls in (0, 1, 2):
            plain = gate_of(name)
            control = tuple(range(6, 6 + controls))
            gate = plain.changed(control=control, values=(0,) * controls)
            assert_same(matrix(gate), matrix(gate.changed(spelled=True)), f"{controls} x {name}")
    for name in ADDITIVE:
        gate = gate_of(name)
        assert_same(matrix(gate), matrix(*RULES["in halves"](gate)), name)
        back = gate.changed(adjoint=True)
        assert_same(matrix(back), matrix(*RULES["the negative angle"](back)), name)


def test_diagonal_gates_commute_and_gates_on_one_wire_that_are_not_do_not():
    for one, other in combinations([gate_of(name) for name in DIAGONAL], 2):
        assert commute(one, other)
        assert_same(matrix(one, other), matrix(other, one), f"{one.gate}, {other.gate}")
    assert commute(gate_of("RX"), gate_of("RX").changed(wires=(1,)))
    assert not commute(gate_of("RX"), gate_of("RZ"))
    assert not commute(gate_of("RX"), Gate("PauliX", (1,), control=(0,), values=(1,)))
