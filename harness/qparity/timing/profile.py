"""Where the samples of a profile were taken: shares of whose code was running, and the tree of the calls.

A sample belongs to the package of the innermost function of its stack. `harness/qparity/worker/sampled.py` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qparity.records.timing import Profile
from qparity.scenario.backends import BACKENDS

OTHER = "Python"
GROUPS: Mapping[str, str] = {
    **{name: "framework" for facts in BACKENDS.values() for name in (facts.package, f"{facts.package}lib")},
    "pennylane": "PennyLane",
    "pennylane_lightning": "PennyLane",
    "autoray": "PennyLane",
    "autograd": "PennyLane",
    "keras": "Keras",
    "numpy": "NumPy",
    "scipy": "NumPy",
    "qparity": "qparity",
}
"""Top package -> whose code it is; everything else is Python's own, or another library's."""
ORDER = ("PennyLane", "framework", "Keras", "NumPy", "qparity", OTHER)


def group_of(function: str) -> str:
    """Whose code a function `module:function` is."""
    return GROUPS.get(function.partition(":")[0].partition(".")[0], OTHER)


def shares(profile: Profile) -> dict[str, float]:
    """Whose code was running, as shares of the kept samples in the order of `ORDER`; empty where there are none."""
    counts = dict.fromkeys(ORDER, 0)
    for stack, count in profile.named:
        counts[group_of(stack[-1])] += count
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}


def own_shares(profile: Profile) -> dict[str, float]:
    """Function -> the share of the kept samples in which it was the innermost one."""
    counts: dict[str, int] = {}
    for stack, count in profile.named:
        counts[stack[-1]] = counts.get(stack[-1], 0) + count
    total = sum(counts.values())
    return {function: count / total for function, count in counts.items()} if total else {}


@dataclass
class Call:
    """A function in the tree: `count` samples were taken in it or in what it calls."""

    function: str
    count: int = 0
    calls: dict[str, Call] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """Whose code it is."""
        return group_of(self.function)

    def largest(self) -> Sequence[Call]:
        """What it calls, most samples first."""
        return sorted(self.calls.values(), key=lambda call: -call.count)


WRAPPERS = ("error_handler", "wrapper_entry", "_wrapped_call_impl", "_call_impl")
"""Functions that only call what stands below them, at every other depth of Keras, PennyLane and torch."""


def tree(profile: Profile) -> Call:
    """All stacks as one tree without the WRAPPERS; its root stands for the whole."""
    root = Call("all")
    for stack, count in profile.named:
        root.count += count
        here = root
        for place, function in enumerate(stack):
            if function.rpartition(":")[2] in WRAPPERS and place < len(stack) - 1:
                continue
            here = here.calls.setdefault(function, Call(function))
            here.count += count
    return root
