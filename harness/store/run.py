"""A run on disk: `run.json`, `programs/`, `cells/`, `traces/`, `timings/`, `logs/`.

Written by the sweep, cell by cell; read by everything after it, perhaps years later and on another machine.
So nothing read is trusted: ids and names are checked before they become paths, traces are checked against the
hash in their outcome, and whatever is truncated, foreign or from a newer qparity is named in `Run.damaged`
and treated as missing.
"""

import hashlib
import io
import secrets
import zipfile
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from harness.store import atomic, claim, schema, trust
from harness.store.trust import StoreError

if TYPE_CHECKING:
    import pandas as pd

Outcome = dict[str, Any]
Trace = dict[str, np.ndarray]


class Run:
    """One run folder. Make it with `Run.create` or `Run.load`."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record
        self._damaged: dict[str, str] = {}

    @classmethod
    def create(
        cls,
        results_dir: Path | str,
        plan: dict[str, Any],
        environment: dict[str, Any],
        command: list[str] | str,
    ) -> Self:
        """Start a run: a new folder with its `run.json` in state `running`.

        `plan` is {blocks: [{scenario: {...}, cells: [{id, variant}]}], sources: [files]}; `expected` maps a
        cell id to the {hashes, hyperparameters} that the parent sends to its worker.
        """
        created = datetime.now(UTC)
        record: dict[str, Any] = {
            "schema": schema.SCHEMA,
            "id": "",
            "state": "running",
            "created": created.isoformat(),
            "finished": None,
            "command": command,
            "plan": plan,
            "environment": environment,
            "workers": {},
        }
        for scenario, cell_id, _ in trust.planned(plan):
            trust.scenario_name(scenario.get("name"))
            trust.cell_id(cell_id)
        while True:
            record["id"] = f"{created:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            path = Path(results_dir) / record["id"]
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                if path.parent.is_file():
                    raise StoreError(f"{path.parent}: is a file, expected a folder for results") from None
        for folder in ("programs", "cells", "traces", "logs"):
            (path / folder).mkdir()
        atomic.write_json(path / "run.json", record)
        return cls(path, record)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a run; every stored cell and trace is checked, and what is unusable named in `damaged`.

        Raises `StoreError` only if `run.json` itself is missing or unusable.
        """
        path = Path(path)
        try:
            record = schema.upgrade(trust.read_json(path / "run.json"), "run")
        except FileNotFoundError:
            raise StoreError(f"{path}: not a run (it has no run.json)") from None
        except (ValueError, OSError, RecursionError) as error:
            raise StoreError(f"{path / 'run.json'}: {trust.one_line(error)}") from None
        record, faults = trust.clean_record(record)
        run = cls(path, record)
        if faults:
            run._damaged["run.json"] = "; ".join(faults)
        run._scan()
        return run

    @property
    def id(self) -> str:
        """The run id, `YYYYMMDD-HHMMSS-xxxx`."""
        return str(self.record.get("id") or self.path.name)

    @property
    def damaged(self) -> list[tuple[str, str]]:
        """(file relative to the run folder, what is wrong with it), sorted by file."""
        return sorted(self._damaged.items())

    def update(self, **fields: Any) -> None:
        """Replace top-level fields of `run.json` (state, finished, workers, expected, ...)."""
        self.record = {**self.record, **fields}
        atomic.write_json(self.path / "run.json", self.record)

    def finish(self, state: str = "finished") -> None:
        """Close the run as `finished` or `interrupted`."""
        self.update(state=state, finished=datetime.now(UTC).isoformat())

    def claimed(self) -> AbstractContextManager[None]:
        """Be the run's only writer; `StoreError` if another process is."""
        return claim.claimed(self.path)

    # The plan

    def planned(self) -> list[tuple[dict[str, Any], str, str]]:
        """Every planned cell as (scenario, cell id, variant), in the order of the plan."""
        return list(trust.planned(self.record["plan"]))

    def missing(self, retry: bool = False) -> list[str]:
        """Ids of planned cells without a usable outcome, or gate program: what a resume has still to do.

        With `retry` also those that did not train to an end (`failed`, `timeout`, `crashed`, `unsupported`).
        """
        enough = ("ok", "diverged") if retry else trust.STATUSES
        found = []
        programs: dict[str, bool] = {}
        for scenario, cell_id, _ in self.planned():
            outcome = self.outcome(cell_id)
            if outcome is not None and outcome["status"] in enough:
                name = scenario["name"]
                if not outcome.get("program") or programs.setdefault(name, self.program(name) is not None):
                    continue
                programs[name] = True  # this cell writes it anew
            found.append(cell_id)
        return found

    # Cells

    def write_outcome(self, outcome: Outcome, trace: Trace | None = None) -> None:
        """Store a cell: the trace first, then the outcome naming it, so that no outcome lacks its trace."""
        cell_id = trust.cell_id(outcome.get("id"))
        document = {**outcome, "schema": schema.SCHEMA, "trace": None, "trace_sha256": None}
        if trace is not None:
            buffer = io.BytesIO()
            np.savez(buffer, allow_pickle=False, **trace)
            content = buffer.getvalue()
            atomic.write_bytes(self._trace_path(cell_id), content)
            document |= {
                "trace": f"traces/{cell_id}.npz",
                "trace_sha256": hashlib.sha256(content).hexdigest(),
            }
        atomic.write_json(self._cell_path(cell_id), document)
        self._damaged.pop(f"cells/{cell_id}.json", None)
        self._damaged.pop(f"traces/{cell_id}.npz", None)

    def outcome(self, cell_id: str) -> Outcome | None:
        """The outcome of a cell, or None where it is missing, damaged, or its trace is."""
        name = f"cells/{trust.cell_id(cell_id)}.json"
        if f"traces/{cell_id}.npz" in self._damaged:
            return None
        return self._read(name, "cell", lambda found: trust.check_outcome(found, cell_id))

    def outcomes(self) -> dict[str, Outcome]:
        """Usable outcomes of the planned cells, by cell id, in the order of the plan."""
        found = ((cell_id, self.outcome(cell_id)) for _, cell_id, _ in self.planned())
        return {cell_id: outcome for cell_id, outcome in found if outcome is not None}

    def trace(self, cell_id: str, only: Collection[str] | None = None) -> Trace | None:
        """The recorded arrays of a cell in their native dtypes (`only` these), or None where there are none."""
        outcome = self.outcome(cell_id)
        if outcome is None or not outcome.get("trace"):
            return None
        content = self._trace_bytes(cell_id, outcome)
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files if only is None or name in only}
        except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
            self._damaged[f"traces/{cell_id}.npz"] = trust.one_line(error)
            return None

    # Programs and logs

    def write_program(self, scenario: str, program: dict[str, Any]) -> None:
        """Store the gate program of a scenario."""
        name = trust.scenario_name(scenario)
        atomic.write_json(self.path / "programs" / f"{name}.json", {**program, "schema": schema.SCHEMA})

    def program(self, scenario: str) -> dict[str, Any] | None:
        """The gate program of a scenario, or None."""
        return self._read(f"programs/{trust.scenario_name(scenario)}.json", "program")

    def write_timing(self, scenario: str, document: dict[str, Any]) -> None:
        """Store the timed rounds of a scenario's variants."""
        name = trust.scenario_name(scenario)
        atomic.write_json(self.path / "timings" / f"{name}.json", {**document, "schema": schema.SCHEMA})

    def timing(self, scenario: str) -> dict[str, Any] | None:
        """The timed rounds of a scenario, or None where it was not timed or they are damaged."""
        return self._read(f"timings/{trust.scenario_name(scenario)}.json", "timing", trust.check_timing)

    def log_path(self, cell_id: str) -> Path:
        """Where a cell's framework output goes."""
        return self.path / "logs" / f"{trust.cell_id(cell_id)}.log"

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

    # Reading with suspicion

    def _cell_path(self, cell_id: str) -> Path:
        return self.path / "cells" / f"{cell_id}.json"

    def _trace_path(self, cell_id: str) -> Path:
        return self.path / "traces" / f"{cell_id}.npz"

    def _read(
        self, name: str, kind: str, check: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> dict[str, Any] | None:
        try:
            document = schema.upgrade(trust.read_json(self.path / name), kind)
            check(document)
        except FileNotFoundError:
            return None
        except (ValueError, OSError, RecursionError) as error:
            self._damaged[name] = trust.one_line(error)
            return None
        return document

    def _trace_bytes(self, cell_id: str, outcome: Outcome) -> bytes | None:
        """The file's content if its hash is the outcome's; the path in the outcome is not followed."""
        try:
            content = self._trace_path(cell_id).read_bytes()
        except OSError as error:
            self._damaged[f"traces/{cell_id}.npz"] = error.strerror or "cannot be read"
            return None
        if hashlib.sha256(content).hexdigest() != outcome.get("trace_sha256"):
            self._damaged[f"traces/{cell_id}.npz"] = "is truncated or changed (not the hash in its outcome)"
            return None
        return content

    def _scan(self) -> None:
        planned = {cell_id for _, cell_id, _ in self.planned()}
        for folder, suffix in (("cells", ".json"), ("traces", ".npz")):
            for file in sorted((self.path / folder).glob("*")):
                if not file.name.startswith(".") and (file.suffix != suffix or file.stem not in planned):
                    self._damaged[f"{folder}/{file.name}"] = "does not belong to this run"
        for cell_id in planned:
            outcome = self.outcome(cell_id)
            if outcome is not None and outcome.get("trace"):
                self._trace_bytes(cell_id, outcome)


def _frames() -> ModuleType:
    from harness.store import frames

    return frames
