"""A release's step time: the cell with it and with the good release, in turn in one timing block."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

from qparity.environments.errors import EnvironmentProblem
from qparity.releases.evaluation import Bench, Evaluation, Pace
from qparity.runner.local import Options
from qparity.runner.pair import Pair, Side, time_pair
from qparity.runner.plan import make_blocks
from qparity.runner.rounds import TimingOptions
from qparity.scenario.load import Block
from qparity.store import atomic
from qparity.timing import read_block

TIMING = "timing.json"


class PaceBench(Bench):
    """Times one cell with releases of a package on top, each beside the release `good`."""

    def __init__(
        self,
        folder: Path,
        block: Block,
        package: str,
        pins: tuple[str, ...],
        paths: Mapping[str, str],
        options: Options,
        good: str,
        rounds: int,
    ) -> None:
        super().__init__(folder, block, package, pins, paths, options)
        self.good, self.rounds = good, rounds

    def evaluated(self, release: str) -> Evaluation:
        """A new evaluation: the step time with this release over that with the good one.

        Raises:
            KeyboardInterrupt: it was interrupted.
        """
        sides = []
        for one in (self.good, release):
            try:
                sides.append(Side(one, self.interpreters(one).paths))
            except EnvironmentProblem as error:
                return Evaluation(release, ran=False, status="not installed", reason=self._of(one, release, str(error)))
        place = self.folder / release
        shutil.rmtree(place, ignore_errors=True)  # of one that was killed
        place.mkdir()
        (block,) = make_blocks([self.block])
        options = TimingOptions(rounds=self.rounds, timeout=self.options.timeout)
        found = time_pair(block, sides, place / "logs", self.options.threads, options)
        atomic.write_json(place / TIMING, found.timing.raw)
        return self._read(release, found)

    def _read(self, release: str, found: Pair) -> Evaluation:
        """What the rounds say."""
        worker = found.workers.get(release)
        versions, python = (dict(worker.versions), worker.python) if worker else ({}, None)

        def failed(why: str) -> Evaluation:
            return Evaluation(release, status="failed", reason=why, versions=versions, python=python)

        for one in (self.good, release):
            side = found.workers.get(one)
            if side and (why := self.mistaken(side, one)):
                return failed(self._of(one, release, why))
        timed = read_block(found.timing, self.good)
        for one in (self.good, release):
            if one not in timed.lanes:
                return failed(self._of(one, release, timed.left_out.get(one, "it was not timed")))
        mine, theirs = timed.lanes[release], timed.lanes[self.good]
        ratio = mine.ratio
        if ratio is None or not (ratio.low > 0 and math.isfinite(ratio.high)):
            return failed(f"{mine.rounds} undisturbed rounds are too few for an interval")
        good = dict(found.workers[self.good].versions)
        times = mine.step_s, theirs.step_s
        pace = Pace(ratio.estimate, ratio.low, ratio.high, *times, mine.rounds, mine.notes, good)
        return Evaluation(release, versions=versions, python=python, pace=pace)

    def _of(self, one: str, release: str, why: str) -> str:
        return why if one == release else f"{self.package} {one}, which it is measured beside: {why}"
