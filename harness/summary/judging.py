"""From a run folder to a judgement per cell, block by block: only one block's traces are in memory."""

from typing import TYPE_CHECKING, Any

from harness.store import Run

if TYPE_CHECKING:
    from harness.parity import Judgement, Observation


def judgements(run: Run) -> "dict[str, Judgement]":
    """Judge every block of the run; keyed by cell id."""
    found: dict[str, Judgement] = {}
    for block in run.record["plan"]["blocks"]:
        found |= judge_block(run, block)
    return found


def judge_block(run: Run, block: dict[str, Any]) -> "dict[str, Judgement]":
    """Judge one scenario's cells: `block` is {scenario, cells: [{id, variant}]} of the plan."""
    from harness.parity import Judgement, Verdict, judge  # the oracle takes a moment to import

    observations = observations_of(run, block)
    try:
        return judge(observations)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # a run folder may come from anywhere: what cannot be judged is said so, and is never a pass
        why = f"not compared: what was recorded cannot be judged ({type(error).__name__}: {error})"
        return {observation.cell: Judgement(Verdict.NOT_COMPARED, why) for observation in observations}


def observations_of(run: Run, block: dict[str, Any]) -> "list[Observation]":
    """All cells of a block that have an outcome, as the judge sees them."""
    from harness.parity import Observation

    program, family = run.program(block["scenario"]["name"]), sum(bool(s["shots"]) for s, _, _ in run.planned())
    outcomes = [(cell["id"], run.outcome(cell["id"])) for cell in block["cells"]]
    return [
        Observation(outcome, run.trace(cell_id), outcome.get("expected") or {}, program, max(family, 1))
        for cell_id, outcome in outcomes
        if outcome is not None
    ]
