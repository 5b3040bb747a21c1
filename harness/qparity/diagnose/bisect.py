"""Which gate: the circuit's prefixes, run on the backend, against the oracle's.

A wrong gate makes the state wrong after it, whatever follows. Prefixes are measured in many Pauli words, since the
circuit's own observable may not see the fault until later gates turn it there. The answer proves itself: the prefix
without the gate is right, the one with it is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from qparity.diagnose import script
from qparity.diagnose.subject import Subject
from qparity.parity import Observation
from qparity.parity.audit import audit
from qparity.parity.comparison import Comparison
from qparity.records import Program
from qparity.records.document import Table
from qparity.records.program import Word
from qparity.records.requests import Evaluate
from qparity.runner.cell import checked
from qparity.runner.process import Child

PAIRS_UP_TO_WIRES = 6


@dataclass(frozen=True, slots=True)
class GateFinding:
    """Where in a circuit it goes wrong: `gate` counts from 0, None where no gate is to blame; `reason` is one line."""

    layer: str
    reason: str
    gate: int | None = None
    code: str | None = None
    word: str | None = None
    r: float | None = None

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return {key: getattr(self, key) for key in ("layer", "gate", "code", "word", "r", "reason")}


async def bisect(child: Child, subject: Subject, comparison: Comparison) -> GateFinding:
    """Find the first gate after which the backend is wrong. `child` is prepared for the subject's scenario and variant.

    Raises:
        NotCovered: there is no gate program.
    """
    number = subject.layer(comparison)
    name, program = subject.layers[number].name, subject.program(number)
    gates = len(program.simulated.gates)
    stages = {"forward"} if comparison.stage == "forward" else {"forward", "gradient"}
    inputs, _ = subject.layer_arrays(number)
    weights = {f"weights/{i}": w for i, w in enumerate(subject.layer_weights(number))}
    words = pauli_words(program.wires)

    async def worst(count: int | None, measured: list[Word] | None) -> tuple[float, str]:
        body = Evaluate(number, count, None if measured is None else tuple(measured)).body()
        answer = checked(await child.request("evaluate", body, {"x": inputs, **weights}), "evaluate")
        return _worst(subject, program.prefix(count, measured), answer.arrays, stages, measured)

    if (await worst(None, None))[0] <= 1:
        return GateFinding(name, "the circuit alone is right: the fault lies around it, in the layer or the model")
    if (await worst(gates, words))[0] <= 1:
        return GateFinding(name, f"the state after all {gates} gates is right: the fault is in the measurement")
    if (await worst(0, words))[0] > 1:
        return GateFinding(name, "wrong before the first gate: in the measurement, or on the way of results back")
    right, wrong, last = 0, gates, (np.inf, "")
    while wrong - right > 1:
        middle = (right + wrong) // 2
        found = await worst(middle, words)
        if found[0] > 1:
            wrong, last = middle, found
        else:
            right = middle
    if wrong == gates:
        last = await worst(gates, words)
    code = script.gate_lines(program.simulated)[wrong - 1]
    reason = f"the first {wrong - 1} of {gates} gates are right, with {code} it is wrong ({last[1]}, r = {last[0]:.2g})"
    return GateFinding(name, reason, wrong - 1, code, last[1], last[0])


def pauli_words(wires: int) -> list[Word]:
    """X, Y and Z of every wire, and on up to 6 wires XX, YY and ZZ of every pair: what prefixes are measured in."""
    words: list[Word] = [((letter, wire),) for wire in range(wires) for letter in "XYZ"]
    if wires <= PAIRS_UP_TO_WIRES:
        words += [((letter, a), (letter, b)) for a, b in combinations(range(wires), 2) for letter in "XYZ"]
    return words


def _worst(
    subject: Subject, program: Program, trace: dict[str, np.ndarray], stages: set[str], words: list[Word] | None
) -> tuple[float, str]:
    """The largest r of a prefix, and what it was seen in."""
    o = subject.observation
    energy = o.scenario.training.model_copy(update={"loss": "energy"})
    changes = {"data": o.scenario.data.model_copy(update={"weight": None}), "training": energy}
    alone = o.outcome.planned_as(o.scenario.model_copy(update={"model": None, "script": None, **changes}))
    told = {key: alone.raw[key] for key in ("id", "variant", "status", "scenario")}
    told["resolved"] = alone.table("resolved") | {"quantum_layers": []}
    found = audit(Observation(replace(alone, raw=told), trace, program=program))
    largest, seen = 0.0, ""
    for c in found.comparisons:
        if c.stage in stages and c.r.max(initial=0) > largest:
            at = int(c.r.argmax())
            largest, seen = float(c.r.reshape(-1)[at]), c.tensor
            if c.stage == "forward" and words:
                seen = "<" + "".join(f"{letter}{wire}" for letter, wire in words[at % len(words)]) + ">"
    return largest, seen
