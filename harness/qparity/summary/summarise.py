"""One place turns a run and its judgements into what is said of it."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from qparity.records import Place, Program, Resolved
from qparity.records.outcome import Memory
from qparity.records.trace import Trace
from qparity.scenario import shipped
from qparity.scenario.schema import Scenario
from qparity.store import Run
from qparity.summary import judging, words
from qparity.summary.budgets import budgets
from qparity.summary.gate import Gate, versions_of
from qparity.summary.speeds import growth, with_timing
from qparity.summary.untimed import untimed as untimed_line
from qparity.summary.view import MOST_CURVES, PASSES, PEERS_AGREE, CellView, Fit, Group, Mark, Pair, RunView, Series

if TYPE_CHECKING:
    from qparity.parity import Judgement, Observation
    from qparity.parity.expectation import Expectation
    from qparity.parity.types import PairDifference

NOT_COMPARED = "NOT-COMPARED"
ERRORS = ("failed", "timeout", "crashed", "diverged", "missing")


def summarise(
    run: Run, judgements: "Mapping[str, Judgement] | None" = None, gate: Gate | None = None, curves: bool = True
) -> RunView:
    """The view of a run. `judgements` (cell id -> Judgement) are made here unless they are given.

    `gate` holds the entries of an expectations file, which stand above the scenarios' own `expect`, and a floor of
    coverage. `curves` are what only pictures show: `MOST_CURVES` cells keep theirs, and those of all scenarios in which
    something is unexpected. Without them nobody looks how far variants are apart either.
    """
    gate = gate or Gate()
    sources = run.plan.sources
    cells: list[CellView] = []
    drawings: dict[str, str] = {}
    programs: dict[str, tuple[Program, ...]] = {}
    pairs: list[Pair] = []
    viewer = _Viewer(run, gate, curves)
    if judgements is None:
        viewed = judging.by_block(run, viewer.views, gate.within_s, pairs=curves)
    else:
        read = (judging.observations_of(run, block) for block in run.plan.blocks)
        viewed = (viewer.views(number, (dict(judgements), seen)) for number, seen in enumerate(read))
    for block, (views, apart) in zip(run.plan.blocks, viewed, strict=True):
        name = block.scenario.name
        pairs += apart
        for view in views:
            cells.append(replace(view, settings=block.scenario))  # not a fork's copy
            if drawing := _drawing(view.resolved):
                drawings.setdefault(name, drawing)
            if found := view.resolved.programs:
                programs.setdefault(name, found)
    cells = with_timing(run, cells, gate.reference)
    counts: dict[Mark, int] = dict.fromkeys(words.MARKS, 0) | Counter(cell.mark for cell in cells)
    ended = sum(cell.mark == "expected" and cell.status != "ok" for cell in cells)
    compared: dict[Mark, int] = counts | {"expected": counts["expected"] - ended}
    surprises = sum(
        cell.mark == "uncompared" and not cell.by_design and cell.expected != NOT_COMPARED for cell in cells
    )
    among_variants = sum(cell.judged_by == "variants" for cell in cells)
    broken = tuple(f"Plan: {fault}." for fault in run.plan_faults)
    unmet, short = gate.unmet(run), (*broken, *gate.shortfall(cells), *gate.unjudged(cells))
    slow, untimed = gate.slowdown(cells)
    over, unknown = budgets(cells)
    record = run.record
    return RunView(
        id=run.id,
        state=str(record.state),
        created=str(record.created),
        finished=record.finished,
        command=words.command(record.command),
        agreement=words.agreement(compared, among_variants),
        rest=" ".join(part for part in (words.rest(counts), f"{ended} ended as expected." if ended else "") if part),
        exit_code=exit_code(compared, surprises, bool(unmet or slow or over), bool(short or untimed or unknown)),
        scenarios=tuple(dict.fromkeys(cell.scenario for cell in cells)),
        variants=tuple(dict.fromkeys(cell.variant for cell in cells)),
        cells=tuple(cells),
        counts=counts,
        groups=groups_of(cells),
        pairs=tuple(sorted(pairs, key=_order)),
        environment=record.table("environment"),
        workers=record.table("workers"),
        sources=sources,
        drawings=drawings,
        programs=programs,
        damaged=tuple(run.damaged),
        problems=(*unmet, *over, *slow, *short, *untimed, *unknown),
        notes=record.merged.notes if record.merged else (),
        growths=growth(cells),
        peers=words.peers(among_variants, len(cells)),
        untimed=untimed_line(run, cells),
        folder=run.path,
    )


class _Viewer:
    """Makes the views of blocks, in whichever process has judged them."""

    def __init__(self, run: Run, gate: Gate, curves: bool) -> None:
        self.run, self.gate, self.curves = run, gate, curves
        self.before = [0, *accumulate(len(block.cells) for block in run.plan.blocks)]
        """How many cells the plan has before each block."""

    def views(self, number: int, judged: "judging.Judged") -> tuple[list[CellView], set[Pair]]:
        """All cells of a block as they are shown, and how far its variants are apart."""
        block, (judgements, observations) = self.run.plan.blocks[number], judged
        places = [Place(block, cell.id, cell.variant) for cell in block.cells]
        seen = {o.cell: o for o in observations}
        views = [self._view(place, judgements.get(place.cell_id), seen.get(place.cell_id)) for place in places]
        if self.curves and (self.before[number] < MOST_CURVES or any(view.mark != "pass" for view in views)):
            views = [_with_curves(view, judgements.get(view.id), seen.get(view.id)) for view in views]
        apart = [(view, _get(judgements.get(view.id), "pairs", ())) for view in views if self.curves]
        return views, {_pair(view.scenario, view.variant, pair) for view, pairs in apart for pair in pairs}

    def _view(self, place: Place, judgement: "Judgement | None", seen: "Observation | None") -> CellView:
        block, gate = place.block, self.gate
        sources = (block.source,) if block.source else self.run.plan.sources
        versions = versions_of(self.run, place.cell_id) if gate.expectations else {}
        known = gate.of(block.scenario.name, place.variant, versions)
        return view_of(self.run, place, judgement, sources, known, gate.require_judge, seen)


def view_of(
    run: Run,
    place: Place,
    judgement: "Judgement | None",
    sources: tuple[str, ...] = (),
    expectation: "Expectation | None" = None,
    require_judge: bool = False,
    seen: "Observation | None" = None,
) -> CellView:
    """One cell of a run, judged or not (yet), without curves; `seen` is what was read of it to judge it."""
    outcome = seen.outcome if seen else run.outcome(place.cell_id)
    status, said = (outcome.status, outcome.reason) if outcome else ("missing", _why_missing(run, place.cell_id))
    judgement = judgement if status == "ok" else None
    verdict = _text(judgement, "verdict")
    expected = expectation.expected if expectation else _expected(place.scenario, place.variant)
    objection = expectation.objection(status, said, judgement) if expectation else None
    mark = mark_of(status, verdict, expected, require_judge)
    if objection and status == "ok":
        mark = "fail"
    elif expectation and expectation.status and not objection and status != "unsupported":
        mark = "expected"
    reason = _text(judgement, "reason") if status == "ok" else said
    if outcome and outcome.fault:
        reason = f"[injected fault: {outcome.fault.name}] {reason or ''}"
    memory = outcome.memory if outcome else Memory()
    view = CellView(
        id=place.cell_id,
        scenario=place.scenario.name,
        variant=place.variant,
        mark=mark,
        line="",
        status=status,
        verdict=verdict,
        expected=expected,
        stage=_text(judgement, "stage"),
        step=outcome.diverged_step if outcome and status == "diverged" else _whole(judgement, "step"),
        tensor=_text(judgement, "tensor"),
        index=tuple(int(i) for i in np.atleast_1d(_get(judgement, "index", ()))),
        r=_number(judgement, "r"),
        effective_bits=_number(judgement, "effective_bits"),
        smallest_tolerance=_number(judgement, "smallest_tolerance"),
        judged=_whole(judgement, "judged") or 0,
        judgeable=_whole(judgement, "judgeable") or 0,
        by_design=bool(_get(judgement, "by_design", False)),
        reason=words.plain(str(reason)) if reason else None,
        annotations=tuple(map(str, _get(judgement, "annotations", ()))),
        phases=outcome.seconds if outcome else {},
        baseline_bytes=memory.baseline_bytes,
        peak_bytes=memory.peak_bytes,
        gpu_peak_bytes=memory.gpu_peak_bytes,
        resolved=outcome.resolved if outcome else Resolved(),
        log=outcome.log if outcome else None,
        reproduce=_reproduce(sources, place.scenario, place.variant),
        settings=place.scenario,
        source=sources[0] if len(sources) == 1 else None,
        known=expectation.reason if expectation else None,
        link=expectation.link if expectation else None,
        right_bits={str(stage): bits for stage, bits in _get(judgement, "right_bits", {}).items()},
        digits=_whole(judgement, "digits"),
        got=_get(judgement, "got"),
        should_be=_get(judgement, "expected"),
        injected=bool(outcome and outcome.fault),
        judges=tuple(map(str, _get(judgement, "judges", ()))),
    )
    return replace(view, line=_line(view, objection))


def exit_code(counts: Mapping[Mark, int], surprises: int, unmet: bool = False, short: bool = False) -> int:
    """0 all as expected, 1 some verdict disagrees, 3 something did not finish or was not compared.

    `surprises` are cells that were not compared though they were expected to be.
    An expectation that does not hold and a slowdown (`unmet`) count as a disagreement, a floor of coverage that is not
    reached (`short`) does not. A disagreement outranks a failure. Unsupported cells are no fault, but a run in which
    nothing at all was compared has shown nothing, so it is never 0.
    """
    if counts["fail"] or unmet:
        return 1
    if counts["error"] or surprises or short or not counts["pass"] + counts["expected"]:
        return 3
    return 0


def _line(view: CellView, objection: str | None) -> str:
    """One line on a cell; one that did not finish says how it ended, also where that is as expected, or is not."""
    if view.status == "ok":
        return words.cell_line(view, objection)
    known = view.mark == "expected" or (view.status == view.expected and not objection)
    return words.ended(view) + (f" ({objection})" if objection else " (as expected)" if known else "")


def _expected(scenario: Scenario, variant: str) -> str:
    from qparity.parity import expected_verdict

    return str(expected_verdict(scenario.expect, variant))


def mark_of(status: str, verdict: str | None, expected: str, require_judge: bool = False) -> Mark:
    """What a cell looks like that ended so and has this verdict, where another one may be expected of it."""
    if status == "unsupported":
        return "unsupported"
    if status != "ok":
        return "error"
    if verdict in (None, NOT_COMPARED) or (verdict == PEERS_AGREE and require_judge):
        return "uncompared"
    if verdict == expected or (verdict in PASSES and expected in PASSES):
        return "pass" if verdict in PASSES else "expected"
    return "fail"


def groups_of(cells: Sequence[CellView]) -> tuple[Group, ...]:
    """Cells without a verdict by identical reason; the largest group of the worst kind first."""
    found: dict[tuple[str, str], list[CellView]] = {}
    for cell in cells:
        if cell.mark in ("error", "uncompared", "unsupported"):
            status = "not compared" if cell.mark == "uncompared" else cell.status
            found.setdefault((status, cell.reason or words.NO_REASON), []).append(cell)
    groups = [Group(status, reason, tuple(members)) for (status, reason), members in found.items()]
    order = [*ERRORS, "not compared", "unsupported"]
    return tuple(sorted(groups, key=lambda group: (order.index(group.status), -len(group.cells))))


def _with_curves(view: CellView, judgement: "Judgement | None", seen: "Observation | None") -> CellView:
    """With its series, its loss and what it fits."""
    trace = Trace((seen.trace if seen else None) or {})
    series = _series(judgement) if view.status == "ok" else ()
    return replace(view, series=series, loss=trace.find(Trace.loss), fit=_fit(trace))


def _series(judgement: Any) -> tuple[Series, ...]:
    found = []
    for stage, series in (_get(judgement, "stages", {})).items():
        residual = _array(series.residual)
        if residual.size and np.isfinite(residual).any():
            tolerance, r, bits = (_array(getattr(series, name)) for name in ("tolerance", "r", "effective_bits"))
            found.append(Series(str(getattr(stage, "value", stage)), residual, tolerance, r, bits))
    return tuple(found)


def _fit(trace: Mapping[str, np.ndarray]) -> Fit | None:
    """The last prediction for each sample, where x and y are one-dimensional."""
    x, y, predictions, rows = (trace.get(name) for name in ("x", "y", "predictions", "batch_index"))
    if x is None or y is None or predictions is None or rows is None:
        return None
    if x.reshape(len(x), -1).shape[1] != 1 or y.size != len(x) or predictions.size != len(rows):
        return None
    last = np.full(len(x), np.nan)
    last[rows] = predictions.reshape(-1)  # the same sample comes once an epoch: the last epoch stays
    order = np.argsort(x.reshape(-1), kind="stable")
    return Fit(x.reshape(-1)[order], y.reshape(-1)[order], last[order])


def _drawing(resolved: Resolved) -> str | None:
    """The text drawings of a model's quantum layers, one below the other."""
    return "\n\n".join(layer.drawing for layer in resolved.quantum_layers if layer.drawing) or None


