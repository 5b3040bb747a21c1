"""What is drawn: the same again for the same seed, all that there is, and never a circuit that nobody can train."""

from qparity.hunt.draw import DEVICES, draw
from qparity.scenario.variant import Variant
from qparity.scenario.written import KINDS

VARIANTS = [Variant.parse(name) for name in ("torch", "tf-xla")]
MANY = 1000


def test_a_number_is_always_the_same_circuit():
    assert draw(3, 7, VARIANTS).scenario() == draw(3, 7, VARIANTS).scenario()
    assert draw(3, 7, VARIANTS).scenario() != draw(4, 7, VARIANTS).scenario()
    assert draw(3, 7, VARIANTS).scenario() != draw(3, 8, VARIANTS).scenario()


def test_every_gate_device_and_measurement_is_drawn_and_every_circuit_has_a_weight():
    gates, measured, devices = set(), set(), set()
    for number in range(MANY):
        drawn = draw(0, number, VARIANTS)
        gates |= {gate.gate for gate in drawn.circuit.gates}
        measured |= {m.label for m in drawn.circuit.measured}
        where = drawn.training["device"], drawn.training["diff_method"]
        devices.add(where)
        assert str(drawn.variant) != "tf-xla" or where == ("default.qubit", "backprop")
        assert any(n[0] == "w" for angle in drawn.circuit.parameters for _, names in angle for n in names)
        noisy = any(g.kind.group == "channel" or g.gate == "QubitDensityMatrix" for g in drawn.circuit.gates)
        assert not noisy or where[0] == "default.mixed"
        assert drawn.circuit.axes[-1] < drawn.training["wires"]
    assert gates == set(KINDS)
    assert devices == {(device, method) for device, method, _ in DEVICES}
    assert {"expval", "expval of a sum", "expval of hermitian", "expval of projector", "probs", "purity"} <= measured
    assert {"var", "var of a sum", "var of hermitian", "expval with coefficients"} <= measured
