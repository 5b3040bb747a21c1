"""The words of the judge: verdicts, stages, what is observed of a cell, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from qparity import oracle
from qparity.oracle.optimizers import Law
from qparity.records import Outcome, Program, QuantumLayer
from qparity.records.document import Table
from qparity.records.outcome import Expected
from qparity.records.trace import Trace
from qparity.scenario.optimizer import Optimizer
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import MODES


class Verdict(StrEnum):
    """What is said of a cell that ran."""

    ROUNDING = "ROUNDING"
    PEERS_AGREE = "PEERS-AGREE"
    LOCAL_FAULT = "LOCAL-FAULT"
    PRECISION_LEAK = "PRECISION-LEAK"
    SETUP_FAULT = "SETUP-FAULT"
    NOT_COMPARED = "NOT-COMPARED"


PASSES = (Verdict.ROUNDING, Verdict.PEERS_AGREE)
"""The verdicts that find nothing wrong: judged by an independent reference, or by other backends alone."""


class Stage(StrEnum):
    """Where in a step a fault sits, in the order things happen."""

    SETUP = "setup"
    FORWARD = "forward"
    LOSS = "loss"
    GRADIENT = "gradient"
    HESSIAN = "hessian"
    UPDATE = "update"


STAGES = tuple(Stage)
STEP_STAGES = (Stage.FORWARD, Stage.LOSS, Stage.GRADIENT, Stage.UPDATE)
"""Of every step; second derivatives are looked at where a scenario asks for them."""


SAMPLED_METHODS = ("spsa",)


class Differentiated(NamedTuple):
    """A differentiation method, and the step of its differences where one was given."""

    method: str
    step: float | None = None

    @classmethod
    def of(cls, method: str, step: Any) -> Differentiated:
        """A step that is no number is none."""
        return cls(method, float(step) if isinstance(step, int | float) else None)

    @property
    def asked(self) -> tuple[str, dict[str, float]]:
        """As `tolerances.gradient` takes it."""
        return self.method, {} if self.step is None else {"h": self.step}


@dataclass(frozen=True, slots=True)
class Observation:
    """A cell as the judge sees it: all of it comes from the run folder.

    `trace` (docs/architecture.md) is None where the cell recorded none. `program` is the circuit of a bare cell as the
    cell's own worker reads the function, None where there is none; `expected` what the parent sent and declared.
    `family` is how many cells of the run are judged by statistical tests, which share one error probability.
    """

    outcome: Outcome
    trace: Mapping[str, np.ndarray] | None = None
    expected: Expected = field(default_factory=Expected)
    program: Program | None = None
    family: int = 1

    @classmethod
    def of(cls, outcome: Outcome, trace: Mapping[str, np.ndarray] | None, family: int = 1) -> Observation:
        """A cell by what is kept of it."""
        return cls(outcome, trace, outcome.expected, outcome.program, family)

    @property
    def recorded(self) -> Trace:
        """The trace, where there must be one."""
        assert self.trace is not None
        return self.trace if isinstance(self.trace, Trace) else Trace(self.trace)

    @property
    def cell(self) -> str:
        """The cell's id."""
        return self.outcome.id

    @property
    def variant(self) -> str:
        """The variant's canonical name."""
        return self.outcome.variant

    @property
    def backend(self) -> str:
        """The framework behind the variant: variants of one backend share code, and are one witness."""
        name = self.variant.partition("@")[0]
        return MODES[name][0] if name in MODES else name

    @property
    def scenario(self) -> Scenario:
        """What was trained."""
        return self.outcome.scenario

    @property
    def dtype(self) -> str:
        """The declared dtype."""
        return self.scenario.dtype

    @property
    def precision(self) -> str:
        """The coarsest type that the model computes in: what its predictions can be right to."""
        return self.outcome.resolved.precision or self.dtype

    @property
    def method(self) -> str:
        """The differentiation method that PennyLane chose, else the declared one."""
        return self.outcome.resolved.diff_method or self.scenario.diff_method

    def differentiated_by(self, layer: QuantumLayer) -> Differentiated:
        """How a quantum layer is differentiated; as the scenario has it, where the layer does not say."""
        return Differentiated.of(
            layer.diff_method or self.method, layer.diff_step or self.scenario.diff_options.get("h")
        )

    @property
    def differentiated(self) -> tuple[Differentiated, ...]:
        """How each circuit of the model is differentiated: its quantum layers, and the QNodes of layers of its own."""
        found = [self.differentiated_by(layer) for layer in self.outcome.resolved.quantum_layers]
        qnodes = self.outcome.audit.qnodes
        found += [Differentiated.of(qnode.diff_method or "best", qnode.diff_step) for qnode in qnodes]
        return tuple(dict.fromkeys(found)) or (self.differentiated_by(QuantumLayer()),)

    @property
    def sampled_by_itself(self) -> tuple[str, ...]:
        """What samples, and no scenario knows: QNodes of the model's own layers, and layers with shots of their own.

        Their results, or gradients, are other ones each time.
        """
        names = {q.name for q in self.outcome.audit.qnodes if q.shots or q.diff_method in SAMPLED_METHODS}
        if not self.scenario.shots:
            names |= {layer.name for layer in self.outcome.resolved.quantum_layers if layer.shots}
        return tuple(sorted(names))

    @property
    def sampled(self) -> bool:
        """Whether anything in a step is sampled: shots, directions of SPSA."""
        methods = {self.scenario.diff_method, *(each.method for each in self.differentiated)}
        return bool(self.scenario.shots or self.sampled_by_itself or methods & set(SAMPLED_METHODS))

    @property
    def by_differences(self) -> frozenset[int]:
        """The weights that PennyLane's parameter-shift differentiates by finite differences; none of another method's.

        They set the strength of a channel without a shift rule, as the reference reads the circuit, or else the cell.
        """
        if self.method != "parameter-shift":
            return frozenset()
        found: set[int] = set()
        places = range(len(self.outcome.resolved.weights))
        layers = self.outcome.resolved.quantum_layers
        programs = self.outcome.reference.programs or self.outcome.resolved.programs
        for program, layer in zip(programs, layers, strict=False):
            names = [f"weights/{k}" for k in places if k in layer.weights]
            read = dict(zip((w.name for w in program.weights), layer.arrays or names, strict=False))
            mine = {read.get(name, "") for name in program.by_differences}
            found |= {k for k in places if f"weights/{k}" in mine}
            if "inputs" in program.by_differences:
                found |= {k for k in places if k not in layer.weights}
        return frozenset(found)

    @property
    def optimizer(self) -> Mapping[str, Any]:
        """The optimizer's table, every field of it."""
        return _table(self.scenario.training.optimizer)

    def law(self, dtype: str, real: type, unit: float) -> Law:
        """The law of its optimizer, see `oracle.law_of`."""
        return _law(self.scenario.training.optimizer, dtype, real, unit)

    @property
    def declared(self) -> Mapping[str, Any]:
        """The optimizer's arguments as the declared dtype holds them."""
        return _declared(self.scenario.training.optimizer, self.dtype)

    @property
    def whole_model(self) -> bool:
        """Whether it is a model of a user's own, with more around its quantum layers than an input."""
        return bool(self.scenario.model)

    @property
    def draws(self) -> bool:
        """Whether a step of the model draws random numbers that are other ones on every backend (dropout, samples).

        A QNode in a layer of the model's own samples, or a generator's state has moved, and the numbers were not the
        shared ones.
        """
        if self.sampled_by_itself:
            return True
        if self.scenario.training.draws == "shared" and not self.outcome.audit.own_draws:
            return False
        state = self.outcome.resolved.state
        seeds = [j for j, about in enumerate(state) if about.path.endswith("seed_generator_state")]
        return any(len((self.trace or {}).get(f"state/{j}", ())) > 1 for j in seeds)

    @property
    def loss(self) -> str:
        """The name of the loss; a script's own has none that says what it is."""
        script = self.scenario.script
        return "the script's own" if script and "loss" in script.own else self.scenario.training.loss

    @property
    def own_optimizer(self) -> bool:
        """Whether it is trained with an optimizer of a script's own, which no law says."""
        return bool(self.scenario.script and "optimizer" in self.scenario.script.own)

    @property
    def targets(self) -> np.ndarray:
        """What each row's predictions are to be, (rows, outputs); a column of zeros where the loss asks for none."""
        index = self.recorded.batch_index
        if self.loss == "energy":
            return np.zeros((len(index), 1))
        y = self.recorded.y
        return np.asarray(y.reshape(len(y), -1)[index])

    @property
    def sample_weights(self) -> np.ndarray | None:
        """What each row's loss is multiplied by, (rows,); None where the scenario weighs nothing."""
        if self.scenario.data.weight is None:
            return None
        return np.asarray(self.recorded.sample_weight[self.recorded.batch_index])


