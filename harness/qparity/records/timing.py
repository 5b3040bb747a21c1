"""The timed rounds of a scenario: `timings/<scenario>.json` (docs/architecture.md, "Timing")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qparity.records.document import Document, Part
from qparity.records.kinds import Count, Name, Number, Seconds, Text, Unreadable, Whole
from qparity.records.outcome import Memory

OUT_OF_TIME = "the budget for timing ended before it was ready"
"""Why a variant has no place in the rounds that only lacked the time: a resumed run tries it again."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of `steps` steady steps went: so many samples of the stack in `seconds`, outside the rounds.

    `stacks` are numbers of `functions` (`module:function`), the outermost first, each with how often it was seen;
    `rest` were seen of stacks that are not kept.

    Raises:
        Unreadable: a stack is empty, or has a function that is not there.
    """

    steps: Count
    seconds: Number
    samples: Count
    rest: Count
    functions: tuple[Text, ...]
    stacks: tuple[tuple[tuple[Count, ...], Count], ...]

    def __post_init__(self) -> None:
        for place, (stack, _) in enumerate(self.stacks):
            if not stack or max(stack) >= len(self.functions):
                raise Unreadable("numbers of functions", f"stacks[{place}]")

    @property
    def named(self) -> list[tuple[tuple[str, ...], int]]:
        """The stacks as functions."""
        return [(tuple(self.functions[k] for k in stack), count) for stack, count in self.stacks]


@dataclass(frozen=True, slots=True)
class TimedChild:
    """One process that was timed: seconds to build and to the end of the first execution, and what it was afterwards.

    `weights_sha256` is of the weights after the warm-up, `inference_s` of a batch of `predict`, unpaired. `profile` is
    of the first generation's children.
    """

    build_s: Number
    first_s: Number
    finite: bool
    weights_sha256: Text
    recompilations: Count | None = None
    inference_s: Number | None = None
    phases: Seconds = field(default_factory=dict)
    wall_s: Number | None = None
    memory: Memory = field(default_factory=Memory)
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class TimedLane:
    """One variant that was timed, `steps` full batches a stretch."""

    children: tuple[TimedChild, ...]
    variant: Name
    steps_per_execution: Count
    batch_size: Count
    steps: Count | None = None
    id: Text | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One variant in one round: a step, then the whole stretch.

    `delayed_s` is how long others had its core, `energy_j` what the machine's processors used meanwhile, whoever used
    it (`qparity.timing.energy`).
    """

    step_s: Number
    wall_s: Number
    cpu_s: Number
    delayed_s: Number | None = None
    energy_j: Number | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One round: of which generation of processes (`child`), and whether it counts (`kept`)."""

    child: Whole
    kept: bool
    samples: Mapping[Name, Sample]
    order: tuple[Name, ...] = ()
    sentinel_s: tuple[Number, ...] = ()
    load: Number | None = None
    frequency_mhz: Number | None = None
    throttled: Number | None = None
    stolen_s: Number | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What the measured cores can do: operations a second by dtype, bytes a second by the size of a copy."""

    flops: Mapping[Name, Number]
    copy: Mapping[Name, Number]


@dataclass(frozen=True, eq=False)
class Timing(Document):
    """The rounds in which a scenario's variants were measured against each other."""

    needed = frozenset({"lanes", "rounds", "left_out"})

    scenario = Part[Name | None]()
    cpus = Part[tuple[Count, ...]]()
    threads = Part[Count | None]()
    options = Part[Mapping[Name, Number | None]]()
    machine = Part[Rates | None]()
    sentinel_s = Part[tuple[Number, ...]]()
    lanes = Part[Mapping[Name, TimedLane]]()
    rounds = Part[tuple[Round, ...]]()
    left_out = Part[Mapping[Name, Text]]()
    """Variant -> why it has no place in the rounds."""
    run = Part[Text | None]()
    """That it was measured in, where others were merged."""
    node = Part[Text | None]()
    """Of a cluster, that it was measured on."""

    @property
    def kept(self) -> list[Round]:
        """The rounds that count."""
        return [each for each in self.rounds if each.kept]

    def without(self, variant: str, reason: str) -> Timing:
        """Without a variant, and with the reason."""
        lanes, rounds = self.raw["lanes"], self.raw["rounds"]
        assert isinstance(lanes, dict)
        assert isinstance(rounds, list)
        left = self.raw["left_out"]
        assert isinstance(left, dict)
        return self.changed(
            lanes={name: lane for name, lane in lanes.items() if name != variant},
            left_out=left | {variant: reason},
            rounds=[
                each | {"samples": {name: sample for name, sample in each["samples"].items() if name != variant}}
                for each in rounds
            ],
        )
