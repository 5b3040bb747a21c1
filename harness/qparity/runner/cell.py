"""One cell from start to outcome: drive its child through prepare, audit and fit, and write down whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from qparity.records import Outcome, Variable, read, requests
from qparity.records.answers import Audited, Fitted, Prepared, Refusal
from qparity.records.document import Table
from qparity.records.kinds import Text
from qparity.records.outcome import Fault, Fit
from qparity.records.trace import Trace
from qparity.runner import jury, memory
from qparity.runner.inputs import STATE_STREAM, WEIGHT_STREAM, Inputs, sent_and_declared, starting_values
from qparity.runner.patience import Patience
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool, Server, Unavailable
from qparity.runner.process import Child, ChildDied, ServerDied
from qparity.runner.reference import References, wanted
from qparity.scenario.losses import LOSSES, WITH_CLASSES
from qparity.scenario.refusal import refusal
from qparity.scenario.schema import Scenario
from qparity.worker.protocol import Message, ProtocolError

Progress = Callable[[str, int], None]
FAULT_VARIABLE = "QPARITY_FAULT"
ATTEMPTS = 3
FEW_STEPS = 12
"""As many steps `model.fit` repeats at the least, or all that there are, to show that it trains what was recorded."""
IMPORT_S = 300.0


@dataclass(frozen=True, slots=True)
class CellResult:
    """An outcome, and the trace arrays."""

    outcome: Outcome
    trace: Trace | None


class CellEnded(Exception):
    """The cell is over before its end: a refusal, or an error in the child."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Draft:
    """What is known of a cell so far, as its outcome will have it: whatever ends it, this is kept. None is not there.

    `start` is what its weights and state start from, with data and order: by the names of a trace.
    """

    cell: Cell
    worker: str
    isolation: str | None = None
    status: str = "ok"
    reason: str | None = None
    phases: dict[str, float] = field(default_factory=dict)
    fault: Fault | None = None
    resolved: Table | None = None
    expected: Table | None = None
    audit: Table | None = None
    memory: Table | None = None
    diverged_step: int | None = None
    fit: Fit | None = None
    reference: Table | None = None
    jury: Table | None = None
    trace: Trace | None = None
    start: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """The outcome so far."""
        scenario = self.cell.scenario
        document = {
            "id": self.cell.id,
            "scenario": scenario.model_dump(mode="json"),
            "variant": str(self.cell.variant),
            "status": self.status,
            "reason": self.reason,
            "log": f"logs/{self.cell.id}.log",
            "isolation": self.isolation,
            "worker": self.worker,
            "phases": self.phases,
        }
        fault = self.fault and {name: value for name, value in asdict(self.fault).items() if value is not None}
        later = {
            "fault": fault,
            "resolved": self.resolved,
            "expected": self.expected,
            "audit": self.audit,
            "memory": self.memory,
            "diverged_step": self.diverged_step,
            "fit": self.fit and asdict(self.fit),
            "reference": self.reference,
            "jury": self.jury,
        }
        return Outcome(document | {k: v for k, v in later.items() if v is not None}, planned=scenario)

    @property
    def result(self) -> CellResult:
        """The outcome and the trace so far."""
        return CellResult(self.outcome, self.trace)

    def end(self, status: str, reason: str) -> None:
        """Give the cell its final status."""
        self.status, self.reason = status, reason


