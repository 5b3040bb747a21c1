"""The circuits that the reference runs tape by tape: the oracle simulates what PennyLane makes of them.

Those of QNodes that a model's own layers call, in any layer, and those of quantum layers that are no gate program, such
as ones whose gates depend on their inputs. A device of ours stands in place of their own: PennyLane makes the tape and
puts the results together, the oracle computes them. What it does not cover is run by PennyLane's own simulator that has
all there is, never by the device that is judged.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pennylane as qml

from qparity import oracle
from qparity.circuit.expansion import Place, expand, gates, wire_map
from qparity.circuit.observed import Measured, measurements
from qparity.oracle.program import Gate, GateProgram, NotCovered, Parameter
from qparity.oracle.program import measurement as measured_by
from qparity.worker.called import of_a_quantum_layer
from qparity.worker.reference.cannot import CannotStand
from qparity.worker.reference.rounding import disturb

_simulating = [False]
_simulated: dict[str, str | None] = {}
"""The circuits that were run: who simulated one in place of the oracle, and why, or None."""


def install() -> None:
    """Make every QNode ask `simulated` when it is called."""
    call = qml.QNode.__call__

    @functools.wraps(call)
    def called(self: Any, *arguments: Any, **options: Any) -> Any:
        if not _simulating[-1] or of_a_quantum_layer(self):
            return call(self, *arguments, **options)
        if self.shots:
            raise CannotStand(f"the QNode {_name(self)} samples, so it has no exact reference")
        given, named = keras.tree.map_structure(_plain, (arguments, options))
        with _set(False):
            return call(_on_oracle(self), *given, **named)

    qml.QNode.__call__ = called


@contextlib.contextmanager
def _set(simulating: bool) -> Iterator[None]:
    _simulating.append(simulating)
    try:
        yield
    finally:
        _simulating.pop()


simulated = functools.partial(_set, True)
"""While this holds, QNodes are simulated by the oracle."""
left_alone = functools.partial(_set, False)
"""While this holds, QNodes run as they are."""


class OracleDevice(qml.devices.Device):
    """A device that has no gates: the oracle runs a whole tape, batched or not, `beside` what it does not cover."""

    name = "oracle"

    def __init__(self, device: str, wires: Any, circuit: str, floored: bool) -> None:
        super().__init__(wires=wires)
        self.circuit, self.floored = circuit, floored
        self.beside = "default.mixed" if device == "default.mixed" else "default.qubit"

    def execute(self, circuits: Any, execution_config: Any = None) -> Any:
        """The results of each tape; disturbed, where the reference is."""
        return tuple(self._result(tape) for tape in circuits)

    def _result(self, tape: qml.tape.QuantumScript) -> Any:
        try:
            found = simulate(tape, len(self.wires or tape.wires))
            _simulated.setdefault(self.circuit, None)
        except NotCovered as reason:
            _simulated[self.circuit] = f"by {self.beside} (oracle: {reason})"
            (result,) = qml.execute([tape], qml.device(self.beside, wires=self.wires), diff_method=None)
            found = [np.asarray(each) for each in (result if isinstance(result, tuple) else (result,))]
        if self.floored:  # an expectation value of zero is still rounded; of a layer its outputs are
            found = [disturb(each, float(np.sqrt(max(len(tape.operations), 16)))) for each in found]
        found = [each[()] for each in found]
        return found[0] if len(found) == 1 else tuple(found)


def simulate(tape: qml.tape.QuantumScript, wires: int) -> list[np.ndarray]:
    """The measurements of a tape by the oracle, float64: of its batch, (batch, ...), where it has one.

    Raises:
        NotCovered: the oracle does not know a gate or measurement.
    """
    if any(isinstance(each, qml.ops.MidMeasure) for each in tape.operations):
        raise NotCovered("mid-circuit measurements")
    if not all(len(m.wires) or m.obs is not None for m in tape.measurements):
        raise NotCovered("a measurement that names no wires")
    if any(m.numeric_type is complex for m in tape.measurements):
        raise NotCovered("a measurement of complex values")
    labels = [label for label in tape.wires if isinstance(label, int | np.integer)]
    wires = max([wires, len(tape.wires), *(int(label) + 1 for label in labels)])
    circuit, angles = _side_by_side(tape, wires)
    found = oracle.predict(_program(wires, *circuit), [], angles if angles.size else np.zeros((len(angles), 1)))
    shapes = [tuple(m.shape(shots=None, num_device_wires=wires)) for m in tape.measurements]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    if ends[-1] != found.shape[1]:
        raise NotCovered("a measurement of another size")
    parts = np.split(np.asarray(found, np.float64), ends[:-1], axis=1)
    shaped = [part.reshape(len(part), *shape) for part, shape in zip(parts, shapes, strict=True)]
    return shaped if tape.batch_size is not None else [part[0] for part in shaped]


Circuit = tuple[tuple[Place, ...], tuple[Measured, ...], tuple[float, ...]]
"""Gates, measurements, and the coefficients of all their Pauli words."""


def _side_by_side(tape: qml.tape.QuantumScript, wires: int) -> tuple[Circuit, np.ndarray]:
    """The circuit, and its angles, (rows, angles).

    Raises:
        NotCovered: the rows of a batch are not one circuit.
    """
    if tape.batch_size is None:
        circuit, angles = _read(tape, wires)
        return circuit, np.array([angles], np.float64)
    rows, _ = qml.transforms.broadcast_expand(tape)
    circuit, angles = _read(rows[0], wires)
    if any(_measured(row, wires) != circuit[1:] for row in rows):
        raise NotCovered("what is measured differs from row to row of a batch")
    columns = _columns(tape)
    if columns is not None and len(rows) > 1:  # quicker than row by row, and checked at two of them
        ends = [(circuit, angles), _read(rows[-1], wires)]
        if all(each == (circuit, columns[k].tolist()) for k, each in zip((0, -1), ends, strict=True)):
            return circuit, columns
    read = [(circuit, angles), *(_read(row, wires) for row in rows[1:])]
    if any(each != circuit for each, _ in read):
        raise NotCovered("the gates of a batch differ from row to row")
    return circuit, np.array([each for _, each in read], np.float64)


def _columns(tape: qml.tape.QuantumScript) -> np.ndarray | None:
    """The angles of a batch, (rows, angles), as its gates have them side by side; None where one has something else."""
    numbers = [data for gate in tape.operations for one in expand(gate) for data in one.operation.data]
    if not all(np.shape(data) in ((), (tape.batch_size,)) for data in numbers):
        return None
    columns = [np.broadcast_to(np.asarray(data, np.float64), (tape.batch_size,)) for data in numbers]
    return np.stack(columns, axis=1) if columns else None


def _read(tape: qml.tape.QuantumScript, wires: int) -> tuple[Circuit, list[float]]:
    structure, angles = gates(tape, wire_map(tape, wires), {}, False)
    return (tuple(structure), *_measured(tape, wires)), [float(angle) for angle in angles]


def _measured(tape: qml.tape.QuantumScript, wires: int) -> tuple[tuple[Measured, ...], tuple[float, ...]]:
    found, coefficients = measurements(tape, wire_map(tape, wires), wires)
    return tuple(found), tuple(float(number) for number in coefficients)


@functools.lru_cache(maxsize=64)
def _program(
    wires: int, structure: tuple[Place, ...], measured: tuple[Measured, ...], coefficients: tuple[float, ...]
) -> GateProgram:
    """A program whose features are the angles of all gates."""
    angles, numbers = itertools.count(), iter(coefficients)
    made = tuple(
        Gate(
            place.name,
            place.wires,
            tuple(Parameter(inputs=((next(angles), 1.0),)) for _ in range(place.count)),
            place.controls,
            place.numbers,
        )
        for place in structure
    )
    outputs = tuple(measured_by(m.kind, [(next(numbers), word) for word in m.words], m.wires) for m in measured)
    return GateProgram(wires, max(next(angles), 1), (), (), made, outputs).checked()


def device_of_a_layer(layer: Any) -> OracleDevice:
    """The device for a quantum layer that is no gate program."""
    return OracleDevice(layer.device_name, layer.function.labels, layer.name, floored=False)


def _on_oracle(qnode: Any) -> Any:
    """The QNode with our device; made once."""
    if "_on_oracle" not in vars(qnode):
        device = OracleDevice(qnode.device.name, qnode.device.wires or None, _name(qnode), floored=True)
        vars(qnode)["_on_oracle"] = qnode.update(device=device, diff_method=None, interface="auto")
    return vars(qnode)["_on_oracle"]


def _name(qnode: Any) -> str:
    return str(getattr(qnode.func, "__name__", type(qnode.func).__name__))


def _plain(leaf: Any) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(leaf)) if isinstance(leaf, keras.Variable) else leaf


def who_simulated() -> list[str]:
    """Every circuit that has been run tape by tape, and who simulated it: `circuit by the oracle`."""
    return [f"{name} {why_not or 'by the oracle'}" for name, why_not in sorted(_simulated.items())]
