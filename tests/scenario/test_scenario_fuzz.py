"""However mangled the input: a valid result or one printable line, never another exception."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qparity.scenario.errors import ScenarioError
from qparity.scenario.load import parse
from qparity.scenario.matrix import MAX_SCENARIOS
from qparity.scenario.schema import Scenario
from qparity.scenario.validate import validate

SHIPPED = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))]
MANY = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))

# Plausible values of plausible keys, so that examples get past the first check; nonsense is mixed in below.
PLAUSIBLE: dict[str, list[Any]] = {
    "name": ["x", "a-b", "-"],
    "circuit": ["vqe", "iqp", "os:path", "a.b:c"],
    "circuit_options": [{}, {"a": 1}, {"wires": 1}],
    "weight_shapes": [{"w": [2, 3]}, {}],
    "wires": [1, 2, 31],
    "layers": [1, 2, 4, 0],
    "device": ["default.qubit", "lightning.qubit"],
    "diff_method": ["backprop", "adjoint", "best"],
    "shots": [10],
    "dtype": ["float32", "float64"],
    "data": [{"name": "moons"}, {"samples": 3}, {"degree": 2}, {"name": "random", "features": 2}],
    "data.samples": [3, 4],
    "training": [{"epochs": 2}, {"optimizer": {"name": "sgd"}}, {"optimizer": {"beta_1": 0.5}}],
    "training.epochs": [1, 2],
    "training.optimizer": [{"name": "sgd"}, {"learning_rate": 1}, {"momentum": 0.5}],
    "training.optimizer.learning_rate": [0.1, 1],
    "expect": ["ROUNDING", {"torch": "SETUP-FAULT"}, {"torch.x": "ROUNDING"}],
    "name.x": [1],
}
SCALARS = st.one_of(
    st.sampled_from(["", "\u2028\n", "\u0301", "float32", 2**70, float("nan")]),
    st.integers(-3, 40),
    st.floats(),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
NONSENSE = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PLAUSIBLE, "\n", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)
MARKED = ["matrix", "exclude", "scenarios", "variants", "description", "label"]


@st.composite
def fields(draw: st.DrawFn, most: int = 3) -> dict[str, Any]:
    """A table of fields, now and then with something that does not belong."""
    keys = draw(st.lists(st.sampled_from(list(PLAUSIBLE)), max_size=most, unique=True))
    table = {key: draw(st.sampled_from(PLAUSIBLE[key])) for key in keys}
    if draw(st.integers(0, 9)) == 0:
        table[draw(st.sampled_from([*PLAUSIBLE, *MARKED, "\n", "lyers"]))] = draw(NONSENSE)
    return table


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """A whole file, mostly of the right shape."""
    table = {key: value for key, value in draw(fields()).items() if "." not in key}
    if draw(st.booleans()):
        keys = draw(st.lists(st.sampled_from(list(PLAUSIBLE)), max_size=3, unique=True))
        axes = {key: draw(st.lists(st.sampled_from(PLAUSIBLE[key]), min_size=1, max_size=3)) for key in keys}
        axes |= draw(
            st.dictionaries(
                st.sampled_from(["axis", "simulator"]), st.lists(fields(), min_size=1, max_size=3), max_size=1
            )
        )
        table["matrix"] = axes
    for key in draw(st.lists(st.sampled_from(["exclude", "scenarios"]), max_size=2, unique=True)):
        table[key] = draw(st.lists(fields(2), min_size=1, max_size=2))
    if draw(st.integers(0, 9)) == 0:
        table[draw(st.sampled_from(MARKED))] = draw(NONSENSE)
    return table


def check(content: bytes) -> None:
    try:
        file = parse(content, Path("x.toml"))
    except ScenarioError as error:
        line = str(error)
    else:
        line = ""
        assert 0 < len(file.scenarios) <= MAX_SCENARIOS
        assert file.variants
        for scenario in file.scenarios[:20]:
            assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    assert line.isprintable()
    assert not line or (line.startswith("x.toml: ") and "expected " in line)


def toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return str(value).lower()
    return str(value)


def lines(table: dict[str, Any]) -> bytes:
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items()).encode()


@MANY
@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    check(content)


@MANY
@given(st.text(max_size=60))
def test_any_text(content: str) -> None:
    check(content.encode(errors="surrogatepass"))


@MANY
@given(files())
def test_any_file(table: dict[str, Any]) -> None:
    check(lines(table))


PIECES = st.binary(max_size=4) | NONSENSE.map(lambda value: toml(value).encode())


@MANY
@given(st.sampled_from(SHIPPED), st.lists(st.tuples(st.integers(0), st.integers(0, 12), PIECES), max_size=3))
def test_mutated_files(content: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    for at, length, piece in cuts:
        start = at % (len(content) + 1)
        content = content[:start] + piece + content[start + length :]
    check(content)


@MANY
@given(st.sampled_from(SHIPPED), fields(1), st.booleans())
def test_shipped_files_with_another_line(content: bytes, table: dict[str, Any], in_last_table: bool) -> None:
    check(content + b"\n" + lines(table) if in_last_table else lines(table) + content)


@MANY
@given(st.dictionaries(st.sampled_from([*PLAUSIBLE, "lyers"]), NONSENSE | st.text(), max_size=2), fields())
def test_any_python_table(wrong: dict[str, Any], table: dict[str, Any]) -> None:
    line = ""
    try:
        validate({"name": "x", **table, **wrong})
    except ScenarioError as error:
        line = str(error)
    assert line.isprintable()
