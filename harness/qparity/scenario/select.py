"""The `-k` expression: which cells to keep, by words with `and`, `or`, `not`, parentheses, as in pytest."""

import re
from collections.abc import Callable

from qparity.scenario.errors import ScenarioError

Selector = Callable[..., bool]
_MAX_WORDS = 100


def selector(expression: str) -> Selector:
    """A predicate on tags (scenario name, variant): a word holds if it is part of any, whatever the case."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    if not tokens or len(tokens) > _MAX_WORDS:
        raise _wrong(f"1 to {_MAX_WORDS} words", expression)
    rest = tokens[::-1]  # the next token is the last: a recursive descent over three levels
    parsed = _either(rest, expression)
    if rest:
        raise _wrong(f"and, or, or the end before {rest[-1]}", expression)
    return parsed


def _either(rest: list[str], expression: str) -> Selector:
    left = _both(rest, expression)
    while rest and rest[-1] == "or":
        rest.pop()
        left = _or(left, _both(rest, expression))
    return left


def _both(rest: list[str], expression: str) -> Selector:
    left = _one(rest, expression)
    while rest and rest[-1] == "and":
        rest.pop()
        left = _and(left, _one(rest, expression))
    return left


def _one(rest: list[str], expression: str) -> Selector:
    token = rest.pop() if rest else "the end"
    if token == "not":
        inner = _one(rest, expression)
        return lambda *tags: not inner(*tags)
    if token == "(":
        inner = _either(rest, expression)
        if not rest or rest.pop() != ")":
            raise _wrong("a closing parenthesis", expression)
        return inner
    if token in ("and", "or", ")", "the end"):
        raise _wrong(f"a word instead of {token}", expression)
    return lambda *tags: any(token.lower() in tag.lower() for tag in tags)


def _and(left: Selector, right: Selector) -> Selector:
    return lambda *tags: left(*tags) and right(*tags)


def _or(left: Selector, right: Selector) -> Selector:
    return lambda *tags: left(*tags) or right(*tags)


def _wrong(expected: str, expression: str) -> ScenarioError:
    return ScenarioError(expected, key="-k", value=expression)
