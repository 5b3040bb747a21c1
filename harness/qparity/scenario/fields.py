"""What the schema knows of a key such as `training.batch_size`: if it exists, and words for what it takes.

Errors, the matrix and the reference in the documentation all ask here, so they agree with the schema.
"""

from collections.abc import Sequence
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field

from qparity.scenario.schema import FUNCTION, NAME, Scenario

Path = tuple[str, ...]

_PATTERNS = {
    NAME: "letters, digits, dots, hyphens or underscores",
    FUNCTION: '"package.module:function"',
}


class Node(BaseModel):
    """A JSON Schema as pydantic writes it, as far as it is asked for here; one with nothing in it takes anything."""

    model_config = ConfigDict(frozen=True)

    type: str | None = None
    ref: str | None = Field(default=None, alias="$ref")
    options: tuple["Node", ...] | None = Field(default=None, alias="anyOf")
    enum: tuple[str, ...] | None = None
    const: str | bool | None = None
    pattern: str = ""
    most_characters: int | None = Field(default=None, alias="maxLength")
    items: "Node | None" = None
    properties: dict[str, "Node"] = Field(default_factory=dict)
    others: "Node | bool | None" = Field(default=None, alias="additionalProperties")
    least_entries: int = Field(default=0, alias="minProperties")
    least: int | float | None = Field(default=None, alias="minimum")
    most: int | float | None = Field(default=None, alias="maximum")
    above: int | float | None = Field(default=None, alias="exclusiveMinimum")
    below: int | float | None = Field(default=None, alias="exclusiveMaximum")
    definitions: dict[str, "Node"] = Field(default_factory=dict, alias="$defs")


@lru_cache(maxsize=1)
def schema() -> Node:
    """JSON Schema of a scenario."""
    return Node.model_validate(Scenario.model_json_schema())


def node_at(path: Sequence[str | int]) -> Node | None:
    """The schema of the value at a path, or None where a scenario has no such key."""
    node = schema()
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
    return [name for each in _alternatives(node) for name in each.properties]


def describe(node: Node | None) -> str:
    """What a value must be, in words: `an integer from 1 to 30`; nothing where nothing is known."""
    words = [_describe(each) for each in _alternatives(node or Node())]
    shortened = [word.replace(words[0], "such") if at else word for at, word in enumerate(words) if word]
    return " or ".join(dict.fromkeys(shortened))


def _describe(node: Node) -> str:
    if node.enum is not None:
        return "one of " + ", ".join(node.enum) if len(node.enum) > 2 else " or ".join(node.enum)
    if isinstance(node.const, str):
        return node.const
    match node.type:
        case "integer":
            return "an integer" + _range(node)
        case "number":
            return "a finite number" + _range(node)
        case "boolean":
            return "true or false"
        case "string":
            words = _PATTERNS.get(node.pattern, "a string")
            return words + (f", at most {node.most_characters} characters" if node.most_characters is not None else "")
        case "array":
            return f"a list of items, each {describe(node.items)}"
        case "object":
            of = f" whose values are {describe(node.others)}" if isinstance(node.others, Node) else ""
            return ("a non-empty table" if node.least_entries else "a table") + of
    return ""


def _range(node: Node) -> str:
    if node.least is not None and node.most is not None and node.type == "integer":
        return f" from {node.least} to {node.most}"
    signs = {">=": node.least, ">": node.above, "<=": node.most, "<": node.below}
    bounds = [f"{sign} {bound:g}" for sign, bound in signs.items() if bound is not None]
    return f" {' and '.join(bounds)}" if bounds else ""


def _alternatives(node: Node) -> list[Node]:
    if node.ref is not None:
        return _alternatives(schema().definitions[node.ref.rpartition("/")[2]])
    if node.options is not None:
        return [each for option in node.options for each in _alternatives(option)]
    return [] if node.type == "null" else [node]


def _inside(node: Node, key: str | int) -> Node | None:
    found = node.items if isinstance(key, int) else node.properties.get(key, node.others)
    if isinstance(found, bool):
        return Node() if found else None
    return found
