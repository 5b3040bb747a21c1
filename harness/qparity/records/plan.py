"""The plan in a `run.json`: which cells a run has. Whatever is stored of a cell must be of the one that is planned.

A plan that cannot be used as a whole is no smaller plan: what was wrong with it is said, and keeps the gate from
passing.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from re import compile as pattern
from typing import NamedTuple, TypeGuard

from pydantic import BaseModel, ValidationError

from qparity.records.document import Table
from qparity.scenario.errors import ScenarioError
from qparity.scenario.schema import DataSpec, Scenario, Training
from qparity.scenario.validate import validate
from qparity.scenario.variant import Variant

CELL_ID = pattern(r"[0-9a-f]{16}")


class PlannedCell(NamedTuple):
    """One cell of a block; `variant` is the canonical name."""

    id: str
    variant: str


@dataclass(frozen=True)
class Block:
    """A scenario and its cells.

    `source` is the scenario's file, `source_sha256` the hash of the file that its circuit or model is in, `search_path`
    the folders in which modules are looked for, `raw` the block as it was read.
    """

    scenario: Scenario
    cells: tuple[PlannedCell, ...] = ()
    source: str | None = None
    source_sha256: str = ""
    search_path: tuple[str, ...] = ()
    raw: Table = field(default_factory=dict)

    @cached_property
    def written(self) -> Table:
        """The scenario with every field, as documents have it."""
        return self.scenario.model_dump(mode="json")

    def to_dict(self) -> Table:
        """As the plan has it."""
        return self.raw | {
            "source": self.source,
            "source_sha256": self.source_sha256,
            "search_path": list(self.search_path),
            "scenario": self.written,
            "cells": [cell._asdict() for cell in self.cells],
        }


class Place(NamedTuple):
    """A planned cell in its block."""

    block: Block
    cell_id: str
    variant: str

    @property
    def scenario(self) -> Scenario:
        """The scenario that it trains."""
        return self.block.scenario


@dataclass(frozen=True, slots=True)
class Plan:
    """All blocks of a run, and the scenario files that they are from; `raw` is the plan as it was read."""

    blocks: tuple[Block, ...] = ()
    sources: tuple[str, ...] = ()
    raw: Table = field(default_factory=dict)

    def places(self) -> Iterator[Place]:
        """Every cell, in order."""
        for block in self.blocks:
            for cell in block.cells:
                yield Place(block, cell.id, cell.variant)

    def to_dict(self) -> Table:
        """As `run.json` has it."""
        return self.raw | {"blocks": [block.to_dict() for block in self.blocks], "sources": list(self.sources)}


def read_plan(found: object) -> tuple[Plan, list[str]]:
    """A plan of which everything can be used, and a line on whatever was left out."""
    faults: list[str] = []
    plan = _table(found)
    listed = plan.get("blocks")
    if not isinstance(listed, list):
        faults.append("plan: expected a list of blocks")
    blocks: dict[str, Block] = {}
    ids: set[str] = set()
    for each in listed if isinstance(listed, list) else []:
        block = _table(each)
        raw = dict(_table(block.get("scenario")))
        try:
            scenario = validate(raw | _alike(raw))
        except ScenarioError as error:
            faults.append(f"scenario {raw.get('name')!r:.80}: {error}")
            continue
        if scenario.name in blocks:
            faults.append(f"scenario {scenario.name} is planned twice")
            continue
        about, wrong = _about(block)
        cells, odd = _cells(block.get("cells"), ids)
        faults += [f"scenario {scenario.name}: {line}" for line in (*wrong, *odd)]
        blocks[scenario.name] = Block(scenario, tuple(cells), *about, raw=block)
    sources = plan.get("sources") or []
    if not _are_texts(sources):
        faults.append("plan.sources: expected a list of files")
        sources = []
    return Plan(tuple(blocks.values()), tuple(sources), plan), faults


def _alike(raw: Table) -> Table:
    """The tables of a scenario that others of its plan are likely to have too: one object for all that write it so."""
    found: Table = {}
    for key, kind in (("data", DataSpec), ("training", Training)):
        try:
            found[key] = _part(kind, marshal.dumps(raw[key], 2))  # type: ignore[arg-type]  # what JSON holds
        except (KeyError, ValueError, ValidationError):  # left out, or no such table, which `validate` says
            continue
    return found


@lru_cache(maxsize=16)
def _part(kind: type[BaseModel], written: bytes) -> BaseModel:
    return kind.model_validate(marshal.loads(written))


def normal(scenario: object) -> Table | None:
    """A scenario with all its defaults filled in, or None where it is none."""
    try:
        return validate(dict(_table(scenario))).model_dump(mode="json")
    except ScenarioError:
        return None


class _About(NamedTuple):
    source: str | None
    source_sha256: str
    search_path: tuple[str, ...]


def _about(block: Table) -> tuple[_About, list[str]]:
    """Source, its hash, and search path of a block, where they are what they should be."""
    wrong: list[str] = []
    source, digest, folders = block.get("source"), block.get("source_sha256") or "", block.get("search_path") or []
    if not (source is None or isinstance(source, str)):
        wrong.append("source: expected a file")
        source = None
    if not isinstance(digest, str):
        wrong.append("source_sha256: expected a hash")
        digest = ""
    if not _are_texts(folders):
        wrong.append("search_path: expected a list of folders")
        folders = []
    return _About(source, digest, tuple(folders)), wrong


def _cells(listed: object, ids: set[str]) -> tuple[list[PlannedCell], list[str]]:
    """The cells of a block that can be used; their ids are added to `ids`."""
    if not isinstance(listed, list):
        return [], ["cells: expected a list"]
    cells: dict[str, PlannedCell] = {}
    wrong = []
    for cell in listed:
        cell_id, variant = _table(cell).get("id"), _table(cell).get("variant")
        if not (isinstance(cell_id, str) and CELL_ID.fullmatch(cell_id)):
            wrong.append("a cell is not {id: 16 hex digits, variant}")
        elif not (isinstance(variant, str) and _is_variant(variant)):
            wrong.append(f"{variant!r:.40} is no variant")
        elif cell_id in ids or variant in cells:
            wrong.append(f"cell {cell_id} ({variant}) is planned twice")
        else:
            ids.add(cell_id)
            cells[variant] = PlannedCell(cell_id, variant)
    return list(cells.values()), wrong


def _is_variant(value: str) -> bool:
    try:
        return str(Variant.parse(value)) == value
    except ScenarioError:
        return False


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _table(value: object) -> Table:
    return value if isinstance(value, dict) else {}
