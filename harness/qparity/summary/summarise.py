"""One place turns a run and its judgements into what is said of it."""

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qparity.store import Run
from qparity.summary import judging, words
from qparity.summary.gate import Gate, versions_of
from qparity.summary.speeds import growth, with_timing
from qparity.summary.view import PASSES, PEERS_AGREE, CellView, Fit, Group, Mark, Pair, RunView, Series

if TYPE_CHECKING:
    from qparity.parity import Judgement
    from qparity.parity.expectation import Expectation
    from qparity.parity.types import PairDifference

SHOWN = ("loss", "x", "y", "predictions", "batch_index")
"""The arrays of a trace that are shown as they are; all others speak through the judgement."""
NOT_COMPARED = "NOT-COMPARED"
ERRORS = ("failed", "timeout", "crashed", "diverged", "missing")


def summarise(run: Run, judgements: "Mapping[str, Judgement] | None" = None, gate: Gate | None = None) -> RunView:
    """The view of a run. `judgements` (cell id -> Judgement) are made here unless they are given.

    `gate` holds the entries of an expectations file, which stand above the scenarios' own `expect`, and a floor of
    coverage.
    """
    gate = gate or Gate()
    if judgements is None:
        judgements = judging.judgements(run, gate.within_s)
    sources = tuple(map(str, run.record["plan"].get("sources") or ()))
    cells: list[CellView] = []
    drawings: dict[str, str] = {}
    programs: dict[str, tuple[Mapping[str, Any], ...]] = {}
    pairs: set[Pair] = set()
    files = {block["scenario"]["name"]: block.get("source") for block in run.record["plan"]["blocks"]}
    for scenario, cell_id, variant in run.planned():
        judgement = judgements.get(cell_id)
        known = gate.of(scenario["name"], variant, versions_of(run, cell_id)) if gate.expectations else None
        source = files.get(scenario["name"])
        mine = (str(source),) if source else sources
        cells.append(view_of(run, scenario, cell_id, variant, judgement, mine, known, gate.require_judge))
        if drawing := _drawing(cells[-1].resolved):
            drawings.setdefault(scenario["name"], drawing)
        if found := _programs(cells[-1].resolved):
            programs.setdefault(scenario["name"], found)
        pairs |= {_pair(scenario["name"], variant, pair) for pair in _get(judgement, "pairs", ())}
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
    record = run.record
    return RunView(
        id=run.id,
        state=str(record.get("state")),
        created=str(record.get("created")),
        finished=record.get("finished"),
        command=words.command(record.get("command")),
        agreement=words.agreement(compared, among_variants),
        rest=" ".join(part for part in (words.rest(counts), f"{ended} ended as expected." if ended else "") if part),
        exit_code=exit_code(compared, surprises, bool(unmet or slow), bool(short or untimed)),
        scenarios=tuple(dict.fromkeys(cell.scenario for cell in cells)),
        variants=tuple(dict.fromkeys(cell.variant for cell in cells)),
        cells=tuple(cells),
        counts=counts,
        groups=_groups(cells),
        pairs=tuple(sorted(pairs, key=_order)),
        environment=record["environment"],
        workers=record["workers"],
        sources=sources,
        drawings=drawings,
        programs=programs,
        damaged=tuple(run.damaged),
        problems=(*unmet, *slow, *short, *untimed),
        notes=tuple(map(str, (record.get("merged") or {}).get("notes") or ())),
        growths=growth(run, cells),
        peers=words.peers(among_variants, len(cells)),
    )


def view_of(
    run: Run,
    scenario: dict[str, Any],
    cell_id: str,
    variant: str,
    judgement: "Judgement | None",
    sources: tuple[str, ...] = (),
    expectation: "Expectation | None" = None,
    require_judge: bool = False,
) -> CellView:
    """One cell of a run, judged or not (yet)."""
    trace = run.trace(cell_id, SHOWN)  # first: an odd trace makes its cell missing
    outcome = run.outcome(cell_id) or {"status": "missing", "reason": _why_missing(run, cell_id)}
    judgement = judgement if outcome["status"] == "ok" else None
    return _cell(scenario, cell_id, variant, outcome, judgement, trace or {}, sources, expectation, require_judge)


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


