"""An evaluation: one cell run with one release, and what was said of it. Kept on disk, so that none is run twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from packaging.version import Version

from qparity.environments.errors import EnvironmentProblem
from qparity.environments.interpreters import Interpreters, with_releases
from qparity.records import Worker, read
from qparity.records.document import Table
from qparity.records.kinds import Count, Number, Text
from qparity.runner.begin import begin
from qparity.runner.local import Options
from qparity.runner.sweep import sweep
from qparity.scenario.load import Block
from qparity.store import atomic, trust
from qparity.summary import summarise
from qparity.summary.view import PASSES, CellView
from qparity.summary.words import number

KEPT = "evaluations.json"


@dataclass(frozen=True, slots=True)
class Pace:
    """A release's step time over that of the good one, measured beside it in one timing block.

    `ratio` is the median over rounds, from `low` to `high` its 95% interval; `step_s` and `good_step_s` are seconds a
    step of either, `good_versions` what the good one's worker recorded. `notes` are on the rounds.
    """

    ratio: Number
    low: Number
    high: Number
    step_s: Number
    good_step_s: Number
    rounds: Count
    notes: tuple[Text, ...] = ()
    good_versions: Mapping[Text, Text] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """In short: `2.98x (2.91 to 3.07)`."""
        low, ratio, high = (number(each, 3) for each in (self.low, self.ratio, self.high))
        return f"{ratio}x ({low} to {high})"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a release came to. `reason` is why there is no verdict, or what was said with it; `run` is its folder.

    `ran` is False where the cell was not run, since no environment could be made: that is tried again another time.
    Where its step was timed in place of being judged, it has a `pace`.
    """

    release: Text
    ran: bool = True
    status: Text = "ok"
    verdict: Text | None = None
    stage: Text | None = None
    step: Count | None = None
    tensor: Text | None = None
    r: Number | None = None
    reason: Text | None = None
    run: Text | None = None
    versions: Mapping[Text, Text] = field(default_factory=dict)
    python: Text | None = None
    pace: Pace | None = None

    @property
    def passes(self) -> bool:
        """Whether it agrees within rounding."""
        return self.status == "ok" and self.verdict in PASSES

    @property
    def faulty(self) -> bool:
        """Whether something is wrong, in a place that is known."""
        return self.status == "ok" and self.verdict not in (*PASSES, None, "NOT-COMPARED")

    @property
    def kind(self) -> tuple[str | None, str | None]:
        """What must be the same for two releases to have the same fault."""
        return self.verdict, self.stage

    @property
    def said(self) -> str:
        """In short: `ROUNDING`, `PRECISION-LEAK loss`, `failed`, `2.98x (2.91 to 3.07)`."""
        if self.status != "ok":
            return self.status
        if self.pace is not None:
            return self.pace.said
        return " ".join(filter(None, (self.verdict or "no verdict", None if self.passes else self.stage)))

    @property
    def where(self) -> str:
        """Such as `step 0, loss`."""
        if not self.faulty:
            return ""
        return ", ".join(part for part in (None if self.step is None else f"step {self.step}", self.tensor) if part)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of a bisect; `scripts` are exit codes of reproducers, `<hash of the script> <release>` -> code."""

    evaluations: tuple[Evaluation, ...] = ()
    scripts: Mapping[Text, Count] = field(default_factory=dict)


class Bench:
    """Runs one cell with releases of a package on top, in a folder, where it finds again what it has run."""

    def __init__(
        self,
        folder: Path,
        block: Block,
        package: str,
        pins: tuple[str, ...],
        paths: Mapping[str, str],
        options: Options,
    ) -> None:
        self.folder, self.block, self.package, self.pins = folder, block, package, pins
        self.paths, self.options = paths, options
        self.made: list[Evaluation] = []
        """What was evaluated, in the order in which it was asked for; of these so many were `ran` and not found."""
        self.ran = 0
        try:
            kept = read(_Kept, trust.read_json(folder, KEPT))
        except (OSError, ValueError):
            kept = _Kept()
        self._kept = {each.release: each for each in kept.evaluations}
        self._scripts = dict(kept.scripts)

    def interpreters(self, release: str) -> Interpreters:
        """The interpreters with a release on top.

        Raises:
            EnvironmentProblem: there can be none.
        """
        made = with_releases([f"{self.package}=={release}", *self.pins], self.paths)
        variant = self.block.variants[0]
        made.need({variant.backend})
        return made

    def evaluate(self, release: str) -> Evaluation:
        """The evaluation of a release: the one that is kept, else a new one.

        Raises:
            KeyboardInterrupt: it was interrupted; what is kept is whole.
        """
        if there := next((each for each in self.made if each.release == release), None):
            return there
        there = self._kept.get(release)
        if there is None or not there.ran:
            there = self.evaluated(release)
            self.ran += 1
            self._kept[release] = there
            self._keep()
        self.made.append(there)
        return there

    def script_ended(self, key: str, run: Callable[[], int | None]) -> int | None:
        """The exit code of a reproducer: the one that is kept, else that of running it; None is not kept."""
        if key not in self._scripts:
            code = run()
            if code is None or code < 0:
                return code
            self._scripts[key] = code
            self._keep()
        return self._scripts[key]

    def _keep(self) -> None:
        kept: Table = {"evaluations": [asdict(each) for each in self._kept.values()], "scripts": self._scripts}
        atomic.write_json(self.folder / KEPT, kept)

    def evaluated(self, release: str) -> Evaluation:
        """A new evaluation: the verdict of the cell with this release.

        Raises:
            KeyboardInterrupt: it was interrupted.
        """
        try:
            interpreters = self.interpreters(release)
        except EnvironmentProblem as error:
            return Evaluation(release, ran=False, status="not installed", reason=str(error))
        place = self.folder / release
        shutil.rmtree(place, ignore_errors=True)  # of a run that was killed
        options = Options(
            threads=self.options.threads, timeout=self.options.timeout, interpreters=interpreters.paths, jobs=1
        )
        command = ["qparity", "bisect", self.block.scenario.name, "--with", f"{self.package}=={release}"]
        run, blocks = begin([self.block], place, None, None, command, False, interpreters)
        if not sweep(run, blocks, options):
            raise KeyboardInterrupt
        cell = summarise(run).cells[0]
        outcome = run.outcome(cell.id)
        worker = run.record.workers.get(outcome.worker or "") if outcome else None
        found = _of(release, cell, run.path.relative_to(self.folder).as_posix())
        if worker is None:
            return found
        versions = dict(worker.versions)
        if why := self.mistaken(worker, release):
            return Evaluation(release, status="failed", reason=why, run=found.run, versions=versions)
        return replace(found, versions=versions, python=worker.python)

    def mistaken(self, worker: Worker, release: str) -> str | None:
        """Why what a worker did says nothing of a release: it had another one."""
        imported = worker.versions.get(self.package.replace("-", "_"))
        if imported is not None and Version(imported).public == Version(release).public:
            return None
        return f"its worker had {self.package} {imported}"


def _of(release: str, cell: CellView, run: str) -> Evaluation:
    return Evaluation(
        release,
        status=cell.status,
        verdict=cell.verdict,
        stage=cell.stage,
        step=cell.step,
        tensor=cell.tensor,
        r=cell.r,
        reason=cell.reason,
        run=run,
    )