# The same for all cells that have the optimizer
@lru_cache(maxsize=64)
def _table(optimizer: Optimizer) -> Mapping[str, Any]:
    return dict(optimizer)


@lru_cache(maxsize=64)
def _law(optimizer: Optimizer, dtype: str, real: type, unit: float) -> Law:
    return oracle.law_of(_table(optimizer), dtype, real, unit)


@lru_cache(maxsize=64)
def _declared(optimizer: Optimizer, dtype: str) -> Mapping[str, Any]:
    return oracle.declared_hyperparameters(_table(optimizer), dtype)


@dataclass(frozen=True, slots=True)
class StageSeries:
    """One stage of a cell over all steps: arrays (T,), NaN at steps that were not audited.

    At each step `residual` and `tolerance` are those of the element with the largest r of all tensors of
    the stage, `effective_bits` those of the element that has fewest.
    """

    residual: np.ndarray
    tolerance: np.ndarray
    r: np.ndarray
    effective_bits: np.ndarray
    worst_step: int | None

    def to_dict(self) -> Table:
        """Plain lists for JSON; what is not finite becomes None."""
        columns = ("residual", "tolerance", "r", "effective_bits")
        return {name: [_plain(v) for v in getattr(self, name)] for name in columns} | {"worst_step": self.worst_step}


