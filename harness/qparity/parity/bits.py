"""How many leading bits of a stage are right: the number in the report's matrix.

    bits = min over judged steps and entries of -log2(|got - expected| / scale), cut to 0 .. digits

`digits` is how many there could be: 53 in float64, 24 in float32, fewer where a layer computes in a coarser type. The
scale is not the entry's own size but what the entry could be, `Comparison.scale`: for a prediction the largest value
of its observable, for a gradient the sum over the batch of |d loss / d prediction| times that (and times how often the
weight enters), for the loss the mean of the sizes of its terms, for a weight what it was plus what its update added.
Divided by its own size, an entry near zero, or one in which samples cancel, would have no right bit in the best of
programs: rounding is of the size of what is added up, not of what remains. The expected value is that of whoever
judged, oracle or reference.

A stage has no bits where one of its tensors was judged at no step by anything independent (of that nothing is known),
and none with shots: chance decides there, not precision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from qparity.parity.audit import Audit
from qparity.parity.tolerances import DIGITS
from qparity.parity.types import Judgement, Observation, Stage, StageSeries, Verdict


def digits(o: Observation) -> int:
    """How many leading bits of a cell's numbers there could be: those of the coarsest type that it computes in."""
    return min(DIGITS[o.dtype], DIGITS.get(o.precision, DIGITS[o.dtype]))


def right_bits(o: Observation, found: Audit, stages: Mapping[Stage, StageSeries]) -> dict[Stage, int]:
    """Whole leading bits that are right at every judged step, for each stage of which all was judged."""
    if o.scenario.shots:
        return {}
    unjudged = {stage for stage, _ in found.unjudged}
    required = {stage for stage, _ in found.required}
    fewest = {
        stage: float(np.fmin.reduce(series.effective_bits))  # NaN where no step was judged
        for stage, series in stages.items()
        if stage in required - unjudged
    }
    return {stage: math.floor(min(bits, digits(o))) for stage, bits in fewest.items() if not math.isnan(bits)}


def bits_told(judged: Judgement, bits: Mapping[Stage, int], o: Observation) -> str:
    """What to say of them behind a reason; empty where nobody counted, or where chance decides.

    Args:
        judged: the verdict on the cell.
        bits: its `right_bits`.
        o: the cell.
    """
    if o.scenario.shots:
        return ""
    if judged.verdict == Verdict.ROUNDING:
        if not {Stage.FORWARD, Stage.GRADIENT} <= bits.keys():
            return ""
        computed = {Stage.FORWARD: "predictions", Stage.LOSS: "loss", Stage.GRADIENT: "gradients"}
        *names, last = (name for stage, name in computed.items() if stage in bits)
        fewest = min(bits[stage] for stage in computed if stage in bits)
        return f"; {fewest} of {digits(o)} leading bits of {', '.join(names)} and {last} are right at worst"
    if judged.verdict not in (Verdict.LOCAL_FAULT, Verdict.PRECISION_LEAK) or judged.effective_bits is None:
        return ""
    if judged.stage is not None and judged.stage in bits:
        return f"; {bits[judged.stage]} of {digits(o)} leading bits are right at worst"
    there = judged.effective_bits
    return (
        ""
        if math.isnan(there)
        else f"; {math.floor(min(there, digits(o)))} of {digits(o)} leading bits are right there"
    )
