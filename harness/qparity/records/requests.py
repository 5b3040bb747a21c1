"""What a process is asked by its parent, as both build and read it; the answers are in `answers.py`.

`body` makes the JSON of one; arrays go beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from qparity.records.document import Table
from qparity.records.kinds import Count, Number, Text, Whole
from qparity.records.outcome import Fault
from qparity.records.program import Word

Features = Count | tuple[Count, ...]
"""Of a sample; their shape, where they are no vector."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    def body(self) -> Table:
        """As it is sent."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Start(Request):
    """Of a worker server: a process for a cell, on these cores, with at most so much memory of its own.

    `cache` is the folder of what its compilers make, `compiled` that of JAX's programs which cells share.
    """

    cell: Text
    cache: Text
    cpus: tuple[Count, ...] | None = None
    memory_bytes: Whole | None = None
    compiled: Text | None = None


@dataclass(frozen=True, slots=True)
class Prepare(Request):
    """Build a scenario's model; the reference has no variant, and of a recorded training it is given the `model`.

    A `juror` does not look at what stands behind it: that is the cell's own.
    """

    scenario: Mapping[Text, object]
    search_path: tuple[Text, ...]
    features: Features
    outputs: Count
    variant: Text = ""
    fault: Fault | None = None
    model: Mapping[Text, object] | None = None
    juror: bool = False


@dataclass(frozen=True, slots=True)
class WalkReference(Request):
    """Of the reference: apply every layer to what entered it. `rounding` is allowed of a slope, times its condition."""

    rounding: Number


@dataclass(frozen=True, slots=True)
class Capture(Request):
    """Run a training script of a folder up to its `fit`."""

    script: Mapping[Text, object]
    folder: Text


@dataclass(frozen=True, slots=True)
class Audit(Request):
    """Train and record, twice where `repeat`."""

    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Fit(Request):
    """Train the first epochs (None: all) by `model.fit`."""

    epochs: Count | None = None


@dataclass(frozen=True, slots=True)
class Time(Request):
    """Train to be timed, in stretches of so many seconds, or of steps where an earlier process has fixed them."""

    stretch_s: Number
    steps: Count | None = None


@dataclass(frozen=True, slots=True)
class Stop(Request):
    """End what is timed; then measure a batch of `predict` where `inference`, and sample the stack where `profile`."""

    inference: bool = False
    profile: bool = False


@dataclass(frozen=True, slots=True)
class Evaluate(Request):
    """Run the first gates of a quantum layer (None: all), measured in words in place of its own measurements."""

    layer: Count
    gates: Count | None = None
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True, slots=True)
class Swear(Request):
    """Of a juror, prepared in float64 where it can be: what some steps of a cell of another backend come to there.

    The cell declares `dtype`, and computes with unit roundoff `unit`. So many `seconds` of processor time after the
    first step no further one is begun; `seed` is that of the disturbances.
    """

    dtype: Text
    unit: Number
    seed: Count
    seconds: Number


@dataclass(frozen=True, slots=True)
class Judge(Request):
    """Of the reference: what is right at some steps.

    `seed` is that of the directions, after `seconds` no step is begun, `compiled` whether the cotangents of quantum
    layers may have been rounded twice.
    """

    seed: Count
    seconds: Number
    compiled: bool