@dataclass(frozen=True, slots=True)
class PairDifference:
    """The largest difference to another variant at one stage, measured against the pairwise tolerance."""

    other: str
    stage: Stage
    step: int
    tensor: str
    difference: float
    tolerance: float

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return {
            "other": self.other,
            "stage": str(self.stage),
            "step": self.step,
            "tensor": self.tensor,
            "difference": _plain(self.difference),
            "tolerance": _plain(self.tolerance),
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of a cell, and where.

    For a fault, stage, step, tensor and index locate its first sign; for a pass they say where the margin
    was thinnest. Step counts from 0. `smallest_tolerance` is the absolute tolerance that this stage would
    have needed. `right_bits` are the leading bits that are right of `digits` that could be (`parity.bits`), of each
    stage all of which was judged. `judges` names who said what is expected (`parity.comparison`). `unjudged` are the
    tensors that nobody independent judged; `first_tolerances` those of the oracle at step 0, (rows, elements), where
    the scenario is compared with others.
    """

    verdict: Verdict
    reason: str
    stage: Stage | None = None
    step: int | None = None
    tensor: str | None = None
    index: tuple[int, ...] | None = None
    got: float | str | None = None
    expected: float | str | None = None
    residual: float | None = None
    tolerance: float | None = None
    r: float | None = None
    effective_bits: float | None = None
    ulps: float | None = None
    smallest_tolerance: float | None = None
    stages: Mapping[Stage, StageSeries] = field(default_factory=dict)
    annotations: tuple[str, ...] = ()
    pairs: tuple[PairDifference, ...] = ()
    judged: int = 0
    judgeable: int = 0
    by_design: bool = False
    right_bits: Mapping[Stage, int] = field(default_factory=dict)
    digits: int | None = None
    judges: tuple[str, ...] = ()
    unjudged: tuple[tuple[Stage, str], ...] = ()
    first_tolerances: Mapping[tuple[Stage, str], np.ndarray] = field(default_factory=dict)

    def to_dict(self) -> Table:
        """Plain values for JSON (series and pairs excluded: ask them for theirs)."""
        plain = (
            "got",
            "expected",
            "residual",
            "tolerance",
            "r",
            "effective_bits",
            "ulps",
            "smallest_tolerance",
        )
        return {
            "verdict": str(self.verdict),
            "stage": None if self.stage is None else str(self.stage),
            "step": self.step,
            "tensor": self.tensor,
            "index": None if self.index is None else list(self.index),
            **{name: _plain(getattr(self, name)) for name in plain},
            "reason": self.reason,
            "annotations": list(self.annotations),
            "judged": self.judged,
            "judgeable": self.judgeable,
        }


def _plain(value: Any) -> Any:
    """A number as JSON has it: NaN and infinity become None."""
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
