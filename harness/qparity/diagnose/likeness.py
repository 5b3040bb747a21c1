"""What wrong numbers look like: known mistakes, each tried against the recordings of the faulty step.

A likeness is said only where it gives all numbers of the step to within what rounding allows. It says what would give
them, not that nothing else could. Nothing is run but the oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from qparity import oracle
from qparity.diagnose.script import gate_lines
from qparity.diagnose.subject import Subject
from qparity.oracle.program import Gate, GateProgram
from qparity.parity.boundary import values_at
from qparity.parity.comparison import ORACLE, Comparison
from qparity.parity.types import Stage

MOST_WIRES, MOST_GATES = 6, 200
"""Larger circuits are not tried with another gate."""
MOST_CIRCUITS = 400
MOST_STEPS = 20
"""How far back weights are looked for."""
ROWS = 16
"""What does not fit these is not tried on the rest of a batch."""
MOST_NAMED = 2
NAMES = {
    Stage.FORWARD: "prediction", Stage.LOSS: "loss", Stage.GRADIENT: "gradient", Stage.UPDATE: "change of the weights",
}  # fmt: skip


def likeness(subject: Subject) -> str:
    """One sentence on the tensor that the judgement names; empty where no known mistake gives its numbers.

    Raises:
        NotCovered: the oracle cannot simulate the circuit.
    """
    comparison = subject.comparison()
    if comparison is None or subject.observation.scenario.shots:
        return ""
    got, expected, tolerance = (_of_step(comparison, array, subject.step) for array in _arrays(comparison))
    if not (np.isfinite(got).all() and np.isfinite(expected).all() and np.isfinite(tolerance).all()):
        return ""
    before = _before(subject, comparison)
    what = NAMES.get(comparison.stage, "") if before is not None or comparison.stage != Stage.UPDATE else ""
    if not what:
        return ""
    start = 0.0 if before is None else before
    samples = subject.rows.stop - subject.rows.start
    said = _of_numbers(got - start, expected - start, tolerance, what, samples) or _of_precision(
        got, expected, subject.observation.dtype, what
    )
    if said or comparison.stage != Stage.FORWARD or comparison.by != ORACLE:
        return said
    return _of_circuits(subject, comparison, got, tolerance)


def _arrays(c: Comparison) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return c.got, c.expected, c.tolerance


def _of_step(c: Comparison, array: np.ndarray, step: int) -> np.ndarray:
    """The rows of a step, (rows, elements), in float64."""
    at = int(np.flatnonzero(c.steps == step)[0])
    return np.asarray(array[int(c.offsets[at]) : int(c.offsets[at + 1])], np.float64)


def _before(subject: Subject, comparison: Comparison) -> np.ndarray | None:
    """Of an update of weights, what they were before the step; (1, elements)."""
    if comparison.stage != Stage.UPDATE or (number := subject.weight_of(comparison.tensor)) is None:
        return None
    return np.asarray(subject.trace[f"weights/{number}"][subject.step], np.float64).reshape(1, -1)


def _of_numbers(got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray, what: str, samples: int) -> str:
    """A sign, a factor, zeros, another order."""

    def within(other: np.ndarray, factor: float = 1.0) -> bool:
        return bool((np.abs(got - other) <= tolerance * max(1.0, abs(factor))).all())

    large = np.abs(expected) > 1000 * tolerance
    if not large.any():
        return ""
    every = f"the {what}" if expected.size == 1 else f"every entry of the {what}"
    if not got.any():
        return f"{every} is 0"
    if within(-expected):
        return f"{every} has the opposite sign"
    factor = float((got * expected).sum() / (expected * expected).sum())
    if within(factor * expected, factor) and (large.sum() > 1 or _told(factor, samples)):
        return f"{every} is {_factor(factor)} times what is expected{_told(factor, samples)}"
    if expected.size > 2 and bool((np.abs(np.sort(got, None) - np.sort(expected, None)) <= tolerance.max()).all()):
        return f"the numbers of the {what} are right, in another order"
    return ""


def _factor(factor: float) -> str:
    return f"(1 {'+' if factor > 1 else '-'} {abs(factor - 1):.2g})" if abs(factor - 1) < 1e-3 else f"{factor:.6g}"


def _told(factor: float, samples: int) -> str:
    """What a factor may come from, where it is one that is known."""
    if samples > 1 and np.isclose(factor, samples, rtol=1e-5):
        return f": the batch has {samples} samples, so it looks like a sum in place of a mean"
    if samples > 1 and np.isclose(factor, 1 / samples, rtol=1e-5):
        return f": the batch has {samples} samples, so it looks divided by their number once too often"
    return ""


def _of_precision(got: np.ndarray, expected: np.ndarray, dtype: str, what: str) -> str:
    """Numbers that all went through float32, in a float64 program."""
    short = np.float64(np.float32(expected)) == expected
    if dtype != "float64" or short.all() or not (np.float64(np.float32(got)) == got).all():
        return ""
    if not np.allclose(got, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max())):
        return ""
    return f"every entry of the {what} is a float32 number: it was computed in float32 or cast to it"


def _of_circuits(subject: Subject, c: Comparison, got: np.ndarray, tolerance: np.ndarray) -> str:
    """Predictions that another state of the weights, another order of the samples or another circuit gives."""
    number = subject.layer(c)
    program = subject.program(number).simulated
    inputs, _ = subject.layer_arrays(number)
    weights = subject.layer_weights(number)
    if len(inputs) != len(got):
        return ""

    def gives(circuit: GateProgram, weights: Sequence[np.ndarray]) -> bool:
        return all(fits(circuit, weights, rows) for rows in (slice(ROWS), slice(ROWS, None)) if len(inputs[rows]))

    def fits(circuit: GateProgram, weights: Sequence[np.ndarray], rows: slice) -> bool:
        found = oracle.predict(circuit, weights, inputs[rows]).astype(np.float64)
        return found.shape == got[rows].shape and bool((np.abs(found - got[rows]) <= tolerance[rows]).all())

    read = subject.layers[number].read
    for step in range(subject.step - 1, max(-1, subject.step - 1 - MOST_STEPS), -1):
        if gives(program, [values_at(subject.observation, name, np.array([step]))[0] for name in read]):
            late = subject.step - step
            stale = f"they are stale by {late} step{'' if late == 1 else 's'}"
            return f"every prediction is that of the weights before step {step}: {stale}"
    if gives(program, [w.astype(np.float32).astype(w.dtype) for w in weights]):
        return "every prediction is that of the weights rounded to float32"
    if program.axes > MOST_WIRES or len(program.gates) > MOST_GATES:
        return ""
    found = [said for said, circuit in islice(_others(program), MOST_CIRCUITS) if gives(circuit, weights)]
    if not found:
        return ""
    more = f", or {len(found) - MOST_NAMED} more such changes" if len(found) > MOST_NAMED else ""
    return f"every prediction is that of the circuit with {', or with '.join(found[:MOST_NAMED])}{more}"


def _others(program: GateProgram) -> Iterator[tuple[str, GateProgram]]:
    """The circuit with one gate left out or on other wires, or with all of a name turned round."""
    lines = gate_lines(program)
    for k, (gate, line) in enumerate(zip(program.gates, lines, strict=True)):
        head, tail = program.gates[:k], program.gates[k + 1 :]
        for wires in _other_wires(gate, program.wires):
            moved = replace(program, gates=(*head, replace(gate, wires=wires), *tail))
            yield f"gate {k}, {line}, on {_wires(wires)}", moved
        yield f"gate {k}, {line}, left out", replace(program, gates=(*head, *tail))
    names = [gate.name for gate in program.gates if len(gate.wires) == 2]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        gates = (replace(g, wires=g.wires[::-1]) if g.name == name else g for g in program.gates)
        yield f"every {name} turned round", replace(program, gates=tuple(gates))


def _other_wires(gate: Gate, count: int) -> Iterator[tuple[int, ...]]:
    if len(gate.wires) == 1:
        yield from ((wire,) for wire in range(count) if wire != gate.wires[0])
    elif len(gate.wires) == 2:
        yield gate.wires[::-1]


def _wires(wires: Sequence[int]) -> str:
    return f"wire {wires[0]}" if len(wires) == 1 else f"wires {', '.join(map(str, wires))}"
