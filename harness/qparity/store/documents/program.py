"""A gate program, as outcomes have it."""

from __future__ import annotations

from typing import Annotated, Literal

from typing_extensions import TypedDict

from qparity.store.documents.entries import LISTED, Count, Name, Number, Text, table


@table
class WeightShape(TypedDict, total=False):
    """A weight array of a gate program."""

    name: Name
    shape: list[Count]


@table
class Angle(TypedDict, total=False):
    """One gate parameter."""

    constant: Number
    weights: list[Annotated[tuple[Count, Number], LISTED]]
    inputs: list[Annotated[tuple[Count, Number], LISTED]]
    products: list[Annotated[tuple[Literal["w", "i"], Count, Literal["w", "i"], Count, Number], LISTED]]


@table
class Gate(TypedDict, total=False):
    """One gate."""

    name: Text
    wires: list[Count]
    params: list[Angle]


Word = list[Annotated[tuple[Name, Count], LISTED]]


@table
class Measurement(TypedDict, total=False):
    """One measurement."""

    kind: Name
    terms: list[Annotated[tuple[Number, Word], LISTED]]
    wires: list[Count]


@table
class Program(TypedDict, total=False):
    """A circuit as the oracle reads it."""

    wires: Count
    features: Count
    weights: list[WeightShape]
    gates: list[Gate]
    measurements: list[Measurement]
    not_covered: Text | None
