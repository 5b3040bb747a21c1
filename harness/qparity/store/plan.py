"""The plan in a `run.json`: which cells a run has. Whatever is stored of a cell must be of the one that is planned.

A plan of which a part cannot be used must not count as a smaller plan: what is wrong with it is recorded, and the gate
does not pass.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from qparity.scenario.errors import ScenarioError
from qparity.scenario.validate import validate
from qparity.scenario.variant import Variant

CELL_ID = re.compile(r"[0-9a-f]{16}")


class Place(NamedTuple):
    """A planned cell. `scenario` has every field (`qparity.scenario.schema`), `variant` is its canonical name."""

    scenario: dict[str, Any]
    cell_id: str
    variant: str


def read(found: Any) -> tuple[dict[str, Any], list[str]]:
    """A plan {blocks, sources} of which everything can be used, and a line on whatever was left out."""
    faults: list[str] = []
    plan: dict[str, Any] = found if isinstance(found, dict) else {}
    listed = plan.get("blocks")
    if not isinstance(listed, list):
        faults.append("plan: expected a list of blocks")
    blocks: dict[str, dict[str, Any]] = {}
    ids: set[str] = set()
    for block in listed if isinstance(listed, list) else []:
        raw = _table(_table(block).get("scenario"))
        try:
            scenario = validate(raw).model_dump(mode="json")
        except ScenarioError as error:
            faults.append(f"scenario {raw.get('name')!r:.80}: {error}")
            continue
        if scenario["name"] in blocks:
            faults.append(f"scenario {scenario['name']} is planned twice")
            continue
        about, wrong = _about(block)
        cells, odd = _cells(block.get("cells"), ids)
        faults += [f"scenario {scenario['name']}: {line}" for line in (*wrong, *odd)]
        blocks[scenario["name"]] = {**about, "scenario": scenario, "cells": cells}
    sources = plan.get("sources") or []
    if not _texts(sources):
        faults.append("plan.sources: expected a list of files")
        sources = []
    return {"blocks": list(blocks.values()), "sources": sources}, faults


def planned(plan: dict[str, Any]) -> Iterator[Place]:
    """Every cell of a plan."""
    for block in plan["blocks"]:
        for cell in block["cells"]:
            yield Place(block["scenario"], cell["id"], cell["variant"])


def normal(scenario: Any) -> dict[str, Any] | None:
    """A scenario with all its defaults filled in, or None where it is none."""
    try:
        return validate(_table(scenario)).model_dump(mode="json")
    except ScenarioError:
        return None


def _about(block: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Source, its hash, and search path of a block, where they are what they should be."""
    wrong, about = [], {}
    if isinstance(block.get("source") or "", str):
        about["source"] = block.get("source")
    else:
        wrong.append("source: expected a file")
    if isinstance(digest := block.get("source_sha256") or "", str):
        about["source_sha256"] = digest
    else:
        wrong.append("source_sha256: expected a hash")
    if _texts(block.get("search_path") or []):
        about["search_path"] = block.get("search_path") or []
    else:
        wrong.append("search_path: expected a list of folders")
    return about, wrong


def _cells(listed: Any, ids: set[str]) -> tuple[list[dict[str, str]], list[str]]:
    """The cells of a block that can be used; their ids are added to `ids`."""
    if not isinstance(listed, list):
        return [], ["cells: expected a list"]
    cells: dict[str, dict[str, str]] = {}
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
            cells[variant] = {"id": cell_id, "variant": variant}
    return list(cells.values()), wrong


def _is_variant(value: str) -> bool:
    try:
        return str(Variant.parse(value)) == value
    except ScenarioError:
        return False


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
