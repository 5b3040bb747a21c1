"""A quantum function that computes with NumPy, run on a framework's tensors: by what it computes, not by its code.

`qml.RY(np.sin(weights[0]), 0)` fails on tensors, or loses their gradients. Traced once on numbers that remember how
they were made (`tracing`), it is gates with expressions, and those any framework can evaluate.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from pennylane.ops.functions import bind_new_parameters

from qparity.circuit.definition import BoundCircuit
from qparity.circuit.errors import one_line
from qparity.circuit.expansion import Applied, expand
from qparity.circuit.program import checked_tape
from qparity.circuit.tracing import Traced, expression
from qparity.oracle.expressions import Expression
from qparity.oracle.program import NotCovered

OPERATORS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "power": operator.pow, "remainder": operator.mod, "negative": operator.neg, "absolute": operator.abs,
}  # fmt: skip
Numbers = tuple[Expression | float, ...]


def on_tensors(bound: BoundCircuit) -> BoundCircuit:
    """The same circuit as gates whose angles are computed by `qml.math` from weights and inputs, one sample or many.

    Raises:
        NotCovered: the function is not made of expressions (see `program`), measures something in the middle, or
            prepares a state from what it computes.
    """
    tape = checked_tape(bound)
    try:
        gates = [(one, _numbers(one.operation)) for each in tape.operations for one in expand(each, phases=True)]
        measured = [(each, _numbers(each.obs) if each.obs is not None else ()) for each in tape.measurements]
    except Exception as error:  # PennyLane's, of a matrix of such numbers, say
        raise NotCovered(one_line(error)) from error
    places = [(name, index) for name, shape in bound.weight_shapes.items() for index in np.ndindex(*shape)]

    def function(weights: dict[str, Any], inputs: Any) -> list[Any]:
        def read(kind: str, number: int) -> Any:
            if kind == "i":
                return inputs[..., number]
            name, index = places[number]
            return weights[name][index] if index else weights[name]

        def value(each: Expression | float) -> Any:
            return each if isinstance(each, float) else _evaluated(each, read)

        for one, numbers in gates:
            with qml.QueuingManager.stop_recording():
                operation = bind_new_parameters(one.operation, [value(each) for each in numbers])
            Applied(operation, one.controls).queue()
        return [_remeasured(each, [value(number) for number in numbers]) for each, numbers in measured]

    return dataclasses.replace(bound, function=function)


def _remeasured(measurement: Any, numbers: Sequence[Any]) -> Any:
    if measurement.obs is None or not numbers:
        return qml.apply(measurement)
    with qml.QueuingManager.stop_recording():
        observable = bind_new_parameters(measurement.obs, numbers)
    return type(measurement)(obs=observable)


def _numbers(operation: Any) -> Numbers:
    """The parameters of an operation or observable; raises NotCovered where one is an array of computed numbers."""
    found: list[Any] = []
    for datum in operation.data:
        array = np.asarray(datum)
        if array.dtype != object:
            found.append(datum)
        elif array.shape == () and isinstance(array.item(), Traced):
            found.append(expression(array.item()))
        else:
            raise NotCovered(f"{operation.name} of an array of computed numbers")
    return tuple(found)


def _evaluated(nodes: Expression, read: Callable[[str, int], Any]) -> Any:
    values: list[Any] = []
    for node in nodes:
        if node.name in ("w", "i"):
            values.append(read(node.name, node.of[0]))
        elif node.name == "number":
            values.append(node.number)
        else:
            function = OPERATORS.get(node.name) or getattr(qml.math, node.name)
            values.append(function(*(values[each] for each in node.of)))
    return values[-1]
