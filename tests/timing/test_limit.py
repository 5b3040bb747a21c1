"""The machine's limit: exact counts on circuits counted by hand, and what decides which resource binds."""

import pytest

from qparity.oracle.program import Gate, Parameter
from qparity.records import Program
from qparity.records.timing import Rates
from qparity.timing import Machine, least_step_s
from qparity.timing.limit import Work, gate_work, step_work


def gate(name, *wires, weights=(), inputs=()):
    return Gate(name, wires, (Parameter(0.0, weights, inputs),) if weights or inputs else ())


GATES = (gate("RX", 0, inputs=((0, 1.0),)), gate("RY", 1, weights=((0, 1.0),)), gate("CNOT", 0, 1))
PROGRAM = Program(wires=3, gates=GATES)
SLOW_ARITHMETIC = Machine({"float64": 1.0, "float32": 2.0}, {1: 1e30})
SLOW_MEMORY = Machine({"float64": 1e30, "float32": 1e30}, {1: 1.0})


@pytest.mark.parametrize(
    ("name", "wires", "flops", "passes"),
    [
        ("RX", [0], 6, 2),
        ("CNOT", [0, 1], 0, 1),
        ("Toffoli", [0, 1, 2], 0, 0.5),
        ("CRZ", [0, 1], 3, 1),
        ("Hadamard", [0], 4, 2),
        ("Rot", [0], 14, 2),  # one dense matrix is less than its three rotations
        ("Identity", [0], 0, 0),
    ],
)
def test_gates_counted_by_hand(name, wires, flops, passes):
    assert gate_work(name, wires) == Work(flops, passes)


@pytest.mark.parametrize(
    ("method", "flops", "passes"),
    [("adjoint", 2 * 12 + 8, 2 * 5 + 1), ("parameter-shift", 3 * 12, 3 * 5), ("finite-diff", 2 * 12, 2 * 5)],
)
def test_a_gradient_costs_what_its_method_repeats(method, flops, passes):
    assert step_work(PROGRAM, method) == Work(flops, passes)


def test_time_is_that_of_the_resource_that_binds():
    amplitudes = 2**3 * 5
    assert least_step_s([PROGRAM], 5, "float64", "default.qubit", "backprop", SLOW_ARITHMETIC) == amplitudes * 32
    assert least_step_s([PROGRAM], 5, "float32", "default.qubit", "backprop", SLOW_ARITHMETIC) == amplitudes * 16
    assert least_step_s([PROGRAM], 5, "float64", "default.qubit", "backprop", SLOW_MEMORY) == 16 * amplitudes * 11
    assert least_step_s([PROGRAM] * 2, 5, "float32", "default.qubit", "adjoint", SLOW_MEMORY) == 2 * 8 * amplitudes * 11


def test_a_density_matrix_has_the_square_of_amplitudes_and_two_sides():
    pure, mixed = (
        least_step_s([PROGRAM], 1, "float64", device, "backprop", SLOW_ARITHMETIC)
        for device in ("default.qubit", "default.mixed")
    )
    assert mixed == pure * 2**3 * 2


def test_a_circuit_that_is_not_known_has_no_limit():
    unknown = Program(not_covered="QFT")
    assert least_step_s([unknown], 1, "float64", "default.qubit", "backprop", SLOW_MEMORY) is None


def test_the_bandwidth_is_that_of_the_working_set():
    machine = Machine.of(Rates({"float64": 1}, {"100": 9.0, "1000": 4.0, "10000": 1.0}))
    assert [machine.bandwidth(size) for size in (1, 100, 101, 5000, 1e9)] == [9, 9, 4, 1, 1]
    with pytest.raises(ValueError, match="positive"):
        Machine.of(Rates({"float64": 0}, {"100": 1.0}))
