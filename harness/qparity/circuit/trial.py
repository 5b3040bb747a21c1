"""A circuit tried on NumPy arrays when its layer is made, so that its errors come then and not at the first batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pennylane as qml
from scipy.sparse import issparse

from qparity.circuit.definition import BoundCircuit
from qparity.circuit.device import make_device
from qparity.circuit.errors import CircuitError, UnsupportedError, one_line
from qparity.circuit.measured import as_list
from qparity.circuit.parameters import same

# simulators on which a trial costs next to nothing, up to how many wires
TRANSFORMS = {
    "parameter-shift": qml.gradients.param_shift,
    "finite-diff": qml.gradients.finite_diff,
    "hadamard": qml.gradients.hadamard_grad,
    "spsa": qml.gradients.spsa_grad,
}
TRIED = {"default.qubit": 10, "default.mixed": 5, "reference.qubit": 10, "lightning.qubit": 12}


def can_be_tried(bound: BoundCircuit, device: str) -> bool:
    """Whether a circuit of this size is cheap enough on this device to be tried unasked."""
    return bound.wires <= TRIED.get(device, 0)


def simulate(bound: BoundCircuit, device: str, shots: int | None, tape: qml.tape.QuantumScript) -> list[Any]:
    """The measurements of a tape of NumPy arrays, on a new device, so that the layer's own sampler does not move."""
    simulator = make_device(device, bound.labels, {}, {"seed": 0})
    (result,) = qml.execute([tape.copy(shots=shots)], simulator, diff_method=None, interface="numpy")
    return as_list(result)


def try_one_sample(bound: BoundCircuit, device: str, shots: int | None) -> None:
    """Run one sample, where that is cheap.

    Raises:
        UnsupportedError: the device cannot. CircuitError: a value that should be real is complex.
    """
    if not can_be_tried(bound, device):
        return
    tape = bound.tape()
    try:
        results = simulate(bound, device, shots, tape)
    except Exception as error:
        cure = ""
        if isinstance(error, qml.wires.WireError) and (count := sum(map(_is_midway, tape.operations))):
            cure = (
                f": a wire that is measured and used again takes another: declare up to wires = {bound.wires + count}"
            )
        raise UnsupportedError(f"{device} cannot run the circuit ({one_line(error)[:400]}){cure}") from error
    for measurement, result in zip(tape.measurements, results, strict=True):
        shape = measurement.shape(shots=shots, num_device_wires=bound.wires)
        if np.size(result) != np.prod(shape):
            raise CircuitError(f"{measurement}: {device} returns {np.shape(result)}, expected {shape}")
        if measurement.numeric_type is not complex and np.iscomplexobj(result) and np.any(np.imag(result)):
            raise CircuitError(f"{measurement}: its value is complex, a layer's outputs are real")


def _is_midway(operation: Any) -> bool:
    return "MidMeasure" in type(operation).__name__


def try_gradient(
    bound: BoundCircuit, device: Any, method: str, options: Mapping[str, Any], shots: int | None, interface: str
) -> None:
    """Differentiate one sample by a gradient transform, in one parameter of each kind of gate that weights move.

    On torch as PennyLane does there; elsewhere on NumPy arrays, by autograd.

    Raises:
        UnsupportedError: the transform refuses a gate or a measurement, or breaks over what it computed.
    """
    (weights, inputs), (other_weights, other_inputs) = bound.example(), bound.example(1)
    points = (weights, inputs), (other_weights, inputs if weights else other_inputs)
    try:
        tape, moved = (_expanded(TRANSFORMS[method], bound.tape(*point).copy(shots=shots), options) for point in points)
        trainable = _one_of_each_kind(tape, moved)

        def total(parameters: Any, numbers: Any) -> Any:
            filled = tape.bind_new_parameters(parameters, numbers)
            (result,) = qml.execute([filled], device, method, interface, gradient_kwargs=options)
            results = result if len(tape.measurements) > 1 else [result]  # autograd's sequences are no tuples
            return sum(qml.math.sum(qml.math.real(each)) for each in results)

        if interface == "torch":
            total(*_torch_parameters(tape, trainable)).backward()
        elif trainable:
            interface = "autograd"
            given = tape.get_parameters(trainable_only=False)
            qml.grad(lambda *chosen: total(chosen, trainable))(*(qml.numpy.array(given[k]) for k in trainable))
    except Exception as error:
        raise UnsupportedError(f"{method} cannot differentiate the circuit ({one_line(error)[:400]})") from error


def _torch_parameters(tape: qml.tape.QuantumScript, trainable: list[int]) -> tuple[list[Any], list[int]]:
    import torch

    parameters = tape.get_parameters(trainable_only=False)
    tensors = [each if issparse(each) else torch.as_tensor(np.asarray(each)) for each in parameters]
    for number in trainable:
        tensors[number].requires_grad_()
    return tensors, list(range(len(tensors)))


def _expanded(transform: Any, tape: qml.tape.QuantumScript, options: Mapping[str, Any]) -> qml.tape.QuantumScript:
    if not transform.expand_transform:
        return tape
    (expanded,), _ = transform.expand_transform(tape, **options)
    return expanded


def _one_of_each_kind(tape: qml.tape.QuantumScript, moved: qml.tape.QuantumScript) -> list[int]:
    """Numbers of parameters that differ between two tapes, one for each name of gate or observable."""
    first: dict[str, int] = {}
    pairs = zip(tape.get_parameters(trainable_only=False), moved.get_parameters(trainable_only=False), strict=False)
    for number, (here, there) in enumerate(pairs):
        if not same(here, there):
            first.setdefault(tape.par_info[number]["op"].name, number)
    return sorted(first.values())
