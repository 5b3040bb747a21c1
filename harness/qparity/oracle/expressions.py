"""Angles that are no quadratic forms, such as `arctan(w x)`: their values, their derivatives, and how both round.

An expression is its nodes, each after those that it reads; the last one is the angle. Values and derivatives are
computed in the dtype of what is read. How far rounding may move them is running error analysis, as in `bounded`: each
node adds what it rounds itself to what its operands carry, in units of u. A library's function is taken to be off by
`FUNCTION` roundings of its result, and by `ARGUMENT` of its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FUNCTION, ARGUMENT = 4.0, 2.0
MOST_NODES = 20_000
DISTURBED = 2.0**-24
"""By how much of an operand's error a derivative's own is asked: far above the rounding of float64, where it is."""
EITHER_SIDE = 2.0**-20
"""So many of its errors from a kink, a number may lie on either side of it, in float32 too."""
READ = ("w", "i")
"""Nodes that read a weight, or a feature."""

Numbers = np.ndarray
Columns = Mapping[str, Numbers]
"""What the nodes of `READ` read: (numbers, rows) each."""


@dataclass(frozen=True, slots=True)
class Node:
    """A weight ("w") or a feature ("i") by its number, a constant ("number"), or a function of earlier nodes."""

    name: str
    of: tuple[int, ...] = ()
    number: float = 0.0


Expression = tuple[Node, ...]


class Kink(ValueError):
    """An expression is not smooth, or not finite, at one of the points it is read at; the message says where."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one or two operands.

    `slopes` gives the derivative in each operand, from the result and the operands. `roundings` are those of the
    result, `argument` those of the operands, `cancels` what the derivative rounds where it is a difference of numbers
    of size 1, all in units of u; `kink` is the distance of the operands from where the function is not smooth.
    """

    value: Callable[..., Numbers]
    slopes: Callable[..., tuple[Numbers | float, ...]]
    roundings: float = FUNCTION
    argument: float = ARGUMENT
    cancels: float = 0.0
    kink: Callable[..., Numbers] | None = None
    operands: int = 1


def _arithmetic(value: Callable[..., Numbers], slopes: Callable[..., tuple[Numbers | float, ...]]) -> Function:
    return Function(value, slopes, 1.0, 0.0, operands=2)


def _whole(a: Numbers, b: Numbers) -> Numbers:
    """How far a is from a multiple of b."""
    return np.asarray(np.abs(a - b * np.rint(a / b)))


_LN2, _LN10 = np.log(np.longdouble(2)), np.log(np.longdouble(10))

FUNCTIONS: dict[str, Function] = {
    "add": _arithmetic(np.add, lambda y, a, b: (1.0, 1.0)),
    "subtract": _arithmetic(np.subtract, lambda y, a, b: (1.0, -1.0)),
    "multiply": _arithmetic(np.multiply, lambda y, a, b: (b, a)),
    "divide": _arithmetic(np.divide, lambda y, a, b: (1 / b, -y / b)),
    "negative": Function(np.negative, lambda y, x: (-1.0,), 0.0, 0.0),
    "absolute": Function(np.abs, lambda y, x: (np.sign(x),), 0.0, 0.0, kink=np.abs),
    "sign": Function(np.sign, lambda y, x: (0.0,), 0.0, 0.0, kink=np.abs),
    "remainder": Function(
        np.remainder, lambda y, a, b: (1.0, -np.floor(a / b)), 1.0, 1.0, kink=_whole, operands=2
    ),
    "power": Function(np.power, lambda y, a, b: (b * np.power(a, b - 1), y * np.log(a)), operands=2),
    "sqrt": Function(np.sqrt, lambda y, x: (0.5 / y,), 1.0, 0.0),
    "exp": Function(np.exp, lambda y, x: (y,)),
    "exp2": Function(np.exp2, lambda y, x: (y * _LN2,)),
    "expm1": Function(np.expm1, lambda y, x: (np.exp(x),), cancels=2.0),
    "log": Function(np.log, lambda y, x: (1 / x,)),
    "log2": Function(np.log2, lambda y, x: (1 / (x * _LN2),)),
    "log10": Function(np.log10, lambda y, x: (1 / (x * _LN10),)),
    "log1p": Function(np.log1p, lambda y, x: (1 / (1 + x),)),
    "sin": Function(np.sin, lambda y, x: (np.cos(x),)),
    "cos": Function(np.cos, lambda y, x: (-np.sin(x),)),
    "tan": Function(np.tan, lambda y, x: (1 + y * y,)),
    "arcsin": Function(np.arcsin, lambda y, x: (1 / np.sqrt((1 - x) * (1 + x)),)),
    "arccos": Function(np.arccos, lambda y, x: (-1 / np.sqrt((1 - x) * (1 + x)),)),
    "arctan": Function(np.arctan, lambda y, x: (1 / (1 + x * x),)),
    "sinh": Function(np.sinh, lambda y, x: (np.cosh(x),)),
    "cosh": Function(np.cosh, lambda y, x: (np.sinh(x),)),
    "tanh": Function(np.tanh, lambda y, x: (1 / np.cosh(x) ** 2,), cancels=2 * FUNCTION),
    "arcsinh": Function(np.arcsinh, lambda y, x: (1 / np.sqrt(x * x + 1),)),
    "arccosh": Function(np.arccosh, lambda y, x: (1 / np.sqrt((x - 1) * (x + 1)),)),
    "arctanh": Function(np.arctanh, lambda y, x: (1 / ((1 - x) * (1 + x)),)),
    "arctan2": Function(
        np.arctan2, lambda y, a, b: (b / (a * a + b * b), -a / (a * a + b * b)), operands=2
    ),
    "hypot": Function(np.hypot, lambda y, a, b: (a / y, b / y), operands=2),
}  # fmt: skip
"""By NumPy's names. A tanh's slope is mostly computed as 1 - y^2, which loses what is below u of 1."""


def problem(expression: Expression, weights: int, features: int) -> str | None:
    """What is wrong with an expression that reads so many weights and features, in words; None if nothing."""
    if len(expression) > MOST_NODES:
        return f"{len(expression)} nodes, at most {MOST_NODES} are expected"
    for k, node in enumerate(expression):
        if node.name in READ:
            limit = weights if node.name == "w" else features
            if len(node.of) != 1 or not 0 <= node.of[0] < limit:
                return f"reads {node.name!r} number {list(node.of)}, of which there are {limit}"
        elif node.name != "number":
            function = FUNCTIONS.get(node.name)
            if function is None:
                return f"a node {node.name!r}, which is no function here"
            if len(node.of) != function.operands or any(not 0 <= each < k for each in node.of):
                return f"{node.name} of nodes {list(node.of)}, expected {function.operands} below {k}"
    return None


def values(expression: Expression, columns: Columns) -> list[Numbers]:
    """The value of each node, (rows,) in the dtype of what is read, or () of constants."""
    real = columns["i"].dtype.type
    found: list[Numbers] = []
    with np.errstate(all="ignore"):
        for node in expression:
            if node.name in READ:
                found.append(columns[node.name][node.of[0]])
            elif node.name == "number":
                found.append(real(node.number))
            else:
                found.append(FUNCTIONS[node.name].value(*(found[each] for each in node.of)))
    return found


def pulled(expression: Expression, columns: Columns, cotangent: Numbers) -> Iterator[tuple[str, int, Numbers]]:
    """The derivative in what each reading node reads, times the cotangent (rows,): kind, number, (rows,)."""
    found = values(expression, columns)
    back: list[Any] = [None] * len(expression)
    back[-1] = cotangent
    with np.errstate(all="ignore"):
        for k in reversed(range(len(expression))):
            node, bar = expression[k], back[k]
            if bar is None:
                continue
            if node.name in READ:
                yield node.name, node.of[0], bar
                continue
            for each, slope in _slopes(expression, node, found[k], found):
                more = bar * slope
                back[each] = more if back[each] is None else back[each] + more


def _slopes(
    expression: Expression, node: Node, result: Numbers, operands: Sequence[Numbers]
) -> Iterator[tuple[int, Numbers | float]]:
    """Each operand that is no constant, once, and the derivative in it."""
    if node.name == "number":
        return
    slopes = FUNCTIONS[node.name].slopes(result, *(operands[o] for o in node.of))
    if len(set(node.of)) < len(node.of):
        yield node.of[0], sum(slopes)
        return
    for each, slope in zip(node.of, slopes, strict=True):
        if expression[each].name != "number":
            yield each, slope


@dataclass(frozen=True)
class Bounds:
    """How an expression and its derivatives round, float64 (rows,): errors are in units of u.

    `slopes` has for each weight and feature that is read the size of the derivative in it and its error.
    """

    value: Numbers
    error: Numbers
    slopes: dict[tuple[str, int], tuple[Numbers, Numbers]]


def bounds(expression: Expression, columns: Columns) -> Bounds:
    """How far rounding may move an expression and its derivatives at the given rows.

    Raises:
        Kink: a node is not smooth within its error of one of the rows, or something is not finite there.
    """
    rows = columns["i"].shape[1]
    columns = {kind: np.asarray(read, np.float64) for kind, read in columns.items()}
    found = [np.broadcast_to(each, (rows,)) for each in values(expression, columns)]
    with np.errstate(all="ignore"):
        errors = _errors(expression, found)
        slopes = _slope_bounds(expression, found, errors)
    everything = [*found, *errors, *(each for pair in slopes.values() for each in pair)]
    if not all(np.isfinite(each).all() for each in everything):
        raise Kink("an angle, or its derivative, is not finite")
    return Bounds(found[-1], errors[-1], slopes)


def _errors(expression: Expression, found: Sequence[Numbers]) -> list[Numbers]:
    """Of each node, (rows,), in units of u."""
    errors: list[Numbers] = []
    for node, value in zip(expression, found, strict=True):
        if node.name in READ or node.name == "number":
            errors.append(np.zeros_like(value))
            continue
        function, operands = FUNCTIONS[node.name], [found[each] for each in node.of]
        carried = [errors[each] + function.argument * np.abs(found[each]) for each in node.of]
        if function.kink and (function.kink(*operands) < EITHER_SIDE * sum(carried)).any():
            raise Kink(f"{node.name} is not smooth where it is read")
        error = function.roundings * np.abs(value)
        moved = dict(_slopes(expression, node, value, found))
        for each, more in zip(node.of, carried, strict=True):
            error = error + np.abs(moved.get(each, 0.0)) * more
        errors.append(error)
    return errors


def _slope_bounds(
    expression: Expression, found: Sequence[Numbers], errors: Sequence[Numbers]
) -> dict[tuple[str, int], tuple[Numbers, Numbers]]:
    """Of each weight and feature that is read, the derivative's size and its error, (rows,) each."""
    back: list[Any] = [None] * len(expression)
    back[-1] = np.ones_like(found[-1]), np.zeros_like(found[-1])
    total: dict[tuple[str, int], tuple[Numbers, Numbers]] = {}
    for k in reversed(range(len(expression))):
        node = expression[k]
        if back[k] is None:
            continue
        bar, of_bar = back[k]
        if node.name in READ:
            size, error = total.get((node.name, node.of[0]), (0.0, 0.0))
            total[node.name, node.of[0]] = size + bar, error + of_bar + np.abs(bar)
            continue
        off = _off(expression, node, found, errors)
        for each, slope in _slopes(expression, node, found[k], found):
            size = bar * slope
            error = np.abs(slope) * of_bar + np.abs(bar) * off[each] + np.abs(size)
            back[each] = (size, error) if back[each] is None else (back[each][0] + size, back[each][1] + error)
    return {read: (np.abs(size), error) for read, (size, error) in total.items()}


