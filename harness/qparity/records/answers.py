"""What a process tells its parent; what is kept of it as it is stands in `outcome.py`.

The requests are in `requests.py`; `waited_s` is how long the process waited for them. A table is kept as it was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qparity.records.document import Table
from qparity.records.kinds import Count, Float, Number, Seconds, Text, Whole
from qparity.records.outcome import Status


@dataclass(frozen=True, slots=True)
class Greeting:
    """The first that a worker server says: `ready`, or why not (`unavailable`, or `broken`)."""

    kind: Text
    reason: Text = ""


@dataclass(frozen=True, slots=True)
class Packet:
    """A worker server says that a cell's process has `started`, or `exited`."""

    kind: Text
    cell: Text
    pid: Count | None = None
    status: Whole | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a process has come in a phase."""

    phase: Text
    step: Count


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error, in one line, and how the cell ends with it."""

    status: Status
    reason: Text


@dataclass(frozen=True, slots=True)
class Prepared:
    """The model is built: what stands behind it, and the shape of a sample's predictions."""

    resolved: Table
    output_shape: tuple[Count, ...]
    build_s: Number


@dataclass(frozen=True, slots=True)
class Length:
    """How much a captured training trains."""

    batch_size: Count
    epochs: Count


@dataclass(frozen=True, slots=True)
class Captured:
    """What a script hands to its `fit`, as the tables of a scenario; `own` is what no scenario can say."""

    training: Table
    dtype: Text
    own: tuple[Text, ...]
    given: Table
    notes: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Capture:
    """A script has come to its `fit`."""

    captured: Captured


@dataclass(frozen=True, slots=True)
class Audited:
    """The recorded training is over; on a GPU it was run twice, and the way of results back was timed."""

    audit: Table
    flags: Table
    step_seconds: tuple[Number, ...]
    audit_s: Number
    waited_s: Number
    memory: Table = field(default_factory=dict)
    repeat_s: Number | None = None
    transfer_s: Number | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """`model.fit` is over."""

    epoch_seconds: tuple[Number, ...]
    steps: Count
    fit_s: Number
    waited_s: Number
    history: tuple[Float, ...]
    memory: Table
    metrics: Mapping[Text, tuple[Number | None, ...]] = field(default_factory=dict)
    metrics_failed: Text | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The timed training is compiled, warm, and waits inside its `fit`."""

    steps: Count
    steps_per_execution: Count
    first_s: Number
    pilot_step_s: Number


@dataclass(frozen=True, slots=True)
class Stopped:
    """The timed training is over (`records/timing.py`, `TimedChild`)."""

    finite: bool
    weights_sha256: Text
    recompilations: Count
    phases: Seconds
    waited_s: Number
    memory: Table
    inference_s: Number | None = None
    profile: Table | None = None


@dataclass(frozen=True, slots=True)
class Slopes:
    """The loss's derivatives along a direction in each input and weight of a layer."""

    inputs: tuple[Float, ...] = ()
    weights: tuple[Float, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a layer in a walk; `slopes` is None where it has none for `reason`.

    `state` and `weights` are names of its variables, those that are not trained and those that are.
    """

    layer: Text
    type: Text = ""
    config: Text | None = None
    listed: bool = False
    slopes: Slopes | None = None
    reason: Text | None = None
    state: tuple[Text, ...] = ()
    weights: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class ReferenceCall:
    """The same call by the reference, with the errors of its slopes, and how far a disturbance by 1 moves them."""

    layer: Text
    slopes: Slopes
    errors: Slopes
    conditions: Slopes


@dataclass(frozen=True, slots=True)
class Walked:
    """A model, layer by layer."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """An entry of the first gradient that is wrong: that of the input or weight `number` of a call.

    `entry` counts in C order; `expected` is the loss's derivative by it, off by `error` at the most.
    """

    call: Count
    of_weight: bool
    number: Count
    entry: Count
    expected: Float
    error: Float


@dataclass(frozen=True, slots=True)
class ReferenceWalked:
    """The same by the reference."""

    calls: tuple[ReferenceCall, ...]
    located: Located | None = None
