"""One place turns a run and its judgements into what is said of it."""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from qparity.summary.view import PASSES, PEERS_AGREE, CellView, Fit, Group, Mark, Pair, RunView, Series

if TYPE_CHECKING:
    from qparity.parity import Judgement
    from qparity.parity.expectation import Expectation
    from qparity.parity.types import PairDifference

SHOWN = ("loss", "x", "y", "predictions", "batch_index")
"""The arrays of a trace that are shown as they are; all others speak through the judgement."""
NOT_COMPARED = "NOT-COMPARED"
ERRORS = ("failed", "timeout", "crashed", "diverged", "missing")


def summarise(
    run: Run, judgements: "Mapping[str, Judgement] | None" = None, gate: Gate | None = None, curves: bool = True
) -> RunView:
    """The view of a run. `judgements` (cell id -> Judgement) are made here unless they are given.

    `gate` holds the entries of an expectations file, which stand above the scenarios' own `expect`, and a floor of
    coverage. `curves` are what only pictures show: without them no trace is read again after it was judged, and neither
    the cells' series nor the pairs are kept.
    """
    gate = gate or Gate()
    sources = run.plan.sources
    cells: list[CellView] = []
    drawings: dict[str, str] = {}
    programs: dict[str, tuple[Program, ...]] = {}
    pairs: set[Pair] = set()
    stages = curves or bool(gate.expectations)  # which may speak of the largest r of a stage
    likes: dict[str, Resolved] = {}
    for place, judgement in _judged(run, judgements, gate.within_s, stages):
        name = place.scenario.name
        known = gate.of(name, place.variant, versions_of(run, place.cell_id)) if gate.expectations else None
        mine = (place.block.source,) if place.block.source else sources
        view = view_of(run, place, judgement, mine, known, gate.require_judge, curves)
        if (like := likes.setdefault(place.variant, view.resolved)) == view.resolved:  # most are as the one before
            view = replace(view, resolved=like)
        likes[place.variant] = view.resolved
        cells.append(view)
        if drawing := _drawing(cells[-1].resolved):
            drawings.setdefault(name, drawing)
        if found := cells[-1].resolved.programs:
            programs.setdefault(name, found)
        pairs |= {_pair(name, place.variant, pair) for pair in _get(judgement, "pairs", ()) if curves}
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


def _judged(
    run: Run, judgements: "Mapping[str, Judgement] | None", within_s: float, stages: bool
) -> "Iterator[tuple[Place, Judgement | None]]":
    """Every planned cell and what is said of it, as soon as its block is judged: others go on being judged beside."""
    if judgements is not None:
        yield from ((place, judgements.get(place.cell_id)) for place in run.planned())
        return
    for block, judged in zip(run.plan.blocks, judging.by_block(run, within_s, stages), strict=True):
        yield from ((Place(block, cell.id, cell.variant), judged.get(cell.id)) for cell in block.cells)


def view_of(
    run: Run,
    place: Place,
    judgement: "Judgement | None",
    sources: tuple[str, ...] = (),
    expectation: "Expectation | None" = None,
    require_judge: bool = False,
    curves: bool = True,
) -> CellView:
    """One cell of a run, judged or not (yet); `curves`: with its series, its loss and what it fits."""
    outcome, trace = (
        (run.recorded(place.cell_id, SHOWN) or (None, None)) if curves else (run.outcome(place.cell_id), None)
    )
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
    trace = trace or Trace()
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
        series=_series(judgement) if curves else (),
        loss=trace.find(Trace.loss),
        fit=_fit(trace),
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
