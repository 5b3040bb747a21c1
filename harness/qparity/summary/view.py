"""The view model: everything that is shown of a run, decided once and rendered many times."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qparity.records import Environment, Program, Resolved, read
from qparity.scenario.schema import Scenario
from qparity.timing import NOISE, Crossing, Growth, LaneTiming, crossings

Mark = Literal["pass", "expected", "fail", "error", "uncompared", "unsupported"]
"""What a cell looks like everywhere: agrees, shows the fault that is expected of it, disagrees, did not
finish, was not compared, cannot run. Only `pass` and `expected` are good; `unsupported` is neutral."""

SYMBOLS: dict[Mark, str] = {
    "pass": "✓", "expected": "≈", "fail": "✗", "error": "!", "uncompared": "?", "unsupported": "–",
}  # fmt: skip
PEERS_AGREE = "PEERS-AGREE"
PASSES = ("ROUNDING", PEERS_AGREE)
STAGES = ("setup", "forward", "loss", "gradient", "hessian", "update")
MOST_CURVES = 2400
"""Cells with curves in one report: some 8 MB."""
COMPUTED = ("forward", "loss", "gradient")
"""The stages whose right bits are counted in a cell's headline."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """How one stage of a cell went, step by step: float64 arrays of shape (steps,)."""

    stage: str
    residual: np.ndarray
    tolerance: np.ndarray
    r: np.ndarray
    effective_bits: np.ndarray


@dataclass(frozen=True, slots=True)
class Bits:
    """How many leading bits are `right` `of` those that there could be, and the stage that lost most of them."""

    right: int
    of: int
    stage: str

    @property
    def lost(self) -> int:
        """How many are wrong."""
        return self.of - self.right

    def __str__(self) -> str:
        return f"{self.right}/{self.of}"


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A one-dimensional data set and a model's last epoch of predictions; arrays of shape (samples,)."""

    x: np.ndarray
    target: np.ndarray
    prediction: np.ndarray


@dataclass(frozen=True, slots=True)
class Pair:
    """The largest difference between two variants of a scenario at one stage, and the tolerance for it."""

    scenario: str
    a: str
    b: str
    stage: str
    step: int
    tensor: str
    difference: float
    tolerance: float

    @property
    def share(self) -> float:
        """The difference over its tolerance."""
        if not self.difference:
            return 0.0
        return self.difference / self.tolerance if self.tolerance else np.inf


