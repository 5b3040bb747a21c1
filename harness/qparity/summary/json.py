"""The `--json` object: stable, documented keys for scripts. Numbers that are not finite are null."""

import math
from dataclasses import asdict

from qparity.records.document import Table
from qparity.summary.view import CellView, RunView
from qparity.timing import Interval, LaneTiming
from qparity.timing.profile import shares

SCHEMA = 1


def document(view: RunView) -> Table:
    """One JSON object.

    Keys: `schema, run, state, created, command, sentence, exit_code, counts` (mark -> number of cells),
    `problems` (of the gate with the run as a whole), `cells` (see `cell`),
    `groups` (status, reason, cells as scenario/variant), `growths` (step times over wires, layers or batch size with
    the fitted exponent, `told` where its interval says anything; wires count as 2 ** wires), `crossings` (`below` is
    faster at size `low`, `above` at `high`, the next one at which either is), `damaged` (file, reason).
    """
    return {
        "schema": SCHEMA,
        "run": view.id,
        "state": view.state,
        "created": view.created,
        "command": view.command,
        "sentence": view.sentence,
        "exit_code": view.exit_code,
        "counts": dict(view.counts),
        "problems": list(view.problems),
        "cells": [cell(item) for item in view.cells],
        "groups": [
            {
                "status": group.status,
                "reason": group.reason,
                "cells": [f"{member.scenario}/{member.variant}" for member in group.cells],
            }
            for group in view.groups
        ],
        "growths": [
            {
                "axis": growth.axis,
                "group": growth.group,
                "variant": growth.variant,
                "sizes": list(growth.sizes),
                "step_s": list(growth.times_s),
                "exponent": growth.law.exponent.estimate,
                "exponent_low": _finite(growth.law.exponent.low),
                "exponent_high": _finite(growth.law.exponent.high),
                "told": growth.law.told,
            }
            for growth in view.growths
        ],
        "crossings": [asdict(crossing) for crossing in view.crossings],
        "damaged": [{"file": file, "reason": reason} for file, reason in view.damaged],
    }


def cell(view: CellView) -> Table:
    """One entry of `cells`. `as_expected` is false exactly where the cell keeps the exit code from 0.

    `step` counts from 0; `index` is the place in `tensor`; `r` is residual over tolerance; `bits` are the leading bits
    that are right of `digits` that there could be, in the stage `weakest` of forward, loss and gradient (null where not
    all of forward and gradient was judged by something independent), `right_bits` those of each stage; `step_s` is
    seconds a training step, null where it was not timed, `limit_s` what this machine needs for it at
    least, `untimed` why it was left out of the rounds; `mark` is what the cell looks like in the tables,
    `judged_by` (of a pass) who says so: `oracle` (something independent, for all of it) or `variants` (PEERS-AGREE: in
    part other backends alone); `judged` of `judgeable` tensors of all steps were judged by something independent;
    `by_design`: it was not compared because it cannot be; `known` is why an entry of the expectations file speaks of
    it, `link` where that is told.
    """
    return {
        "id": view.id,
        "scenario": view.scenario,
        "variant": view.variant,
        "status": view.status,
        "verdict": view.verdict,
        "expected": view.expected,
        "as_expected": view.as_expected,
        "known": view.known,
        "link": view.link,
        "mark": view.mark,
        "judged_by": view.judged_by,
        "stage": view.stage,
        "step": view.step,
        "tensor": view.tensor,
        "index": list(view.index),
        "r": _finite(view.r),
        "effective_bits": _finite(view.effective_bits),
        "bits": bits.right if (bits := view.bits) else None,
        "digits": view.digits,
        "weakest": bits.stage if bits else None,
        "right_bits": dict(view.right_bits),
        "smallest_tolerance": _finite(view.smallest_tolerance),
        "judged": view.judged,
        "judgeable": view.judgeable,
        "by_design": view.by_design,
        "reason": view.reason,
        "line": view.line,
        "annotations": list(view.annotations),
        "step_s": _finite(view.step_s),
        "limit_s": _finite(view.limit_s),
        "timing": _timing(view.timing),
        "untimed": view.untimed,
        "phases": {name: _finite(seconds) for name, seconds in view.phases.items()},
        "peak_bytes": view.peak_bytes,
        "gpu_peak_bytes": view.gpu_peak_bytes,
        "baseline_bytes": view.baseline_bytes,
        "log": view.log,
        "reproduce": view.reproduce,
    }


def _timing(timing: LaneTiming | None) -> Table | None:
    """Null where `step_s` is the audit's, unpaired. Seconds; `ratio` is the time over the reference's;

    `energy_j` is what the machine's processors used during a step, with all that ran on them; null without counters.
    """
    if timing is None:
        return None
    pays = timing.break_even
    return {
        "reference": timing.reference,
        **interval(timing.ratio),
        "speed": str(timing.speed) if timing.speed else None,
        "start_s": _finite(timing.start_s),
        "inference_s": _finite(timing.inference_s),
        "energy_j": _finite(timing.energy_j),
        "recompilations": timing.recompilations,
        "shares": shares(timing.profile) if timing.profile else None,
        "break_even": [_finite(n) for n in (pays.low, pays.step, pays.high)] if pays else None,
        "rounds": timing.rounds,
        "dropped": timing.dropped,
        "unstable": timing.unstable,
        "notes": list(timing.notes),
    }


def interval(ratio: Interval | None) -> dict[str, float | None]:
    """`ratio`, `ratio_low` and `ratio_high` of a ratio of times; null where there is none, or no end."""
    ends = (ratio.estimate, ratio.low, ratio.high) if ratio else (None, None, None)
    return dict(zip(("ratio", "ratio_low", "ratio_high"), map(_finite, ends), strict=True))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
