"""What must hold of a run folder's content before it is used; nothing read becomes a path unchecked."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.store import atomic

CELL_ID = re.compile(r"[0-9a-f]{16}")
SCENARIO_NAME = re.compile(r"[A-Za-z0-9._-]+")
STATUSES = ("ok", "failed", "timeout", "crashed", "unsupported", "diverged")


class StoreError(ValueError):
    """A run that cannot be found or read: one line for the user."""


def cell_id(value: Any) -> str:
    """The value, if it is a cell id: 16 hex digits."""
    return _checked(CELL_ID, value, "cell id")


def scenario_name(value: Any) -> str:
    """The value, if it is a scenario name: letters, digits, `._-`."""
    return _checked(SCENARIO_NAME, value, "scenario name")


def clean_record(record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A `run.json` with only those blocks and cells that can be used, and what was wrong with the others."""
    found = record.get("plan")
    plan: dict[str, Any] = found if isinstance(found, dict) else {}
    blocks = plan.get("blocks")
    clean, faults = [], []
    for block in blocks if isinstance(blocks, list) else []:
        scenario = block.get("scenario") if isinstance(block, dict) else None
        name = scenario.get("name") if isinstance(scenario, dict) else None
        if not _matches(SCENARIO_NAME, name):
            faults.append(f"scenario name {name!r:.80} is not letters, digits, '._-'")
            continue
        if not _trains(scenario):
            faults.append(f"scenario {name}: training is not a table with a table optimizer")
            continue
        listed = block.get("cells")
        cells = [cell for cell in listed if _is_cell(cell)] if isinstance(listed, list) else []
        if not isinstance(listed, list) or len(cells) < len(listed):
            faults.append(f"scenario {name}: a cell is not {{id: 16 hex digits, variant}}")
        clean.append({**block, "cells": cells})
    tables = {key: _table(record.get(key)) for key in ("environment", "workers", "expected", "nodes")}
    merged = {"merged": _merged(record["merged"])} if "merged" in record else {}
    return {**record, **tables, **merged, "plan": {**plan, "blocks": clean}}, faults


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _merged(value: Any) -> dict[str, Any]:
    """What a run was merged from, as far as it can be used."""
    runs, notes = (_table(value).get(key) for key in ("runs", "notes"))
    told = [each for each in runs if isinstance(each, dict)] if isinstance(runs, list) else []
    told = [{**each, "id": str(each.get("id")), "environment": _table(each.get("environment"))} for each in told]
    told = [{**each, "nodes": _table(each.get("nodes"))} for each in told]
    return {"runs": told, "notes": [str(note) for note in notes] if isinstance(notes, list) else []}


def planned(plan: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Every cell of a clean plan as (scenario, cell id, variant)."""
    for block in plan["blocks"]:
        for cell in block["cells"]:
            yield block["scenario"], cell["id"], cell["variant"]


def check_outcome(document: dict[str, Any], cell_id: str) -> None:
    """Raise `ValueError` where a cell's JSON is not that cell's outcome."""
    if document.get("id") != cell_id:
        raise ValueError(f"is the outcome of another cell ({document.get('id')!r:.40})")
    if document.get("status") not in STATUSES:
        raise ValueError(f"status {document.get('status')!r:.40} is none of {', '.join(STATUSES)}")
    for key in ("scenario", "resolved", "audit", "phases", "memory", "fit"):
        if not isinstance(document.get(key) or {}, dict):
            raise ValueError(f"{key} is not an object")


def check_timing(document: dict[str, Any]) -> None:
    """Raise `ValueError` where a JSON object is not the timed rounds of a scenario."""
    lanes, rounds, left_out = (document.get(key) for key in ("lanes", "rounds", "left_out"))
    if not (isinstance(lanes, dict) and isinstance(rounds, list) and isinstance(left_out, dict)):
        raise ValueError("has no lanes, rounds and left_out")
    if not all(isinstance(each, dict) and isinstance(each.get("samples"), dict) for each in rounds):
        raise ValueError("has rounds without samples")
    if not all(isinstance(each, dict) for each in lanes.values()):
        raise ValueError("has a lane that is not an object")


def _trains(scenario: Any) -> bool:
    """Whether `training` and its optimizer are objects, where they stand at all."""
    training = scenario.get("training") or {}
    return isinstance(training, dict) and isinstance(training.get("optimizer") or {}, dict)


def _is_cell(cell: Any) -> bool:
    return isinstance(cell, dict) and _matches(CELL_ID, cell.get("id")) and isinstance(cell.get("variant"), str)


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def read_json(path: Path) -> Any:
    """A file's JSON value, without its seal. Raises `OSError`, or `ValueError` with one line."""
    content = path.read_bytes()
    if not atomic.unbroken(content):
        raise ValueError("is truncated or changed (not the hash in its first line)")
    try:
        found = json.loads(content.decode("utf-8"))
        return {key: value for key, value in found.items() if key != "sha256"} if isinstance(found, dict) else found
    except json.JSONDecodeError as error:
        raise ValueError(f"is not whole JSON (line {error.lineno}: {error.msg})") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def one_line(error: BaseException) -> str:
    """An error's message, short and without line breaks."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _checked(pattern: re.Pattern[str], value: Any, what: str) -> str:
    if not _matches(pattern, value):
        raise StoreError(f"{what} {value!r:.80} does not match {pattern.pattern}")
    return str(value)
