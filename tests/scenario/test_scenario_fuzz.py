"""However mangled the input: a valid result or one printable line, never another exception."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.scenario.errors import ScenarioError
from harness.scenario.load import parse
from harness.scenario.matrix import MAX_SCENARIOS
from harness.scenario.schema import Scenario
from harness.scenario.validate import validate

SHIPPED = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))]
MANY = settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))

KEYS = st.sampled_from(
    [
        *Scenario.model_fields,
        "description",
        "variants",
        "matrix",
        "exclude",
        "scenarios",
        "label",
        "optimizer",
        "epochs",
        "samples",
        "learning_rate",
        "beta_1",
        "momentum",
        "weights",
        "torch",
        "training.epochs",
        "data.name",
        "name.x",
        "axis",
    ]
)
SCALARS = st.one_of(
    st.sampled_from(
        ["fourier", "moons", "vqe", "adam", "sgd", "tf", "jax-jit@gpu", "lightning.qubit", "backprop", "adjoint"]
    ),
    st.sampled_from(["float32", "stock", "energy", "ROUNDING", "os:path", "a.b:c", "", "\u2028\n", "\u0301"]),
    st.integers(-3, 40),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
TABLES = st.dictionaries(KEYS | st.text(max_size=6), VALUES, max_size=6)


def check(content: bytes) -> None:
    try:
        file = parse(content, Path("x.toml"))
    except ScenarioError as error:
        assert str(error).startswith("x.toml: ")
        assert ": expected " in str(error)
        assert str(error).isprintable()
        return
    assert 0 < len(file.scenarios) <= MAX_SCENARIOS
    assert file.variants
    for scenario in file.scenarios[:50]:
        assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario


def toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case float() if value != value or abs(value) == float("inf"):
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


@MANY
@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    check(content)


@MANY
@given(st.text(max_size=60))
def test_any_text(content: str) -> None:
    check(content.encode(errors="surrogatepass"))


@MANY
@given(TABLES)
def test_any_table(table: dict[str, Any]) -> None:
    check("\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items()).encode())


@MANY
@given(
    st.sampled_from(SHIPPED),
    st.lists(
        st.tuples(
            st.integers(0),
            st.integers(0, 12),
            st.binary(max_size=4) | SCALARS.map(lambda v: toml(v).encode("utf-8", "replace")),
        ),
        max_size=3,
    ),
)
def test_mutated_files(content: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    for at, length, replacement in cuts:
        start = at % (len(content) + 1)
        content = content[:start] + replacement + content[start + length :]
    check(content)


@MANY
@given(st.sampled_from(SHIPPED), KEYS, VALUES, st.booleans())
def test_valid_files_with_a_foreign_value(content: bytes, key: str, value: Any, in_matrix: bool) -> None:
    line = f"{json.dumps(key)} = {toml(value)}\n".encode("utf-8", "replace")
    check(content + b"\n" + line if in_matrix else line + content)


@MANY
@given(TABLES)
def test_any_python_table(table: dict[str, Any]) -> None:
    try:
        validate({"name": "x", **table})
    except ScenarioError as error:
        assert str(error).isprintable()
