"""The cell in question: found in its run by id or name, judged, with the place its judgement points at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qparity.parity import Judgement, Observation, Stage
from qparity.parity.audit import Audit, audit
from qparity.parity.boundary import values_at
from qparity.parity.comparison import REFERENCE, Comparison
from qparity.parity.names import weight_name
from qparity.records import Block, Program, QuantumLayer
from qparity.records.trace import Trace
from qparity.store import Run, StoreError
from qparity.summary.judging import WITHIN_S, judge_block, observations_of


class DiagnosisError(ValueError):
    """A cell that cannot be diagnosed or reproduced: one line for the user."""


@dataclass(frozen=True)
class Subject:
    """A judged cell. `block` is that of the plan; `found` is what the oracle saw.

    `trusted` says that modules may be imported which the run names: without it nothing is run but qparity's own.
    """

    block: Block
    observation: Observation
    judgement: Judgement
    found: Audit
    trusted: bool = False

    @property
    def name(self) -> str:
        """`scenario/variant`."""
        return f"{self.observation.scenario.name}/{self.observation.variant}"

    @property
    def trace(self) -> Trace:
        """The recorded arrays."""
        return self.observation.recorded

    @property
    def step(self) -> int:
        """The step that the judgement points at, counted from 0."""
        return self.judgement.step or 0

    @property
    def rows(self) -> slice:
        """The rows of that step in arrays that have a row for each sample."""
        offsets = self.trace.offsets
        return slice(int(offsets[self.step]), int(offsets[self.step + 1]))

    @property
    def layers(self) -> tuple[QuantumLayer, ...]:
        """The quantum layers as recorded."""
        return self.observation.outcome.resolved.quantum_layers

    @property
    def around_the_circuits(self) -> bool:
        """Whether the fault was found in the model as a whole, not at the boundary of a quantum layer."""
        comparison = self.comparison()
        return self.observation.whole_model and (comparison is None or comparison.by == REFERENCE)

    @property
    def of_state(self) -> bool:
        """Whether what is wrong is a variable that is not trained, such as a running mean."""
        return str(self.judgement.tensor).startswith("state/")

    def search_path(self) -> list[str]:
        """Where modules that the scenario names are looked for, as the run has it; nowhere for a shipped circuit.

        Raises:
            DiagnosisError: they would have to be imported, and the run is not trusted.
        """
        scenario = self.block.scenario
        shipped = scenario.script is None and scenario.source.startswith("qparity.")
        own = [source for source in (None if shipped else scenario.source, scenario.own_loss) if source]
        if not own:
            return []
        if scenario.script and scenario.script.recorded:
            raise DiagnosisError(f"{self.name}: it was recorded where it was trained, so nothing here can run it again")
        folders = list(self.block.search_path)
        if not self.trusted:
            module, places = own[0].partition(":")[0], " or ".join(dict.fromkeys(folders)) or "wherever Python finds it"
            does = "run" if scenario.script else "import"
            raise DiagnosisError(f"{self.name}: this would {does} {module} from {places}: if you trust that, --trust")
        return folders

    def comparison(self) -> Comparison | None:
        """The tensor that the judgement points at, else the worst one of its stage; None where the oracle has none."""
        mine = [c for c in self.found.comparisons if c.stage == self.judgement.stage and self.step in c.steps]
        named = [c for c in mine if c.tensor == self.judgement.tensor]
        return max(named or mine, key=lambda c: float(c.r.max(initial=0)), default=None)

    def layer(self, comparison: Comparison) -> int:
        """The number of the quantum layer that a tensor of stage forward or gradient belongs to."""
        label = comparison.tensor.partition("/")[0]
        for number, layer in enumerate(self.layers):
            if layer.name == label or (label == "gradients" and self.weight_of(comparison.tensor) in layer.weights):
                return number
        return 0

    def weight_of(self, tensor: str) -> int | None:
        """The place of the weight behind `gradients/<name>` or `weights/<name>`; None for another tensor."""
        kind, _, name = tensor.partition("/")
        count = len(self.observation.outcome.resolved.weights)
        named = (k for k in range(count) if weight_name(self.observation, k) == name)
        return next(named, None) if kind in ("gradients", "weights") else None

    def layer_arrays(self, number: int) -> tuple[np.ndarray, np.ndarray | None]:
        """A quantum layer's inputs (rows, features) in the step; its cotangents (rows, outputs) in a user's model."""
        trace, rows = self.trace, self.rows
        if f"layer_inputs/{number}" not in trace:
            return _flat(trace.x)[trace.batch_index[rows]], None
        if (offsets := trace.get(f"layer_offsets/{number}")) is not None:
            rows = slice(int(offsets[self.step]), int(offsets[self.step + 1]))
        return _flat(trace[f"layer_inputs/{number}"])[rows], _flat(trace[f"layer_cotangents/{number}"])[rows]

    def weights(self, kind: str = "weights") -> list[np.ndarray]:
        """All weights at the step, in Keras' order; or another kind of array that the trace has for each."""
        count = len(self.observation.outcome.resolved.weights)
        return [self.trace[f"{kind}/{k}"][self.step] for k in range(count)]

    def layer_weights(self, number: int) -> list[np.ndarray]:
        """The arrays that a quantum layer's circuit reads at the step, trained or frozen, in the program's order."""
        at = np.array([self.step])
        return [values_at(self.observation, name, at)[0] for name in self.layers[number].read]

    def program(self, number: int) -> Program:
        """The gate program of a quantum layer. DiagnosisError where none was recorded."""
        found = self.layers[number].program
        if found is None:
            raise DiagnosisError(f"{self.name}: no gate program of {self.layers[number].name} was recorded")
        return found


def find(run: Run, reference: str, trust: bool = False, within_s: float = WITHIN_S) -> Subject:
    """The cell meant by an id, or by `scenario/variant`; with `trust` modules that the run names may be imported.

    What takes the oracle longer than `within_s` is not judged: neither this cell nor others beside it.

    Raises:
        StoreError: there is no such cell. DiagnosisError: it has no judgement.
    """
    names = {place.cell_id: f"{place.scenario.name}/{place.variant}" for place in run.planned()}
    for place in run.planned():
        if reference in (place.cell_id, names[place.cell_id]):
            return _subject(run, place.block, place.cell_id, names[place.cell_id], trust, within_s)
    some = ", ".join(list(names.values())[:4])
    raise StoreError(f"{reference}: no such cell in {run.id} (expected an id or scenario/variant, such as {some})")


def _subject(run: Run, block: Block, cell_id: str, name: str, trust: bool, within_s: float) -> Subject:
    outcome, trace = run.outcome(cell_id), run.trace(cell_id)
    if outcome is None or outcome.status != "ok" or trace is None:
        status = "missing" if outcome is None else outcome.status
        why = (outcome and outcome.reason) or "no trace was recorded"
        raise DiagnosisError(f"{name}: the cell is {status} ({why}): nothing of it was judged")
    observation = next(o for o in observations_of(run, block) if o.cell == cell_id)
    judgement = judge_block(run, block, within_s)[cell_id]
    if judgement.stage is None:
        raise DiagnosisError(f"{name}: {judgement.reason}")
    return Subject(block, observation, judgement, audit(observation), trust)


def stage_of(judgement: Judgement) -> Stage:
    """The stage of a judgement that has one."""
    assert judgement.stage is not None
    return judgement.stage


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)
