"""What must hold of a run folder's documents before they are used; nothing read becomes a path unchecked."""

import json
import re
from pathlib import Path
from typing import Any

from qparity.scenario.text import printable, printable_lines, uncoloured
from qparity.store import atomic, documents, files, plan
from qparity.store.errors import StoreError

SCENARIO_NAME = re.compile(r"[A-Za-z0-9._-]+")
STATUSES = ("ok", "failed", "timeout", "crashed", "unsupported", "diverged")
MOST_JSON = 1 << 28
"""Bytes of a document: a plan of a hundred thousand cells has a tenth of that."""


def cell_id(value: Any) -> str:
    """The value, if it is a cell id: 16 hex digits."""
    return _checked(plan.CELL_ID, value, "cell id")


def scenario_name(value: Any) -> str:
    """The value, if it is a scenario name: letters, digits, `._-`."""
    return _checked(SCENARIO_NAME, value, "scenario name")


def clean_record(record: dict[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """A `run.json` of which all can be used; what was wrong with its plan; and with the rest, which was left out."""
    blocks, faults = plan.read(record.get("plan"))
    rest, others = {key: value for key, value in record.items() if key != "plan"}, []
    while found := documents.fault(rest, documents.Record):
        del rest[str(found[0][0])]
        others.append(found[1])
    tables = {key: rest.get(key) or {} for key in ("environment", "workers", "nodes")}
    merged = {"merged": _merged(rest["merged"])} if "merged" in rest else {}
    return {**rest, **tables, **merged, "plan": blocks}, faults, others


def _merged(value: dict[str, Any]) -> dict[str, Any]:
    """What a run was merged from, with every entry there."""
    told = [{"id": "", **each} for each in value.get("runs") or ()]
    told = [{**each, **{key: each.get(key) or {} for key in ("environment", "nodes")}} for each in told]
    return {"runs": told, "notes": value.get("notes") or []}


def check_outcome(document: dict[str, Any], place: plan.Place) -> None:
    """Raise `ValueError` where a cell's JSON is not the outcome that the plan has at this place."""
    if document.get("id") != place.cell_id:
        raise ValueError(f"is the outcome of another cell ({document.get('id')!r:.40})")
    if document.get("variant") != place.variant:
        raise ValueError(f"is the outcome of another variant ({document.get('variant')!r:.40})")
    if document.get("scenario") != place.scenario and plan.normal(document.get("scenario")) != place.scenario:
        raise ValueError("is the outcome of another scenario than the one in the plan")
    if document.get("status") not in STATUSES:
        raise ValueError(f"status {document.get('status')!r:.40} is none of {', '.join(STATUSES)}")
    check(document, documents.Outcome)
    if document["status"] != "ok" and not document.get("reason"):
        raise ValueError(f"is {document['status']} without a reason")


def check_timing(document: dict[str, Any], scenario: str, ids: set[str]) -> None:
    """Raise `ValueError` where a JSON object is not the timed rounds of this scenario, whose cells are `ids`."""
    check(document, documents.Timing)
    if not {"lanes", "rounds", "left_out"} <= document.keys():
        raise ValueError("has no lanes, rounds and left_out")
    if not all("samples" in each for each in document["rounds"]):
        raise ValueError("has rounds without samples")
    if document.get("scenario", scenario) != scenario:
        raise ValueError(f"is of another scenario ({document['scenario']})")
    if strange := {lane["id"] for lane in document["lanes"].values() if "id" in lane} - ids:
        raise ValueError(f"is of other cells ({min(strange):.40})")


def check(document: dict[str, Any], kind: Any) -> None:
    """Raise `ValueError` where an entry of a document is not of its type (`documents.py`)."""
    if found := documents.fault(document, kind):
        raise ValueError(found[1])


def read_json(root: Path, name: str) -> Any:
    """The JSON value of a file in a run folder, see `parse`. Raises `OSError` where it cannot be read."""
    return parse(files.read(root, name, MOST_JSON))


def parse(content: bytes) -> Any:
    """A file's JSON value, without its seal; all text in it can be printed.

    Raises:
        ValueError: it is no such value; one line.
    """
    if not atomic.unbroken(content):
        raise ValueError("is truncated or changed (not the hash in its first line)")
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not whole JSON (line {error.lineno}: {error.msg})") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if "\\u" in text or not text.replace("\n", "").isprintable():
        found = _printable(found)
    return {key: value for key, value in found.items() if key != "sha256"} if isinstance(found, dict) else found


def _no_number(name: str) -> Any:
    raise ValueError(f"has {name} where JSON has numbers")


def _printable(value: Any) -> Any:
    """A JSON value with escapes for what cannot be printed, and without colours."""
    if isinstance(value, dict):
        return {printable_lines(key): _printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return printable_lines(uncoloured(value)) if isinstance(value, str) else value


def one_line(error: BaseException) -> str:
    """An error's message, short and without line breaks."""
    return printable(" ".join(str(error).split()))[:200] or type(error).__name__


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _checked(pattern: re.Pattern[str], value: Any, what: str) -> str:
    if not _matches(pattern, value):
        raise StoreError(f"{what} {value!r:.80} does not match {pattern.pattern}")
    return str(value)
