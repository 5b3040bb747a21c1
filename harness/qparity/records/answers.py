"""What a cell's process answers, as the parent reads it; what is kept of it as it is stands in `outcome.py`.

The requests are those of `runner/cell.py` and `runner/timing.py`; `waited_s` is how long the process waited for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qparity.records.kinds import Count, Number, Text
from qparity.records.outcome import Resolved, Status


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error, in one line, and how the cell ends with it."""

    status: Status
    reason: Text


@dataclass(frozen=True, slots=True)
class Prepared:
    """The model is built: what stands behind it, and the shape of a sample's predictions."""

    resolved: Resolved
    output_shape: tuple[Count, ...]
    build_s: Number


@dataclass(frozen=True, slots=True)
class Audited:
    """The recorded training is over; on a GPU it was run twice, and the way of results back was timed."""

    step_seconds: tuple[Number, ...]
    audit_s: Number
    waited_s: Number
    repeat_s: Number | None = None
    transfer_s: Number | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """`model.fit` is over."""

    epoch_seconds: tuple[Number, ...]
    fit_s: Number
    waited_s: Number
    metrics: Mapping[Text, tuple[Number | None, ...]] = field(default_factory=dict)
    metrics_failed: Text | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The timed training is compiled, warm, and waits inside its `fit`."""

    steps: Count
    steps_per_execution: Count
    first_s: Number
    pilot_step_s: Number
