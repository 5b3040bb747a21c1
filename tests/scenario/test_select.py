"""The -k expression."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qparity.scenario.errors import ScenarioError
from qparity.scenario.select import selector

TAGS = ("fourier-layers2-default.qubit", "jax-jit")


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("fourier", True),
        ("FOURIER", True),
        ("jax", True),
        ("torch", False),
        ("not torch", True),
        ("not not torch", False),
        ("fourier and torch", False),
        ("fourier or torch", True),
        ("torch or torch and fourier or jax", True),
        ("not torch and fourier", True),
        ("not (torch or fourier)", False),
        ("(fourier)and(layers2)", True),
        ("default.qubit and not lightning", True),
    ],
)
def test_words_and_operators(expression: str, kept: bool) -> None:
    assert selector(expression)(*TAGS) is kept


@pytest.mark.parametrize(
    "expression", ["", " ", "and", "a and", "(a", "a)", "a b", "not", "()", "or a", "(" * 5000, "not " * 5000]
)
def test_wrong_expression(expression: str) -> None:
    with pytest.raises(ScenarioError, match=r"-k = .*: expected"):
        selector(expression)


EXPRESSIONS = st.recursive(
    st.sampled_from(["True", "False"]),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=15,
)


@given(EXPRESSIONS)
def test_agrees_with_python(expression: str) -> None:
    tokens = expression.replace("(", " ").replace(")", " ").split()
    if len(tokens) < 50:
        assert selector(expression)("true") is eval(expression)


@given(st.text(max_size=30))
def test_any_text_is_an_expression_or_one_line(text: str) -> None:
    line = ""
    try:
        selector(text)(*TAGS)
    except ScenarioError as error:
        line = str(error)
    assert line.isprintable()