def _cell(
    scenario: dict[str, Any],
    cell_id: str,
    variant: str,
    outcome: dict[str, Any],
    judgement: "Judgement | None",
    trace: Mapping[str, np.ndarray],
    sources: tuple[str, ...],
    expectation: "Expectation | None",
    require_judge: bool,
) -> CellView:
    status = outcome["status"]
    verdict = _text(judgement, "verdict")
    expected = expectation.expected if expectation else _expected(scenario, variant)
    objection = expectation.objection(status, outcome.get("reason"), judgement) if expectation else None
    mark = _mark(status, verdict, expected, require_judge)
    if objection and status == "ok":
        mark = "fail"
    elif expectation and expectation.status and not objection and status != "unsupported":
        mark = "expected"
    memory = outcome.get("memory") or {}
    reason = _text(judgement, "reason") if status == "ok" else outcome.get("reason")
    if fault := outcome.get("fault"):
        reason = f"[injected fault: {fault.get('name')}] {reason or ''}"
    fields = {
        "status": status,
        "verdict": verdict,
        "expected": expected,
        "stage": _text(judgement, "stage"),
        "step": outcome.get("diverged_step") if status == "diverged" else _whole(judgement, "step"),
        "tensor": _text(judgement, "tensor"),
        "index": tuple(int(i) for i in np.atleast_1d(_get(judgement, "index", ()))),
        "r": _number(judgement, "r"),
        "effective_bits": _number(judgement, "effective_bits"),
        "smallest_tolerance": _number(judgement, "smallest_tolerance"),
        "judged": _whole(judgement, "judged") or 0,
        "judgeable": _whole(judgement, "judgeable") or 0,
        "by_design": bool(_get(judgement, "by_design", False)),
        "reason": words.plain(str(reason)) if reason else None,
    }
    return CellView(
        id=cell_id,
        scenario=scenario["name"],
        variant=variant,
        mark=mark,
        line=_line(mark, objection, fields),
        **fields,
        annotations=tuple(map(str, _get(judgement, "annotations", ()))),
        phases=_numbers(outcome.get("phases")),
        baseline_bytes=memory.get("baseline_bytes"),
        peak_bytes=memory.get("peak_bytes"),
        gpu_peak_bytes=memory.get("gpu_peak_bytes"),
        resolved=outcome.get("resolved") or {},
        log=outcome.get("log"),
        reproduce=_reproduce(sources, scenario["name"], variant),
        series=_series(judgement),
        loss=trace.get("loss"),
        fit=_fit(trace),
        settings=scenario,
        source=sources[0] if len(sources) == 1 else None,
        known=expectation.reason if expectation else None,
        link=expectation.link if expectation else None,
    )


def _line(mark: Mark, objection: str | None, fields: dict[str, Any]) -> str:
    """One line on a cell; one that did not finish says how it ended, also where that is as expected, or is not."""
    if fields["status"] == "ok":
        return words.cell_line(mark, objection=objection, **fields)
    said = words.cell_line("error", objection=None, **fields)
    known = mark == "expected" or (fields["status"] == fields["expected"] and not objection)
    return said + (f" ({objection})" if objection else " (as expected)" if known else "")


def _expected(scenario: Mapping[str, Any], variant: str) -> str:
    """The expected verdict; a word that is no verdict is kept, and can then never be met."""
    from qparity.parity import expected_verdict

    expect = scenario.get("expect")
    try:
        return str(expected_verdict(expect, variant))
    except (ValueError, TypeError, AttributeError):
        return str(expect)


def _mark(status: str, verdict: str | None, expected: str, require_judge: bool) -> Mark:
    if status == "unsupported":
        return "unsupported"
    if status != "ok":
        return "error"
    if verdict in (None, NOT_COMPARED) or (verdict == PEERS_AGREE and require_judge):
        return "uncompared"
    if verdict == expected or (verdict in PASSES and expected in PASSES):
        return "pass" if verdict in PASSES else "expected"
    return "fail"


def _groups(cells: list[CellView]) -> tuple[Group, ...]:
    """Cells without a verdict by identical reason; the largest group of the worst kind first."""
    found: dict[tuple[str, str], list[CellView]] = {}
    for cell in cells:
        if cell.mark in ("error", "uncompared", "unsupported"):
            status = "not compared" if cell.mark == "uncompared" else cell.status
            found.setdefault((status, cell.reason or "no reason recorded"), []).append(cell)
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


def _drawing(resolved: Mapping[str, Any]) -> str | None:
    """The text drawings of a model's quantum layers, one below the other."""
    layers = resolved.get("quantum_layers")
    found = [layer.get("drawing") for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    return "\n\n".join(drawing for drawing in found if isinstance(drawing, str)) or None


def _programs(resolved: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The gate programs of a model's quantum layers."""
    layers = resolved.get("quantum_layers")
    found = [layer.get("program") for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    return tuple(program for program in found if isinstance(program, dict) and isinstance(program.get("gates"), list))


def _pair(scenario: str, variant: str, pair: "PairDifference") -> Pair:
    a, b = sorted((variant, pair.other))  # both sides record it; sorted, they are one
    return Pair(scenario, a, b, str(pair.stage), pair.step, pair.tensor, pair.difference, pair.tolerance)


def _order(pair: Pair) -> tuple[float, str, str, str, str]:
    return -pair.share, pair.scenario, pair.stage, pair.a, pair.b


def _why_missing(run: Run, cell_id: str) -> str:
    damaged = {name: reason for name, reason in run.damaged if cell_id in name}
    return "; ".join(f"{name} {reason}" for name, reason in damaged.items()) or "no outcome was recorded"


def _reproduce(sources: tuple[str, ...], scenario: str, variant: str) -> str | None:
    return shlex.join(["qparity", "run", *sources, "-k", scenario, "-v", variant]) if sources else None


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


def _numbers(table: Mapping[str, Any] | None) -> dict[str, float]:
    return {key: float(value) for key, value in (table or {}).items() if isinstance(value, (int, float))}


def _array(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(-1)
