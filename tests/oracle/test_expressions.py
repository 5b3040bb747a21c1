"""Angles that are computed: derivatives against differences, and rounding against what float32 makes of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qparity.oracle.expressions import FUNCTIONS, Kink, Node, bounds, formula, problem, pulled, values
from tests.oracle.programs import random_program, read

ROWS = 50


@st.composite
def expressions(draw, most=8):
    """Two weights and two features, and functions of them and of each other."""
    nodes = [Node("w", (0,)), Node("w", (1,)), Node("i", (0,)), Node("i", (1,)), Node("number", (), 0.75)]
    for _ in range(draw(st.integers(1, most))):
        name = draw(st.sampled_from(sorted(FUNCTIONS)))
        of = tuple(draw(st.integers(0, len(nodes) - 1)) for _ in range(FUNCTIONS[name].operands))
        nodes.append(Node(name, of))
    return tuple(nodes)


def columns(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {kind: rng.uniform(0.1, 0.9, (2, ROWS)).astype(np.float32).astype(dtype) for kind in "wi"}


def gradient(expression, read):
    total = {(kind, k): np.zeros(ROWS, read["i"].dtype) for kind in "wi" for k in range(2)}
    for kind, k, slope in pulled(expression, read, np.ones(ROWS, read["i"].dtype)):
        total[kind, k] = total[kind, k] + slope
    return total


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_that_of_numpy_and_its_slope_the_slope_of_its_values(name):
    function = FUNCTIONS[name]
    rng = np.random.default_rng(3)
    low = 1.1 if name == "arccosh" else 0.1
    points = [rng.uniform(low, low + 0.8, 20).astype(np.longdouble) for _ in range(function.operands)]
    result = function.value(*points)
    np.testing.assert_allclose(result.astype(float), getattr(np, name)(*(p.astype(float) for p in points)), rtol=1e-14)
    step = np.longdouble(2) ** -20
    for k, slope in enumerate(function.slopes(result, *points)):
        up, down = ([p + sign * step * (j == k) for j, p in enumerate(points)] for sign in (1, -1))
        expected = (function.value(*up) - function.value(*down)) / (2 * step)
        np.testing.assert_allclose(
            np.broadcast_to(slope, expected.shape).astype(float), expected.astype(float), atol=1e-9
        )


@settings(max_examples=150, deadline=None)
@given(expressions(), st.integers(0, 1000))
def test_float32_stays_within_what_is_said_of_its_rounding(expression, seed):
    """The running error of values and derivatives holds, and is not beyond all measure of what correct code does."""
    try:
        said = bounds(expression, columns(seed))
    except Kink:
        return
    exact, single = columns(seed, np.longdouble), columns(seed, np.float32)
    unit = 2.0**-24
    if not (said.error * unit < 1e-3 * (np.abs(said.value) + 1)).all():
        return  # of first order alone
    off = np.abs(values(expression, single)[-1].astype(np.longdouble) - values(expression, exact)[-1])
    assert (off <= unit * said.error * (1 + 1e-3) + 1e-30).all()
    mine, theirs = gradient(expression, single), gradient(expression, exact)
    for name, (size, error) in said.slopes.items():
        np.testing.assert_allclose(size, np.abs(theirs[name]).astype(float), rtol=1e-6, atol=1e-9 * error.max())
        small = error * unit < 1e-3 * (size + error.max() * unit + 1e-6)
        off = np.abs(mine[name].astype(np.longdouble) - theirs[name])
        assert (off <= unit * error * (1 + 1e-2) + 1e-30)[small].all()


def test_a_saturated_tanh_may_lose_its_derivative_and_no_other_may():
    """1 - tanh^2 is zero in float64 at 20, where the derivative is 2e-17: that is rounding. An arctan's is 2e-3."""
    read = {"w": np.full((1, 1), 20.0), "i": np.zeros((0, 1))}
    saturated = bounds((Node("w", (0,)), Node("tanh", (0,))), read).slopes["w", 0]
    assert saturated[0] < 1e-16 < 2**-53 * saturated[1] < 1e-14
    plain = bounds((Node("w", (0,)), Node("arctan", (0,))), read).slopes["w", 0]
    assert plain[1] < 20 * plain[0]


@pytest.mark.parametrize(
    "nodes",
    [
        (
            *(Node("w", (0,)), Node("i", (0,)), Node("multiply", (0, 1)), Node("number", (), 0.25)),
            *(Node("subtract", (2, 3)), Node("absolute", (4,))),
        ),
        (Node("w", (0,)), Node("log", (0,)), Node("sqrt", (1,))),
        (Node("w", (0,)), Node("number", (), 0.25), Node("remainder", (0, 1))),
    ],
)
def test_where_an_expression_is_not_smooth_it_is_not_judged(nodes):
    read = {"w": np.full((1, 2), 0.5), "i": np.full((1, 2), 0.5)}
    with pytest.raises(Kink):
        bounds(nodes, read)


def test_a_number_that_occurs_twice_moves_both():
    read = {"w": np.full((1, 1), 3.0), "i": np.zeros((0, 1))}
    square = (Node("w", (0,)), Node("multiply", (0, 0)))
    assert gradient_of(square, read) == 6.0
    assert gradient_of((Node("w", (0,)), Node("divide", (0, 0))), read) == 0.0
    assert bounds(square, read).slopes["w", 0][0] == 6.0


def gradient_of(expression, read):
    return float(sum(slope for _, _, slope in pulled(expression, read, np.ones(1)))[0])


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([Node("w", (6,))], "reads 'w' number [6], of which there are 6"),
        ([Node("i", ())], "reads 'i' number []"),
        ([Node("evil")], "a node 'evil', which is no function here"),
        ([Node("w", (0,)), Node("sin", (1,))], "sin of nodes [1], expected 1 below 1"),
        ([Node("w", (0,)), Node("add", (0,))], "add of nodes [0], expected 2 below 1"),
    ],
)
def test_a_malformed_expression_is_one_line(nodes, said):
    assert said in (problem(tuple(nodes), 6, 2) or "")
    program = random_program(0)
    written = [{"name": n.name, "of": list(n.of), "number": n.number} for n in nodes]
    program["gates"][0]["params"] = [{"expression": written}]
    with pytest.raises(ValueError, match="gate program: RY: "):
        read(program)


def test_the_formula_of_an_expression_computes_it():
    nodes = (Node("w", (0,)), Node("i", (0,)), Node("multiply", (0, 1)), Node("arctan", (2,)), Node("number", (), 2.0))
    nodes += (Node("power", (3, 4)), Node("negative", (5,)))
    text = formula(nodes, lambda kind, k: {"w": "weights[0]", "i": "x"}[kind], "np.")
    assert eval(text, {"weights": [0.5], "x": 1.5, "np": np}) == -(np.arctan(0.75) ** 2)


def test_a_formula_is_not_written_where_sharing_would_make_it_endless():
    nodes = (Node("w", (0,)), *(Node("multiply", (k, k)) for k in range(40)))
    with pytest.raises(ValueError, match="characters"):
        formula(nodes, lambda kind, k: "w")
