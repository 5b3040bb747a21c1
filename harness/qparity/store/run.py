"""A run on disk: `run.json`, `cells/`, `traces/`, `timings/`, `logs/`.

Written by the sweep, cell by cell; read by everything after it, perhaps years later and on another machine.
So nothing read is trusted: ids and names are checked before they become paths, no link is followed, documents must be
of their types (`qparity.records`), an outcome that of the cell that is planned, a trace that of its outcome. Whatever
is truncated, foreign, too large or from a newer qparity is named in `Run.damaged` and treated as missing.
"""

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from qparity.records import Block, Diagnosed, Document, Outcome, Place, Plan, RunRecord, Timing, Unreadable
from qparity.records.document import Table
from qparity.records.outcome import STATUSES
from qparity.records.plan import read_plan
from qparity.records.trace import Trace
from qparity.scenario.text import printable
from qparity.store import atomic, claim, files, schema, traces, trust
from qparity.store.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

D = TypeVar("D", bound=Document)
MOST_LOG = 1 << 27
RECENT_BYTES = 1 << 17
"""Of outcomes that are kept as they were read: those of a block or two, or a single large one."""


class Run:
    """One run folder. Make it with `Run.create` or `Run.load`.

    `record` is its `run.json`, `plan` the cells that it has; `plan_faults` says what of the plan could not be used, a
    line each: such a run is not whole.
    """

    def __init__(self, path: Path, record: RunRecord, plan: Plan, plan_faults: tuple[str, ...] = ()) -> None:
        self.path = path
        self.record = record
        self.plan = self._as_read = plan
        self.plan_faults = plan_faults
        self._damaged: dict[str, str] = {}
        self._checked: dict[str, int] = {}
        self._recent: dict[str, tuple[bytes, Outcome]] = {}
        self._recent_bytes = 0
        self._places = {place.cell_id: place for place in plan.places()}

    @classmethod
    def create(
        cls,
        results_dir: Path | str,
        plan: Table,
        environment: Table,
        command: list[str] | str,
    ) -> Self:
        """Start a run: a new folder with its `run.json` in state `running`.

        `plan` is {blocks: [{scenario: {...}, cells: [{id, variant}]}], sources: [files]}. Raises `StoreError` where it
        is no such plan, or `results_dir` is a file.
        """
        whole, faults = read_plan(plan)
        if faults:
            raise StoreError(faults[0])
        created = datetime.now(UTC)
        while True:
            run_id = f"{created:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            path = Path(results_dir) / run_id
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                if path.parent.is_file():
                    raise StoreError(f"{path.parent}: is a file, expected a folder for results") from None
        for folder in ("cells", "traces", "logs"):
            (path / folder).mkdir()
        record: Table = {
            "schema": schema.SCHEMA,
            "id": run_id,
            "state": "running",
            "created": created.isoformat(),
            "finished": None,
            "command": command,
            "plan": whole.to_dict(),
            "environment": environment,
            "workers": {},
        }
        atomic.write_json(path / "run.json", record)
        return cls(path, RunRecord(record, "run.json"), whole)

    @classmethod
    def load(cls, path: Path | str, checked: bool = True) -> Self:
        """Read a run; every stored cell and trace is checked, and what is unusable named in `damaged`.

        Without `checked` each is looked at when somebody asks for it, and `damaged` is whole once all were asked for:
        so for whoever judges the run, which reads them all. Raises `StoreError` only if `run.json` itself is missing or
        unusable.
        """
        run = cls.open(path)
        run._name_strays()
        if checked:
            run._check()
        return run

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Likewise without `checked`, and without a look at which files are there."""
        path = Path(path)
        try:
            raw = schema.upgrade(trust.read_json(path, "run.json"), "run")
        except FileNotFoundError:
            raise StoreError(f"{path}: not a run (it has no run.json)") from None
        except (ValueError, OSError, RecursionError) as error:
            raise StoreError(f"{path / 'run.json'}: {trust.one_line(error)}") from None
        record, plan, faults, others = trust.read_record(raw)
        run = cls(path, record, plan, tuple(faults))
        if faults or others:
            run._damaged["run.json"] = "; ".join((*faults, *others))
        return run

    @property
    def id(self) -> str:
        """The run id, `YYYYMMDD-HHMMSS-xxxx`."""
        return self.record.id or self.path.name

    @property
    def damaged(self) -> list[tuple[str, str]]:
        """(file relative to the run folder, what is wrong with it), sorted by file."""
        return sorted(self._damaged.items())

    @property
    def damage(self) -> Mapping[str, str]:
        """The same as it was found, file by file."""
        return self._damaged

    @property
    def checked(self) -> Mapping[str, int]:
        """The documents of cells that were found whole, and of each the hash of its bytes in this process."""
        return self._checked

    def leave_out(self, damaged: Mapping[str, str], checked: Mapping[str, int] | None = None) -> None:
        """Treat as missing what another reader of this folder has found damaged: file -> what is wrong with it.

        `checked` is what that reader, a fork of this process, has found whole, which is not looked at again.
        """
        self._damaged |= damaged
        self._checked |= checked or {}

    def update(self, **fields: Any) -> None:
        """Replace top-level fields of `run.json` (state, finished, workers, ...), the plan excepted."""
        self.record = self.record.changed(**fields)
        untouched = self.plan is self._as_read and not self.plan_faults
        plan = self.record.raw.get("plan") if untouched else self.plan.to_dict()
        atomic.write_json(self.path / "run.json", self.record.raw | {"plan": plan})

    def finish(self, state: str = "finished") -> None:
        """Close the run as `finished` or `interrupted`."""
        self.update(state=state, finished=datetime.now(UTC).isoformat())

    def claimed(self) -> AbstractContextManager[None]:
        """Be the run's only writer; `StoreError` if another process is."""
        return claim.claimed(self.path)

    # The plan

    def planned(self) -> list[Place]:
        """Every planned cell, in the order of the plan."""
        return list(self._places.values())

    def plan_more(self, blocks: Sequence[Block]) -> None:
        """Add blocks to the plan, of scenarios and cells that are not in it yet."""
        self._replan((*self.plan.blocks, *blocks))

    def unplan(self, scenarios: Collection[str]) -> None:
        """Take scenarios out of the plan, by name: what was planned ahead and is not to be run."""
        self._replan(tuple(block for block in self.plan.blocks if block.scenario.name not in scenarios))

    def _replan(self, blocks: tuple[Block, ...]) -> None:
        self.plan = replace(self.plan, blocks=blocks)
        self._places = {place.cell_id: place for place in self.plan.places()}
        self.update()

    def missing(self, retry: bool = False) -> list[str]:
        """Ids of planned cells without a usable outcome: what a resume has still to do.

        With `retry` also those that did not train to an end (`failed`, `timeout`, `crashed`, `unsupported`).
        """
        enough = ("ok", "diverged") if retry else STATUSES
        found = []
        for cell_id in self._places:
            outcome = self.outcome(cell_id)
            if outcome is None or outcome.status not in enough:
                found.append(cell_id)
        return found

    # Cells

    def write_outcome(self, outcome: Outcome, trace: Trace | None = None) -> None:
        """Store a cell: the trace first, then the outcome naming it, so that no outcome lacks its trace."""
        cell_id = trust.cell_id(outcome.raw.get("id"))
        document: Table = {**outcome.raw, "schema": schema.SCHEMA, "trace": None, "trace_sha256": None}
        if trace is not None:
            content = traces.to_bytes(trace)
            atomic.write_bytes(self._to_write("traces", f"{cell_id}.npz"), content)
            document |= {
                "trace": f"traces/{cell_id}.npz",
                "trace_sha256": hashlib.sha256(content).hexdigest(),
            }
        atomic.write_json(self._to_write("cells", f"{cell_id}.json"), document)
        self._damaged.pop(f"cells/{cell_id}.json", None)
        self._damaged.pop(f"traces/{cell_id}.npz", None)

    def outcome(self, cell_id: str) -> Outcome | None:
        """The outcome of a planned cell, or None where it is missing, damaged, another's, or its trace is."""
        place = self._places.get(trust.cell_id(cell_id))
        if place is None or f"traces/{cell_id}.npz" in self._damaged:
            return None
        name = f"cells/{cell_id}.json"
        content = self._content(name)
        if content is None:
            return None
        if (kept := self._recent.get(name)) and kept[0] == content:
            return kept[1]

        def read(raw: Table) -> Outcome:
            if self._checked.get(name) == hash(content):  # what has been found whole once is not looked at again
                return Outcome(raw, name, place.scenario)
            found = trust.read_outcome(raw, place)
            self._checked[name] = hash(content)
            return found

        found = self._read(name, "cell", content, read)
        if found is not None:  # what is read of a cell is read several times in a row
            self._forget(name)
            self._recent[name] = content, found
            self._recent_bytes += len(content)
            while len(self._recent) > 1 and self._recent_bytes > RECENT_BYTES:
                self._forget(next(iter(self._recent)))
        return found

    def _forget(self, name: str) -> None:
        content, _ = self._recent.pop(name, (b"", None))
        self._recent_bytes -= len(content)

    def outcomes(self) -> dict[str, Outcome]:
        """Usable outcomes of the planned cells, by cell id, in the order of the plan."""
        found = ((cell_id, self.outcome(cell_id)) for cell_id in self._places)
        return {cell_id: outcome for cell_id, outcome in found if outcome is not None}

    def trace(self, cell_id: str, only: Collection[str] | None = None) -> Trace | None:
        """The recorded arrays of a cell in their native dtypes (`only` these), or None where there are none."""
        outcome = self.outcome(cell_id)
        return None if outcome is None else self._trace(cell_id, outcome, only)

    def recorded(self, cell_id: str, only: Collection[str] | None = None) -> tuple[Outcome, Trace | None] | None:
        """The outcome of a cell and its trace as `trace` gives it; None where it is missing, or its trace damaged."""
        outcome = self.outcome(cell_id)
        if outcome is None:
            return None
        trace = self._trace(cell_id, outcome, only)
        return None if f"traces/{cell_id}.npz" in self._damaged else (outcome, trace)

    # Programs, timings, logs and diagnoses

    def write_timing(self, scenario: str, timing: Timing) -> None:
        """Store the timed rounds of a scenario's variants."""
        path = self._to_write("timings", f"{trust.scenario_name(scenario)}.json")
        atomic.write_json(path, {**timing.raw, "schema": schema.SCHEMA})

    def timing(self, scenario: str) -> Timing | None:
        """The timed rounds of a scenario, or None where it was not timed or they are damaged."""
        name = f"timings/{trust.scenario_name(scenario)}.json"
        content = self._content(name)
        if content is None:
            return None
        ids = {place.cell_id for place in self.planned() if place.scenario.name == scenario}
        return self._read(name, "timing", content, lambda raw: trust.read_timing(raw, scenario, ids))

    def write_diagnosis(self, cell_id: str, document: Table) -> None:
        """Store what was found out about a cell."""
        atomic.write_json(self._to_write("diagnosis", f"{trust.cell_id(cell_id)}.json"), document)

    def diagnosis(self, cell_id: str) -> Diagnosed | None:
        """What was found out about a cell, or None where nobody asked or it is damaged."""
        name = f"diagnosis/{trust.cell_id(cell_id)}.json"
        content = self._content(name)
        if content is None:
            return None
        return self._read(name, "diagnosis", content, lambda raw: trust.read_diagnosis(raw, cell_id))

    def logs(self) -> Path:
        """The folder that frameworks' output goes to. Raises `StoreError` where it is a link."""
        return files.folder(self.path, "logs")

    def log_path(self, cell_id: str) -> Path:
        """Where a cell's framework output goes."""
        return self.path / "logs" / f"{trust.cell_id(cell_id)}.log"

    def log(self, cell_id: str) -> bytes | None:
        """What a cell printed; None where nothing that can be read was kept."""
        try:
            return files.read(self.path, f"logs/{trust.cell_id(cell_id)}.log", MOST_LOG)
        except (OSError, ValueError):
            return None

    def write_log(self, cell_id: str, content: bytes) -> None:
        """Store what a cell printed."""
        atomic.write_bytes(self._to_write("logs", f"{trust.cell_id(cell_id)}.log"), content)

    # Tables for notebooks (pandas is imported only when one is asked for)

    def cells(self) -> "pd.DataFrame":
        """One row a planned cell, see `frames.cells`."""
        return _frames().cells(self)

    def timings(self) -> "pd.DataFrame":
        """One row a cell and phase, see `frames.timings`."""
        return _frames().timings(self)

    def rounds(self) -> "pd.DataFrame":
        """One row a variant and timed round, see `frames.rounds`."""
        return _frames().rounds(self)

    def steps(self) -> "pd.DataFrame":
        """One row a cell and step, see `frames.steps`."""
        return _frames().steps(self)

    # Reading and writing with suspicion

    def _to_write(self, folder: str, name: str) -> Path:
        return files.folder(self.path, folder) / name

    def _content(self, name: str) -> bytes | None:
        """A document's bytes, or None where there are none that can be read."""
        try:
            return files.read(self.path, name, trust.MOST_JSON)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._damaged[name] = error.strerror or "cannot be read"
            return None
        except ValueError as error:
            self._damaged[name] = trust.one_line(error)
            return None

    def _read(self, name: str, kind: str, content: bytes, read: Callable[[Table], D]) -> D | None:
        """A document that is what it should be."""
        try:
            return read(schema.upgrade(trust.parse(content), kind))
        except (ValueError, RecursionError) as error:
            self._damaged[name] = error.said if isinstance(error, Unreadable) else trust.one_line(error)
            return None

    def _trace_bytes(self, cell_id: str, outcome: Outcome) -> bytes | None:
        """The file's content if its hash is the outcome's; the path in the outcome is not followed."""
        name = f"traces/{cell_id}.npz"
        try:
            content = files.read(self.path, name, traces.most_bytes(outcome.scenario, outcome.resolved))
        except (OSError, ValueError) as error:
            strerror = error.strerror if isinstance(error, OSError) else None
            self._damaged[name] = strerror or trust.one_line(error)
            return None
        if hashlib.sha256(content).hexdigest() != outcome.trace_sha256:
            self._damaged[name] = "is truncated or changed (not the hash in its outcome)"
            return None
        return content

    def _trace(self, cell_id: str, outcome: Outcome, only: Collection[str] | None = None) -> Trace | None:
        content = self._trace_bytes(cell_id, outcome) if outcome.trace else None
        try:
            return None if content is None else traces.from_bytes(content, only)
        except ValueError as error:
            self._damaged[f"traces/{cell_id}.npz"] = trust.one_line(error)
            return None

    def _name_strays(self) -> None:
        """Find what does not belong to the run."""
        planned = self._places
        for folder, suffix in (("cells", ".json"), ("traces", ".npz")):
            if (self.path / folder).is_symlink():
                self._damaged[folder] = files.LINK
                continue
            for file in sorted((self.path / folder).glob("*")):
                if not file.name.startswith(".") and (file.suffix != suffix or file.stem not in planned):
                    self._damaged[f"{folder}/{printable(file.name)}"] = "does not belong to this run"

    def _check(self) -> None:
        """Look at every planned cell and the bytes of its trace."""
        for cell_id in self._places:
            outcome = self.outcome(cell_id)
            if outcome is not None and outcome.trace:
                self._trace_bytes(cell_id, outcome)


def _frames() -> ModuleType:
    from qparity.store import frames

    return frames