async def run_cell(
    pool: Pool,
    block: Block,
    cell: Cell,
    inputs: Inputs,
    log: Path,
    cpus: list[int] | None,
    timeout: float,
    tell: Progress,
    memory_bytes: int | None = None,
    references: References | None = None,
    full_fit: bool = False,
    no_fit: bool = False,
) -> CellResult:
    """The outcome of a cell. Never raises for anything the cell does; being cancelled ends the child too.

    A cell whose server dies starts again, since something else may have ended the server; after `ATTEMPTS` times it
    counts as crashed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        key = pool.key(cell.variant, cell.scenario.device)
        draft = Draft(cell, str(key), pool.isolation(key))
        patience = None
        try:
            refuse_what_cannot_run(cell, memory_bytes)
            tell("starting", 0)
            async with asyncio.timeout(max(timeout, IMPORT_S)):  # a cell does not pay for what it shares with others
                server = await pool.server(cell.variant, cell.scenario.device)
            async with asyncio.timeout(timeout) as clock:
                patience = Patience(clock, timeout)

                def heard(phase: str, step: int, patience: Patience = patience) -> None:
                    patience.heard(step)
                    tell(phase, step)

                await _drive(server, block, cell, inputs, log, cpus, memory_bytes, heard, draft, full_fit, no_fit)
            if references and draft.status == "ok":
                tell("reference", 0)
                begun = time.perf_counter()
                await consult(references, block, cell, inputs, draft)
                draft.phases |= {"reference_s": time.perf_counter() - begun}
                await consult_jury(references, block, cell, inputs, cpus, tell, draft)
        except TimeoutError:
            draft.end("timeout", patience.reason if patience else "its worker server did not start in time")
        except ServerDied as error:
            if attempt < ATTEMPTS:
                continue
            draft.end("crashed", f"{error} {ATTEMPTS} times")
        except ChildDied as error:
            draft.end("crashed", str(error))
        except ProtocolError as error:
            draft.end("crashed", f"the worker wrote garbage: {error}")
        except (CellEnded, Unavailable) as error:
            draft.end(error.status, str(error))
        except Exception as error:  # an answer that nobody expected: one cell's failure, not the sweep's
            draft.end("failed", f"{type(error).__name__}: {' '.join(str(error).split())}"[:600])
        break
    return draft.result


def refuse_what_cannot_run(cell: Cell, memory_bytes: int | None) -> None:
    """Raise CellEnded for what is known to fail before anything is imported for it.

    No backend runs it, or the states of one step alone are more than the memory allowed.
    """
    if why := refusal(cell.scenario, cell.variant):
        raise CellEnded("unsupported", why)
    least = memory.least_bytes(cell.scenario)
    if memory_bytes is not None and least > memory_bytes and not cell.on_gpu:
        needed, allowed = memory.words(least), memory.words(memory_bytes)
        raise CellEnded("unsupported", f"needs at least {needed} of memory for its states: {allowed} may be used")


async def _drive(
    server: Server,
    block: Block,
    cell: Cell,
    inputs: Inputs,
    log: Path,
    cpus: list[int] | None,
    memory_bytes: int | None,
    tell: Progress,
    draft: Draft,
    full_fit: bool,
    no_fit: bool,
) -> None:
    draft.phases |= {"import_s": server.import_s}
    log.unlink(missing_ok=True)
    start = time.perf_counter()
    child = await server.child(cell.id, log, cpus, None if cell.on_gpu else memory_bytes)
    draft.phases |= {"spawn_s": time.perf_counter() - start}
    try:
        await prepare(child, block, cell, inputs, tell, draft)
        await audit(child, cell, inputs, tell, draft)
        if draft.status == "ok" and draft.fault is None and not no_fit:
            await fit(child, None if full_fit else epochs_to_repeat(inputs.order, cell.scenario), tell, draft)
        closing = time.perf_counter()
        await child.close()
        draft.phases |= {"close_s": time.perf_counter() - closing, "wall_s": time.perf_counter() - start}
    except BaseException:
        await asyncio.shield(child.kill())
        raise


async def prepare(child: Child, block: Block, cell: Cell, inputs: Inputs, tell: Progress, draft: Draft) -> None:
    """Build the model, learn what was resolved, and make the starting weights for its shapes."""
    tell("building", 0)
    scenario = cell.scenario
    draft.fault = injected_fault(cell)
    search_path = tuple(block.search_path)
    asked = requests.Prepare(
        scenario.model_dump(mode="json"), search_path, *inputs.shape, str(cell.variant), draft.fault
    )
    answer = checked(await child.request("prepare", asked.body()), "prepare")
    prepared = read(Prepared, answer.body)
    draft.resolved = prepared.resolved
    draft.phases |= {"build_s": prepared.build_s}
    resolved = draft.outcome.resolved

    def drawn(variables: Sequence[Variable], name: str, stream: int) -> list[np.ndarray]:
        built = [answer.arrays[f"{name}/{k}"] for k in range(len(variables))]
        return starting_values(variables, built, scenario, stream)

    if block.given is not None and block.given.start is not None:
        weights = captured_start(resolved.weights, "weights", block.given.start, answer.arrays)
        state = captured_start(resolved.state, "state", block.given.start, answer.arrays)
    else:
        weights = drawn(resolved.weights, "initial", WEIGHT_STREAM)
        state = drawn(resolved.state, "initial_state", STATE_STREAM)
    y = inputs.y if keeps_targets(scenario) else shaped_targets(inputs.y, prepared.output_shape)
    sent = replace(inputs, y=y)
    draft.expected = sent_and_declared(scenario, sent, weights, state)
    draft.start = {f"weights/{k}": value for k, value in enumerate(weights)}
    draft.start |= {f"state/{k}": value for k, value in enumerate(state)}
    draft.start |= {**sent.arrays(), "order": sent.order}


async def audit(child: Child, cell: Cell, inputs: Inputs, tell: Progress, draft: Draft) -> None:
    """The recorded training."""
    tell("audit", 0)
    asked = requests.Audit(repeat=cell.on_gpu)  # there the order of additions may differ from run to run
    told = await child.request("audit", asked.body(), draft.start, lambda said: tell(said.phase, said.step))
    answer = checked(told, "audit")
    draft.trace = Trace(answer.arrays)
    audited = read(Audited, answer.body)
    draft.audit, draft.memory = audited.audit, audited.memory
    draft.resolved = {**(draft.resolved or {}), "flags": audited.flags}
    seconds = audited.step_seconds
    draft.phases |= {"audit_s": audited.audit_s, "first_step_s": seconds[0], "waiting_s": audited.waited_s}
    again = {"repeat_s": audited.repeat_s, "transfer_s": audited.transfer_s}
    draft.phases |= {name: value for name, value in again.items() if value is not None}
    if len(seconds) > 1:
        draft.phases |= {"step_s": statistics.median(seconds[1:])}
    paths = [w.path for w in draft.outcome.resolved.weights]
    if found := first_not_finite(answer.arrays, paths):
        draft.diverged_step, what = found
        draft.end("diverged", f"{what} at step {found[0]}")


def first_not_finite(arrays: dict[str, np.ndarray], paths: Sequence[str]) -> tuple[int, str] | None:
    """The first step whose loss, a gradient or an updated weight is not finite, and which; None where all are."""
    named = {"loss": "loss"} | {f"gradients/{k}": f"gradient of {path}" for k, path in enumerate(paths)}
    named |= {f"new_weights/{k}": f"{path} after the update" for k, path in enumerate(paths)}
    found = []
    for place, (name, words) in enumerate(named.items()):
        flat = arrays[name].reshape(len(arrays[name]), -1)
        bad = ~np.isfinite(flat)
        if bad.any():
            step = int(np.argmax(bad.any(axis=1)))
            found.append((step, place, f"{words} is {flat[step][bad[step]][0]}"))
    return (min(found)[0], min(found)[2]) if found else None


def epochs_to_repeat(order: np.ndarray, scenario: Scenario) -> int:
    """How many epochs `fit` repeats: whole ones, so that the last partial batch is among them, of `FEW_STEPS` or more.

    That is the whole of a training that has no more steps.
    """
    steps_of_one = -(-len(order[0]) // scenario.training.batch_size)
    return min(len(order), -(-FEW_STEPS // steps_of_one))


async def fit(child: Child, epochs: int | None, tell: Progress, draft: Draft) -> None:
    """The user's path over so many epochs (None: all), and whether it ended at the audit's weights."""
    assert draft.trace is not None
    tell("fit", 0)
    asked = requests.Fit(epochs)
    answer = checked(await child.request("fit", asked.body(), {}, lambda said: tell(said.phase, said.step)), "fit")
    fitted = read(Fitted, answer.body)
    seconds = fitted.epoch_seconds
    draft.phases |= {"fit_s": fitted.fit_s, "fit_first_epoch_s": seconds[0], "waiting_s": fitted.waited_s}
    if len(seconds) > 1:
        draft.phases |= {"fit_epoch_s": statistics.median(seconds[1:])}
    draft.memory = fitted.memory
    draft.trace |= answer.arrays
    gaps = [
        np.abs(np.subtract(w, draft.trace[f"new_weights/{name.partition('/')[2]}"][fitted.steps - 1])).max(initial=0.0)
        for name, w in answer.arrays.items()
        if name.startswith("final_weights/")
    ]
    furthest = float(max(gaps, default=0.0))
    draft.fit = Fit(fitted.history, fitted.metrics, fitted.metrics_failed, fitted.steps, not any(gaps), furthest)


async def consult(references: References, block: Block, cell: Cell, inputs: Inputs, draft: Draft) -> None:
    """What the reference says: of the circuit for every cell, of the steps where the oracle cannot."""
    assert draft.trace is not None
    shape = inputs.shape
    draft.reference = dict(await references.about(block, cell, shape))
    outcome = draft.outcome
    if wanted(cell.scenario, outcome.resolved) and outcome.reference.reason is None:
        said, arrays = await references.judge(block, cell, shape, draft.trace, draft.phases["audit_s"])
        draft.reference |= said
        draft.trace |= arrays


async def consult_jury(
    references: References,
    block: Block,
    cell: Cell,
    inputs: Inputs,
    cpus: list[int] | None,
    tell: Progress,
    draft: Draft,
) -> None:
    """What other backends make of the recorded steps, where nobody independent can say."""
    assert draft.trace is not None
    outcome = draft.outcome
    backends = jury.jurors(block, cell)
    if not backends or not jury.wanted(outcome, draft.trace):
        return
    tell("jury", 0)
    begun = time.perf_counter()
    asked = jury.Asked(block, cell, inputs.shape, draft.trace, jury.unit_of(outcome))
    seconds = jury.seconds_each(draft.phases["audit_s"], len(backends))
    draft.jury = {}
    for backend in backends:
        draft.jury[backend], arrays = await jury.ask(references.pool, references.logs, backend, asked, seconds, cpus)
        draft.trace |= arrays
    if steps := jury.doubted(draft.outcome, draft.trace):
        own, mine = cell.variant.backend, replace(asked, steps=tuple(steps))
        draft.jury[own], arrays = await jury.ask(references.pool, references.logs, own, mine, seconds, cpus)
        draft.trace |= arrays
    draft.phases |= {"jury_s": time.perf_counter() - begun}


@dataclass(frozen=True, slots=True)
class _FaultFor:
    """The cells that a fault is for."""

    scenario: Text = "*"
    variant: Text = "*"


def injected_fault(cell: Cell) -> Fault | None:
    """The fault to inject into a cell, to test the gate; None wherever `QPARITY_FAULT` is not set: always in use.

    The variable holds one fault or a list as JSON: `{"name", "step", "size", "scenario": glob, "variant": glob}`, all
    but the name optional; the first that fits the cell is taken. See harness/qparity/worker/faults.py.
    """
    try:
        given = json.loads(os.environ.get(FAULT_VARIABLE, "[]"))
        for fault in given if isinstance(given, list) else [given]:
            places = read(_FaultFor, fault)
            if fnmatchcase(cell.scenario.name, places.scenario) and fnmatchcase(str(cell.variant), places.variant):
                return read(Fault, fault)
    except ValueError as error:
        raise CellEnded("failed", f"{FAULT_VARIABLE}: {error}") from None
    return None


def checked(answer: Message, what: str) -> Message:
    """The answer, unless it is an error of the child."""
    if answer.kind == "error":
        refusal = read(Refusal, answer.body)
        raise CellEnded(refusal.status, f"{what}: {refusal.reason}")
    if answer.kind != "done":
        raise ProtocolError(f"answer of kind {answer.kind!r}")
    return answer


def captured_start(
    variables: Sequence[Variable], kind: str, start: dict[str, np.ndarray], built: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """The values that a script's model started from where it was captured, as float32 has them.

    `built` are the model's own of this backend, `initial/<k>` and `initial_state/<j>`: they say in which dtype.

    Raises:
        CellEnded: the script builds another model here.
    """
    there = [start[f"{kind}/{k}"] for k in range(sum(name.startswith(f"{kind}/") for name in start))]
    words, name = ("weights", "initial") if kind == "weights" else ("untrained variables", "initial_state")
    if len(there) != len(variables):
        raise CellEnded(
            "failed", f"setup: the script's model has {len(variables)} {words} here, {len(there)} elsewhere"
        )
    values = []
    for k, (about, value) in enumerate(zip(variables, there, strict=True)):
        if tuple(about.shape) != value.shape:
            sizes = f"{list(about.shape)} here, {list(value.shape)} elsewhere"
            raise CellEnded("failed", f"setup: the script's model has {about.path} of shape {sizes}")
        rounded = value.astype(np.float32) if value.dtype.kind == "f" else value
        values.append(rounded.astype(built[f"{name}/{k}"].dtype))
    return values


def keeps_targets(scenario: Scenario) -> bool:
    """Whether targets are handed on as they are: classes as numbers, and what a user's own code wants."""
    return bool(scenario.script) or scenario.training.loss not in LOSSES or scenario.training.loss in WITH_CLASSES


def shaped_targets(y: np.ndarray, output_shape: tuple[int, ...]) -> np.ndarray:
    """Targets in the shape of the predictions: (samples, 1) for a model that returns (batch,) becomes (samples,).

    Raises:
        CellEnded: targets and outputs cannot be the same thing.
    """
    if y.shape[1:] == output_shape:
        return y
    if y[0].size == int(np.prod(output_shape)):
        return y.reshape(len(y), *output_shape)
    if y.shape[1] == 1:
        return np.ascontiguousarray(
            np.broadcast_to(y.reshape(len(y), *[1] * len(output_shape)), (len(y), *output_shape))
        )
    sizes = f"the model returns {output_shape} a sample, the data set has {y.shape[1:]} targets"
    raise CellEnded("failed", f"{sizes}: expected the same number (data.outputs, where the data set has that key)")