@dataclass(frozen=True, slots=True, eq=False)
class CellView:
    """One scenario on one variant. `step` counts from 0; phases are in seconds, memory in bytes.

    `judged` of `judgeable` tensors of all steps were judged by something independent; `by_design` says that a cell that
    was not compared could not be (it draws random numbers), so that nobody need be alarmed.

    `timed_on` is the machine of its timed rounds, `untimed` why it
    has no place in those of its scenario, `limit_s` the least time that this machine needs for a step's arithmetic and
    memory traffic, `settings` the scenario as it was run, `source` the file that describes it. `known` is why an entry
    of an expectations file speaks of it, `link` where that is told. `right_bits` are the leading bits that are right of
    `digits` that there could be, by stage (`parity.bits`); `got` is what stands at the place that the verdict names,
    `should_be` what is expected there; `injected` says that its fault was put there on purpose,
    `judges` who said what is expected: `oracle`, `reference`. `series`, `loss` and `fit` are empty where no pictures
    were asked for, and in a large run where nothing is unexpected (`summarise`).
    """

    id: str
    scenario: str
    variant: str
    status: str
    mark: Mark
    line: str
    verdict: str | None = None
    expected: str = "ROUNDING"
    stage: str | None = None
    step: int | None = None
    tensor: str | None = None
    index: tuple[int, ...] = ()
    r: float | None = None
    effective_bits: float | None = None
    smallest_tolerance: float | None = None
    judged: int = 0
    judgeable: int = 0
    by_design: bool = False
    reason: str | None = None
    annotations: tuple[str, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    baseline_bytes: int | None = None
    peak_bytes: int | None = None
    gpu_peak_bytes: int | None = None
    resolved: Resolved = field(default_factory=Resolved)
    log: str | None = None
    reproduce: str | None = None
    series: tuple[Series, ...] = ()
    loss: np.ndarray | None = None
    fit: Fit | None = None
    timing: LaneTiming | None = None
    timed_on: Mapping[str, Any] = field(default_factory=dict)
    untimed: str | None = None
    limit_s: float | None = None
    settings: Scenario | None = None
    source: str | None = None
    known: str | None = None
    link: str | None = None
    right_bits: Mapping[str, int] = field(default_factory=dict)
    digits: int | None = None
    got: float | str | None = None
    should_be: float | str | None = None
    injected: bool = False
    judges: tuple[str, ...] = ()

    @property
    def bits(self) -> Bits | None:
        """The right bits of what was computed: the fewest of forward, loss and gradient.

        The update is left out: to round the new weights alone takes its last bit. None unless both forward and
        gradient were judged.
        """
        mine = {stage: self.right_bits[stage] for stage in COMPUTED if stage in self.right_bits}
        if not self.digits or not {"forward", "gradient"} <= mine.keys():
            return None
        worst = min(mine, key=lambda stage: mine[stage])
        return Bits(mine[worst], self.digits, worst)

    @property
    def fault_bits(self) -> Bits | None:
        """The right bits of the stage at fault; None where it was not found by comparing numbers."""
        if self.effective_bits is None or not self.digits or not self.stage or self.stage not in self.right_bits:
            return None
        return Bits(self.right_bits[self.stage], self.digits, self.stage)

    @property
    def name(self) -> str:
        """Such as `fourier-l2 · jax-jit`."""
        return f"{self.scenario} · {self.variant}"

    @property
    def as_expected(self) -> bool:
        """False exactly for the cells that keep the exit code from being 0."""
        return self.mark in ("pass", "expected", "unsupported")

    @property
    def judged_by(self) -> Literal["oracle", "variants"] | None:
        """Of a pass, who says so: an independent reference of everything, or in part other backends alone."""
        return None if self.mark != "pass" else "variants" if self.verdict == PEERS_AGREE else "oracle"

    @property
    def symbol(self) -> str:
        """One character for tables."""
        return SYMBOLS[self.mark]

    @property
    def where(self) -> str:
        """Such as `step 15, gradient, weights[2,5,2]`; empty where nothing is at fault."""
        place = f"[{','.join(map(str, self.index))}]" if self.index else ""
        parts = (None if self.step is None else f"step {self.step}", self.stage, (self.tensor or "") + place)
        return ", ".join(part for part in parts if part)

    @property
    def speed(self) -> Literal["plain", "noted", "struck"]:
        """How a time of this cell may be shown: only a pass earned a plain one."""
        return "plain" if self.mark == "pass" else "noted" if self.mark == "expected" else "struck"

    @property
    def step_s(self) -> float | None:
        """Seconds a steady training step takes: of the timed rounds, else of the audit (unpaired)."""
        return self.timing.step_s if self.timing else self.phases.get("step_s")

    @property
    def above_limit(self) -> float | None:
        """How many times the machine's limit (`qparity.timing.limit`) a step takes; None where either is unknown."""
        return self.step_s / self.limit_s if self.step_s and self.limit_s else None


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Cells that failed, or cannot run, for the same reason."""

    status: str
    reason: str
    cells: tuple[CellView, ...]


@dataclass(frozen=True, eq=False)
class RunView:
    """One run, judged. `exit_code` is 0 good or as expected, 1 disagreement, 3 failed or not compared.

    `problems` are what the gate has against the run as a whole: expectations that do not hold, too little coverage,
    a slowdown; `notes` what merging found different between the runs that it is made of. `growths` are step times over
    wires, layers or batch size, with fitted exponents. `peers` is a line on the passes that nobody independent
    judged in part; empty where there are none. `untimed` is one on what was not timed though it could be, with what to
    do about it; empty where there is nothing. `folder` is where the run is kept.
    """

    id: str
    state: str
    created: str
    finished: str | None
    command: str
    agreement: str
    rest: str
    exit_code: int
    scenarios: tuple[str, ...]
    variants: tuple[str, ...]
    cells: tuple[CellView, ...]
    counts: Mapping[Mark, int]
    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    environment: Mapping[str, Any]
    workers: Mapping[str, Any]
    sources: tuple[str, ...]
    drawings: Mapping[str, str]
    programs: Mapping[str, tuple[Program, ...]]
    damaged: tuple[tuple[str, str], ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    growths: tuple[Growth, ...] = ()
    peers: str = ""
    untimed: str = ""
    folder: Path | None = None

    @cached_property
    def ran_on(self) -> Environment:
        """What `environment` says, of which every entry is shown, as a record."""
        return read(Environment, self.environment)

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], CellView]:
        return {(cell.scenario, cell.variant): cell for cell in self.cells}

    def cell(self, scenario: str, variant: str) -> CellView | None:
        """The cell at a place of the matrix; None where it was not planned."""
        return self._by_place.get((scenario, variant))

    @property
    def sentence(self) -> str:
        """The verdict: agreement, the first divergence, and what failed or could not run."""
        first = self.first
        middle = f"First: {first.name}, {first.where} ({first.verdict})." if first else ""
        return " ".join(part for part in (self.agreement, middle, self.rest, *self.problems) if part)

    @property
    def exit_code_of_run(self) -> int:
        """What `run` ends with where nobody asked for the gate: 3 if something did not finish, else 0."""
        return 3 if self.counts["error"] else 0

    @property
    def good(self) -> bool:
        """Whether the run is what was expected."""
        return self.exit_code == 0

    @property
    def compared(self) -> int:
        """How many cells were judged against something."""
        return self.counts["pass"] + self.counts["expected"] + self.counts["fail"] - self.ended_as_expected

    @property
    def ended_as_expected(self) -> int:
        """How many cells did not finish, as an expectations file says they do."""
        return sum(cell.mark == "expected" and cell.status != "ok" for cell in self.cells)

    @property
    def first(self) -> CellView | None:
        """The unexpected disagreement that happens earliest: by step, then stage, then place in the run."""
        failing = [cell for cell in self.cells if cell.mark == "fail"]
        return min(failing, key=_moment, default=None)

    @cached_property
    def wrong(self) -> dict[str, list[CellView]]:
        """Variant -> its cells that disagree, of those that have such a cell: no time of theirs is advice."""
        found: dict[str, list[CellView]] = {}
        for cell in self.cells:
            if cell.mark == "fail":
                found.setdefault(cell.variant, []).append(cell)
        return found

    @property
    def fewest_bits(self) -> tuple[CellView, Bits] | None:
        """The pass that lost most leading bits."""
        found = [(cell, cell.bits) for cell in self.cells if cell.mark == "pass"]
        return max(((c, b) for c, b in found if b), key=lambda item: item[1].lost, default=None)

    @cached_property
    def above_limits(self) -> dict[str, float]:
        """Geometric mean of `above_limit` of each variant, over the scenarios where all of them passed.

        A variant that was timed nowhere is left out; empty if no scenario has all the others.
        """
        return self._shared_means({place: cell.above_limit for place, cell in self._passed if cell.above_limit})

    @cached_property
    def energies(self) -> dict[str, float]:
        """Geometric mean of the joules a step of each variant, over the scenarios where all of them passed.

        Empty on a machine without counters (`qparity.timing.energy`).
        """
        timed = ((place, cell.timing) for place, cell in self._passed)
        return self._shared_means({place: timing.energy_j for place, timing in timed if timing and timing.energy_j})

    @property
    def _passed(self) -> list[tuple[tuple[str, str], CellView]]:
        return [(place, cell) for place, cell in self._by_place.items() if cell.mark == "pass"]

    def _shared_means(self, values: Mapping[tuple[str, str], float]) -> dict[str, float]:
        variants = [variant for variant in self.variants if any(place[1] == variant for place in values)]
        shared = [name for name in self.scenarios if variants and all((name, v) in values for v in variants)]
        if not shared:
            return {}
        return {v: float(np.exp(np.mean([np.log(values[name, v]) for name in shared]))) for v in variants}

    @property
    def crossings(self) -> list[Crossing]:
        """Between which sizes two variants change places."""
        return crossings(self.growths, self.noise)

    @property
    def noise(self) -> float:
        """The relative difference below which two variants count as equally fast."""
        return max((cell.timing.noise for cell in self.cells if cell.timing), default=NOISE)


def _moment(cell: CellView) -> tuple[int, int]:
    stage = STAGES.index(cell.stage) if cell.stage in STAGES else len(STAGES)
    return (-1 if cell.step is None else cell.step, stage)
