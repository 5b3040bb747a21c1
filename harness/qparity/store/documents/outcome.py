"""What is kept of a cell: `cells/<id>.json`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from qparity.store.documents.entries import Count, Name, Number, Scalar, Seconds, Sha, Text, Whole, table
from qparity.store.documents.program import Program


@table
class Constraint(TypedDict, total=False):
    """What Keras does to a weight after each update."""

    name: Name
    config: dict[Name, Scalar]


@table
class Weight(TypedDict, total=False):
    """A variable of a model."""

    path: Text
    shape: list[Count]
    dtype: Name
    device: Name
    layer: Text | None
    random: bool
    constraint: Constraint | None


@table
class QuantumLayer(TypedDict, total=False):
    """A quantum layer of a model."""

    name: Text
    dtype: Name
    weights: list[Count]
    expanded: Text | None
    arrays: list[Annotated[str, Field(pattern=r"^(weights|state)/(0|[1-9]\d{0,5})$")]]
    program: Program
    drawing: Text | None


@table
class Resolved(TypedDict, total=False):
    """What stood behind the model."""

    interface: Name | None
    device: Name | None
    diff_method: Name | None
    simulated_on: list[Name]
    dtype: Name | None
    mode: Name
    bare: bool
    precision: Name
    own: list[Name]
    weights: list[Weight]
    state: list[Weight]
    quantum_layers: list[QuantumLayer]
    flags: dict[Text, Scalar]


@table
class Hashes(TypedDict, total=False):
    """Of the bytes of data, order and starting weights."""

    x: Sha
    y: Sha
    order: Sha
    weights: list[Sha]
    state: list[Sha]


@table
class Reference(TypedDict, total=False):
    """What the reference said."""

    programs: list[Program]
    reason: Text | None
    seed: Count
    steps: Count
    of: Count
    evaluations: Count
    wall_s: Number


@table
class Repeat(TypedDict, total=False):
    """The recorded training, run twice."""

    bitwise: bool
    differences: dict[Text, Number | None]


@table
class Audit(TypedDict, total=False):
    """What the worker read of the recorded training."""

    hashes: Hashes
    hyperparameters: dict[Name, bool | Number | None]
    without_gradient: list[Count]
    warnings: list[Text]
    own_draws: list[Name]
    dtypes: dict[Text, Name | list[Name]]
    devices: dict[Text, Name | list[Name]]
    repeat: Repeat
    nonfinite: dict[Text, Count]
    compiled: bool
    boundaries: Text


@table
class Expected(TypedDict, total=False):
    """What the parent sent and declared."""

    hashes: Hashes
    hyperparameters: dict[Name, bool | Number | None]


@table
class Memory(TypedDict, total=False):
    """Bytes of a process."""

    baseline_bytes: Count | None
    peak_bytes: Count | None
    gpu_peak_bytes: Count | None


@table
class Fit(TypedDict, total=False):
    """The user's path beside the recorded training."""

    history: list[Number | None]
    equals_audit: bool | None
    max_weight_difference: Number | None


@table
class Fault(TypedDict, total=False):
    """A fault that was put in on purpose."""

    name: Text
    step: Whole
    size: Number


@table
class Outcome(TypedDict, total=False):
    """`cells/<id>.json`, but for scenario, variant and id: those are the plan's."""

    status: Literal["ok", "failed", "timeout", "crashed", "unsupported", "diverged"]
    reason: Text | None
    log: Annotated[str, Field(pattern=r"^logs/[A-Za-z0-9._@+-]+$", max_length=300)] | None
    isolation: Name | None
    trace: Text | None
    trace_sha256: Sha | None
    resolved: Resolved | None
    audit: Audit | None
    phases: Seconds | None
    memory: Memory | None
    fit: Fit | None
    expected: Expected | None
    fault: Fault | None
    reference: Reference | None
    diverged_step: Count | None
    worker: Text | None
    node: Text | None
    run: Text | None
