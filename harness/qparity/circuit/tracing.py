"""What a quantum function computes its angles by: it is run once on numbers that remember how they were made.

NumPy's functions, and PennyLane's, work on arrays of such numbers element by element. A number that is turned into a
plain one (by `float`, in an array of floats) is a constant from there on: whoever asks has to compare other points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import autoray
import numpy as np
import pennylane as qml

from qparity.oracle.expressions import FUNCTIONS, MOST_NODES, Expression, Node
from qparity.oracle.program import NotCovered

Plain = (int, float, np.integer, np.floating)


class Compared(NotCovered):
    """What is computed may depend on how numbers compare, which no expression says."""

    def __init__(self) -> None:
        super().__init__("the quantum function compares weights or inputs")


class Traced:
    """A real number, and what it was computed from: `name` is a node's, `of` its operands."""

    __slots__ = ("name", "of", "value")
    __hash__ = object.__hash__

    def __init__(self, name: str, value: float, of: tuple[Any, ...] = ()) -> None:
        self.name, self.value, self.of = name, value, of

    def __float__(self) -> float:
        return float(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:  # by chance alone
        return bool(self.value == _plain(other))

    def __lt__(self, other: Any) -> bool:
        raise Compared

    __le__ = __gt__ = __ge__ = __lt__

    def __pos__(self) -> Traced:
        return self

    def conjugate(self) -> Traced:
        """Itself, as of every real number."""
        return self

    conj = conjugate

    @property
    def real(self) -> Traced:
        """Itself."""
        return self

    @property
    def imag(self) -> float:
        """0."""
        return 0.0

    def rad2deg(self) -> Traced:
        """From radians to degrees."""
        return computed("multiply", self, 180 / np.pi)

    def deg2rad(self) -> Traced:
        """From degrees to radians."""
        return computed("multiply", self, np.pi / 180)

    degrees, radians = rad2deg, deg2rad


def computed(name: str, *operands: Any) -> Any:
    """A function of traced numbers and plain ones; `NotImplemented` of anything else, which then has its own turn."""
    if not all(isinstance(each, (Traced, *Plain)) for each in operands):
        return NotImplemented
    with np.errstate(all="ignore"):
        value = FUNCTIONS[name].value(*(np.float64(_plain(each)) for each in operands))
    return Traced(name, float(value), operands)


def _plain(number: Any) -> Any:
    return number.value if isinstance(number, Traced) else number


def _operator(name: str, turned: bool) -> Callable[..., Any]:
    def apply(self: Traced, *others: Any) -> Any:
        if name == "multiply" and isinstance(others[0], qml.operation.Operator):
            return qml.s_prod(self, others[0], lazy=False)
        return computed(name, *others, self) if turned else computed(name, self, *others)

    return apply


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "mod": "remainder",
    "neg": "negative", "abs": "absolute",
}  # fmt: skip
for _name in FUNCTIONS:  # NumPy calls the method of its own name on an element
    setattr(Traced, _name, _operator(_name, False))
for _name, _of in _OPERATORS.items():
    setattr(Traced, f"__{_name}__", _operator(_of, False))
    if FUNCTIONS[_of].operands == 2:
        setattr(Traced, f"__r{_name}__", _operator(_of, True))
autoray.register_backend(Traced, "numpy")


def traced(kind: str, numbers: np.ndarray, first: int = 0) -> np.ndarray:
    """An array of traced numbers of a kind, "w" or "i", counted from `first`."""
    found = np.empty(numbers.shape, object)
    for k, (place, value) in enumerate(np.ndenumerate(numbers)):
        found[place] = Traced(kind, float(value), (first + k,))
    return found


def expression(number: Traced | float) -> Expression:
    """What a number was computed by; what occurs more than once stands there once.

    Raises:
        NotCovered: it has more than `MOST_NODES` nodes.
    """
    nodes: list[Node] = []
    places: dict[int, int] = {}
    known: dict[Node, int] = {}
    stack: list[Any] = [number]
    while stack:
        each = stack[-1]
        operands = each.of if isinstance(each, Traced) and each.name not in ("w", "i") else ()
        missing = [o for o in operands if id(o) not in places]
        if missing:
            stack += missing
            continue
        stack.pop()
        if id(each) in places:
            continue
        node = _node(each, places)
        if node not in known:
            known[node] = len(nodes)
            nodes.append(node)
            if len(nodes) > MOST_NODES:
                raise NotCovered(f"an angle is computed in more than {MOST_NODES} operations")
        places[id(each)] = known[node]
    return tuple(nodes)


def _node(number: Any, places: Mapping[int, int]) -> Node:
    if not isinstance(number, Traced):
        return Node("number", (), float(number))
    if number.name in ("w", "i"):
        return Node(number.name, number.of)
    return Node(number.name, tuple(places[id(each)] for each in number.of))
