"""What the schema knows of a key such as `training.batch_size`: if it exists, and words for what it takes.

Errors, the matrix and the reference in the documentation all ask here, so they agree with the schema.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from qparity.scenario.schema import FUNCTION, NAME, Scenario

Path = tuple[str, ...]
Node = dict[str, Any]

_PATTERNS = {
    NAME: "letters, digits, dots, hyphens or underscores",
    FUNCTION: '"package.module:function"',
}


@lru_cache(maxsize=1)
def schema() -> Node:
    """JSON Schema of a scenario."""
    return Scenario.model_json_schema()


def node_at(path: Sequence[str | int]) -> Node | None:
    """The schema of the value at a path, or None where a scenario has no such key."""
    node: Node = schema()
    for key in path:
        found = [inner for each in _alternatives(node) if (inner := _inside(each, key)) is not None]
        if not found:
            return None
        node = found[0]
    return node


def is_table_of_fields(path: Path) -> bool:
    """Whether the value is a table with fields of its own (`data`, `training`, `training.optimizer`)."""
    node = node_at(path)
    return node is not None and bool(names_in(node))


def names_in(node: Node) -> list[str]:
    """The field names of a table; none for anything else."""
    return [name for each in _alternatives(node) for name in each.get("properties", ())]


def describe(node: Node) -> str:
    """What a value must be, in words: `an integer from 1 to 30`."""
    words = [_describe(each) for each in _alternatives(node)]
    shortened = [word.replace(words[0], "such") if at else word for at, word in enumerate(words) if word]
    return " or ".join(dict.fromkeys(shortened))


def _describe(node: Node) -> str:
    match node.get("type"):
        case _ if "enum" in node:
            return "one of " + ", ".join(node["enum"]) if len(node["enum"]) > 2 else " or ".join(node["enum"])
        case "integer":
            return "an integer" + _range(node)
        case "number":
            return "a finite number" + _range(node)
        case "boolean":
            return "true or false"
        case "string":
            words = _PATTERNS.get(node.get("pattern", ""), "a string")
            return words + (f", at most {node['maxLength']} characters" if "maxLength" in node else "")
        case "array":
            return f"a list of items, each {describe(node['items'])}"
        case "object":
            inner = node.get("additionalProperties")
            of = f" whose values are {describe(inner)}" if isinstance(inner, dict) and inner else ""
            return ("a non-empty table" if node.get("minProperties") else "a table") + of
    return ""


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None and node["type"] == "integer":
        return f" from {low} to {high}"
    signs = {">=": low, ">": node.get("exclusiveMinimum"), "<=": high, "<": node.get("exclusiveMaximum")}
    bounds = [f"{sign} {bound:g}" for sign, bound in signs.items() if bound is not None]
    return f" {' and '.join(bounds)}" if bounds else ""


def _alternatives(node: Node) -> list[Node]:
    if "$ref" in node:
        return _alternatives(schema()["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return [each for option in node["anyOf"] for each in _alternatives(option)]
    return [] if node.get("type") == "null" else [node]


def _inside(node: Node, key: str | int) -> Node | None:
    if isinstance(key, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(key, node.get("additionalProperties"))
    return {} if found is True else found or None