def _off(expression: Expression, node: Node, found: Sequence[Numbers], errors: Sequence[Numbers]) -> dict[int, Numbers]:
    """How far each of a node's derivatives may be off, in units of u: by the errors of its operands, and by itself."""
    if node.name == "number":
        return {}
    function, operands = FUNCTIONS[node.name], list(node.of)
    here = dict(_slopes(expression, node, function.value(*(found[o] for o in operands)), found))
    off = {each: function.roundings * np.abs(slope) + function.cancels for each, slope in here.items()}
    for moved in {o for o in operands if expression[o].name != "number"}:
        there = list(found)
        there[moved] = found[moved] + DISTURBED * (errors[moved] + function.argument * np.abs(found[moved]))
        slopes = dict(_slopes(expression, node, function.value(*(there[o] for o in operands)), there))
        for each in off:
            off[each] = off[each] + np.abs(slopes[each] - here[each]) / DISTURBED
    return off


SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "remainder": "%"}
LONGEST = 20_000


def formula(expression: Expression, variable: Callable[[str, int], str], functions: str = "") -> str:
    """An expression as source: what is read is written by `variable`, functions as `functions` and their name.

    Raises:
        ValueError: it would be longer than `LONGEST` characters, as what occurs in several places is repeated there.
    """
    written: list[str] = []
    for node in expression:
        of = [written[each] for each in node.of] if node.name not in READ else []
        if node.name in READ:
            text = variable(node.name, node.of[0])
        elif node.name == "number":
            text = repr(node.number)
        elif node.name in SIGNS:
            text = f"({of[0]} {SIGNS[node.name]} {of[1]})"
        elif node.name == "negative":
            text = f"(-{of[0]})"
        else:
            text = f"{functions}{node.name}({', '.join(of)})"
        if len(text) > LONGEST:
            raise ValueError(f"an angle is more than {LONGEST} characters of source")
        written.append(text)
    return written[-1]