def _pair(scenario: str, variant: str, pair: "PairDifference") -> Pair:
    a, b = sorted((variant, pair.other))  # both sides record it; sorted, they are one
    return Pair(scenario, a, b, str(pair.stage), pair.step, pair.tensor, pair.difference, pair.tolerance)


def _order(pair: Pair) -> tuple[float, str, str, str, str]:
    return -pair.share, pair.scenario, pair.stage, pair.a, pair.b


def _why_missing(run: Run, cell_id: str) -> str:
    damaged = {name: reason for name, reason in run.damaged if cell_id in name}
    return "; ".join(f"{name} {reason}" for name, reason in damaged.items()) or "no outcome was recorded"


def _reproduce(sources: tuple[str, ...], scenario: Scenario, variant: str) -> str | None:
    """The command that trains a cell again: of a script, as far as it was trained."""
    if not sources:
        return None
    if (script := scenario.script) is None:
        return shlex.join(["qparity", "run", *map(shipped.short, sources), "-k", scenario.name, "-v", variant])
    files = [file for file in sources if PurePath(file).name == PurePath(script.file).name] or [script.file]
    words = ["qparity", "run", *files, "-v", variant, "--fit", script.fit, "--steps", scenario.steps]
    words += ["--batch-size", scenario.training.batch_size, *(["--", *script.arguments] if script.arguments else [])]
    return shlex.join(map(str, words))


def _get(holder: Any, name: str, default: Any = None) -> Any:
    value = getattr(holder, name, None)
    return default if value is None else value


def _text(holder: Any, name: str) -> str | None:
    value = _get(holder, name)
    return None if value is None else str(getattr(value, "value", value))


def _whole(holder: Any, name: str) -> int | None:
    value = _get(holder, name)
    return None if value is None else int(value)


def _number(holder: Any, name: str) -> float | None:
    value = _get(holder, name)
    return None if value is None or np.isnan(value) else float(value)


def _array(values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    return array if array.ndim == 1 else array.reshape(-1)
