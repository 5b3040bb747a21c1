"""What must hold of a run folder's documents before they are used; nothing read becomes a path unchecked."""

import json
import re
from pathlib import Path
from typing import Any

from qparity.records import Diagnosed, Outcome, Place, Plan, RunRecord, Timing, Unreadable
from qparity.records.plan import CELL_ID, normal, read_plan
from qparity.scenario.text import printable, printable_lines, uncoloured
from qparity.store import atomic, files
from qparity.store.errors import StoreError

SCENARIO_NAME = re.compile(r"[A-Za-z0-9._-]+")
MOST_JSON = 1 << 28
"""Bytes of a document: a plan of a hundred thousand cells has a tenth of that."""


def cell_id(value: Any) -> str:
    """The value, if it is a cell id: 16 hex digits."""
    return _checked(CELL_ID, value, "cell id")


def scenario_name(value: Any) -> str:
    """The value, if it is a scenario name: letters, digits, `._-`."""
    return _checked(SCENARIO_NAME, value, "scenario name")


def read_record(raw: dict[str, object]) -> tuple[RunRecord, Plan, list[str], list[str]]:
    """A `run.json`: all of it that can be used, and its plan; what was wrong with the plan, and with the rest."""
    plan, faults = read_plan(raw.get("plan"))
    others: list[str] = []
    while True:
        record = RunRecord(raw, "run.json")
        try:
            return record.checked(), plan, faults, others
        except Unreadable as error:
            others.append(error.said)
            odd = error.place.partition(".")[0].partition("[")[0]
            raw = {key: value for key, value in raw.items() if key != odd}


def read_outcome(raw: dict[str, object], place: Place) -> Outcome:
    """A cell's outcome, all of it read. Raises `ValueError` where it is not the one that the plan has at this place."""
    outcome = Outcome(raw, f"cells/{place.cell_id}.json", place.scenario)
    if outcome.id != place.cell_id:
        raise ValueError(f"is the outcome of another cell ({outcome.id!r:.40})")
    if outcome.variant != place.variant:
        raise ValueError(f"is the outcome of another variant ({outcome.variant!r:.40})")
    planned, trained = place.block.written, raw.get("scenario")
    if trained != planned and normal(trained) != planned:
        raise ValueError("is the outcome of another scenario than the one in the plan")
    outcome.checked()
    if outcome.status != "ok" and not outcome.reason:
        raise ValueError(f"is {outcome.status} without a reason")
    return outcome


def read_timing(raw: dict[str, object], scenario: str, ids: set[str]) -> Timing:
    """The timed rounds of this scenario, whose cells are `ids`. Raises `ValueError` where they are not."""
    timing = Timing(raw, f"timings/{scenario}.json").checked()
    if (timing.scenario or scenario) != scenario:
        raise ValueError(f"is of another scenario ({timing.scenario})")
    if strange := {lane.id for lane in timing.lanes.values() if lane.id is not None} - ids:
        raise ValueError(f"is of other cells ({min(strange):.40})")
    return timing


def read_diagnosis(raw: dict[str, object], cell: str) -> Diagnosed:
    """What was found out about this cell. Raises `ValueError` where it is not that."""
    found = Diagnosed(raw, f"diagnosis/{cell}.json").checked()
    if found.cell != cell:
        raise ValueError(f"is of another cell ({found.cell!r:.40})")
    return found


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
    seen = not content.translate(None, _SEEN) or text.replace("\n", "").isprintable()
    if not seen or any(map(_odd, set(_ESCAPES.findall(text)))):
        found = _printable(found)
    return {key: value for key, value in found.items() if key != "sha256"} if isinstance(found, dict) else found


_SEEN = b"\n" + bytes(range(32, 127))
"""Of ASCII, what can be printed: `str.isprintable` takes ten times as long to say so."""
_ESCAPES = re.compile(r"\\(u[0-9a-fA-F]{4}|[bfr])")


def _odd(escape: str) -> bool:
    """Whether an escape of JSON stands for what is not seen; a line's drawing in box characters is."""
    return len(escape) == 1 or not chr(int(escape[1:], 16)).isprintable()


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
