"""What is kept of a cell: `cells/<id>.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Literal, get_args

from qparity.records.document import Document, Part
from qparity.records.kinds import (
    Count,
    Kind,
    Name,
    Number,
    Scalar,
    Seconds,
    Sha,
    Text,
    Unreadable,
    Whole,
    matches,
)
from qparity.records.program import Program
from qparity.scenario.errors import ScenarioError
from qparity.scenario.schema import Scenario
from qparity.scenario.validate import validate

Status = Literal["ok", "failed", "timeout", "crashed", "unsupported", "diverged"]
STATUSES: tuple[str, ...] = get_args(Status)
Array = Annotated[str, Kind("weights/<number> or state/<number>", matches(r"(weights|state)/(0|[1-9]\d{0,5})", 20))]
Log = Annotated[str, Kind("logs/<name>", matches(r"logs/[A-Za-z0-9._@+-]+", 300))]
Hyperparameters = Mapping[Name, bool | Number | None]
Dtypes = Mapping[Text, Name | tuple[Name, ...]]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What Keras does to a weight after each update, as Keras writes it."""

    name: Name = ""
    config: Mapping[Name, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a model, trained or not.

    `layer` is the quantum layer that has it, `unit` the layer of any kind, no model. `random`: the model draws its
    starting value.
    """

    path: Text = ""
    shape: tuple[Count, ...] = ()
    dtype: Name | None = None
    device: Name | None = None
    layer: Text | None = None
    unit: Text | None = None
    random: bool = False
    constraint: Constraint | None = None


@dataclass(frozen=True, slots=True)
class QuantumLayer:
    """A quantum layer of a model.

    `weights` are the numbers of those of its weights that are trained, `arrays` the trace's names of all that its
    program has; `diff_method` is what PennyLane resolved, `diff_step` the step of its differences where one was given;
    `expanded` is why a batch runs as single circuits, `computed` why it is not the function's code that
    runs, `drawing` the circuit as text.
    """

    name: Text = ""
    dtype: Name | None = None
    diff_method: Name | None = None
    diff_step: Number | None = None
    shots: Count | None = None
    weights: tuple[Count, ...] = ()
    expanded: Text | None = None
    computed: Text | None = None
    arrays: tuple[Array, ...] = ()
    program: Program | None = None
    drawing: Text | None = None

    @property
    def read(self) -> tuple[str, ...]:
        """The trace's names of the arrays that its program reads, in the program's order."""
        return self.arrays or tuple(f"weights/{k}" for k in self.weights)


@dataclass(frozen=True, slots=True)
class CalledQNode:
    """A QNode that a layer of the model's own called: its function's name, and how it is differentiated and sampled."""

    name: Text = ""
    diff_method: Name | None = None
    diff_step: Number | None = None
    shots: Count | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """What stood behind the model.

    `precision` is the coarsest type that a layer computes in, `own` what the model replaces of Keras' training,
    `simulated_on` where the simulator ran (`framework`, `cpu`, `gpu`), `flags` the framework's settings.
    """

    interface: Name | None = None
    device: Name | None = None
    diff_method: Name | None = None
    simulated_on: tuple[Name, ...] = ()
    dtype: Name | None = None
    mode: Name | None = None
    bare: bool | None = None
    precision: Name | None = None
    own: tuple[Name, ...] = ()
    weights: tuple[Variable, ...] = ()
    state: tuple[Variable, ...] = ()
    quantum_layers: tuple[QuantumLayer, ...] = ()
    flags: Mapping[Text, Scalar] = field(default_factory=dict)

    @property
    def programs(self) -> tuple[Program, ...]:
        """The circuits of its quantum layers, as the cell's own worker read them."""
        return tuple(layer.program for layer in self.quantum_layers if layer.program is not None)


@dataclass(frozen=True, slots=True)
class Hashes:
    """SHA-256 of the bytes of data, order and starting values; None where none was kept."""

    x: Sha | None = None
    y: Sha | None = None
    sample_weight: Sha | None = None
    order: Sha | None = None
    weights: tuple[Sha, ...] | None = None
    state: tuple[Sha, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """What the reference said: the circuits as it read them, at how many `steps` of `of` it was asked; or why not.

    `told` is the backend that the model's own code was told it is on, where it has no entry for NumPy. `qnodes` are
    the circuits that it ran tape by tape, with who simulated them.
    """

    programs: tuple[Program, ...] | None = None
    reason: Text | None = None
    seed: Count | None = None
    steps: Count | None = None
    of: Count | None = None
    evaluations: Count | None = None
    wall_s: Number | None = None
    told: Text | None = None
    qnodes: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Juror:
    """Another backend that computed a cell's recorded steps anew: how many `steps` of `of`; or why it did not.

    `precision` is the coarsest type that it computed in.
    """

    reason: Text | None = None
    precision: Name | None = None
    steps: Count | None = None
    of: Count | None = None
    seed: Count | None = None
    evaluations: Count | None = None
    wall_s: Number | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """The recorded training, run twice: by how much each array differs, None where it is no number."""

    bitwise: bool = False
    differences: Mapping[Text, Number | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audit:
    """What the worker read of the recorded training.

    `without_gradient` are numbers of weights, `own_draws` functions of keras.random that drew the backend's own
    numbers, `qnodes` are those that the model's own layers called, `boundaries` is "recorded" or why
    not, `nonfinite` counts by array.
    """

    hashes: Hashes = field(default_factory=Hashes)
    hyperparameters: Hyperparameters = field(default_factory=dict)
    without_gradient: tuple[Count, ...] = ()
    warnings: tuple[Text, ...] = ()
    own_draws: tuple[Name, ...] = ()
    qnodes: tuple[CalledQNode, ...] = ()
    dtypes: Dtypes = field(default_factory=dict)
    devices: Dtypes = field(default_factory=dict)
    repeat: Repeat | None = None
    nonfinite: Mapping[Text, Count] = field(default_factory=dict)
    compiled: bool | None = None
    boundaries: Text | None = None
    no_hessian: Text | None = None
    """Why second derivatives that were asked for are not there."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the parent sent and declared."""

    hashes: Hashes = field(default_factory=Hashes)
    hyperparameters: Hyperparameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a process: with its imports alone, at its peak, and on the GPU."""

    baseline_bytes: Count | None = None
    peak_bytes: Count | None = None
    gpu_peak_bytes: Count | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """The user's path beside the recorded training: loss and metrics of each epoch as Keras logs them, where it ended.

    `steps` are how many of the recorded ones it took, None all; `metrics_failed` is why the metrics of a script were
    left out of it.
    """

    history: tuple[Number | None, ...] = ()
    metrics: Mapping[Text, tuple[Number | None, ...]] = field(default_factory=dict)
    metrics_failed: Text | None = None
    steps: Whole | None = None
    equals_audit: bool | None = None
    max_weight_difference: Number | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was put in on purpose (worker/faults.py)."""

    name: Text = ""
    step: Whole | None = None
    size: Number | None = None


@dataclass(frozen=True, eq=False)
class Outcome(Document):
    """How a cell ended, and all that is known of it but its trace. `planned` is the scenario that its plan has."""

    planned: Scenario | None = None
    needed = frozenset({"id", "variant", "status"})

    id = Part[Text]()
    variant = Part[Text]()
    status = Part[Status]()
    reason = Part[Text | None]()
    """One line; there wherever the status is not `ok`."""
    log = Part[Log | None]()
    isolation = Part[Name | None]()
    """How its process was made: `fork` or `spawn`."""
    trace = Part[Text | None]()
    """The file of its trace; None where it left none."""
    trace_sha256 = Part[Sha | None]()
    resolved = Part[Resolved]()
    audit = Part[Audit]()
    phases = Part[Seconds]()
    memory = Part[Memory]()
    fit = Part[Fit]()
    expected = Part[Expected]()
    fault = Part[Fault | None]()
    reference = Part[Reference]()
    jury = Part[Mapping[Text, Juror]]()
    """By backend; empty where nobody was asked."""
    diverged_step = Part[Count | None]()
    worker = Part[Text | None]()
    """The key of the server that its process came from, in `workers` of the run."""
    node = Part[Text | None]()
    """Of a cluster, that it ran on."""
    run = Part[Text | None]()
    """That it was merged from."""

    @cached_property
    def scenario(self) -> Scenario:
        """What was trained. Raises `Unreadable` where it is no scenario."""
        if self.planned is not None:
            return self.planned
        found = self.raw.get("scenario")
        try:
            return validate(found if isinstance(found, dict) else {})
        except ScenarioError as error:
            raise Unreadable(f"a scenario ({error})", "scenario", self.file) from None

    def planned_as(self, scenario: Scenario) -> Outcome:
        """The same, of another scenario."""
        return replace(self, raw=self.raw | {"scenario": scenario.model_dump(mode="json")}, planned=scenario)

    @property
    def program(self) -> Program | None:
        """The circuit of a bare cell as its own worker read the function: nobody else's; None for a user's model."""
        layers = self.resolved.quantum_layers
        return layers[0].program if layers and not self.scenario.model else None

    @property
    def seconds(self) -> dict[str, float]:
        """The phases that were measured."""
        return {phase: float(value) for phase, value in self.phases.items() if value is not None}
