"""Did the worker train what it was sent? Exact checks of data, order, weights and hyper-parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qparity import oracle
from qparity.oracle.schedules import is_rate, rate_at
from qparity.parity.tolerances import UNITS, lower_unit
from qparity.parity.types import STAGES, Observation, Stage
from qparity.records.trace import Trace
from qparity.scenario.schema import DATA


@dataclass(frozen=True, slots=True)
class ExactFault:
    """Something that has no tolerance and differs. `explains` are the stages at which a fault may follow from it."""

    stage: Stage
    step: int | None
    tensor: str
    got: str
    expected: str
    reason: str
    explains: tuple[Stage, ...] = STAGES


OPTIMIZER_ALONE = (Stage.UPDATE,)


def setup_faults(observation: Observation) -> list[ExactFault]:
    """Every setup entry that differs from what was sent or declared, the first to happen first."""
    checks = (_shapes, _weights, _data, _order, _hyperparameters, _counters)
    return [fault for check in checks for fault in check(observation)]


def start_faults(block: Sequence[Observation]) -> dict[str, ExactFault]:
    """Cells whose training starts from other numbers than that of a majority of backends; of all where there is none.

    Whatever was sent, variants that start apart cannot be compared, and say nothing for each other.
    """
    mine: dict[str, list[str]] = {}
    for o in block:
        names = [n for n in sorted(o.recorded) if n.startswith(("weights/", "state/"))]
        mine[o.cell] = [
            f"{name}:{sha256(o.recorded[name][0].astype(np.float64))}" for name in names if len(o.recorded[name])
        ]
    votes: dict[tuple[str, ...], set[str]] = {}
    for o in block:
        votes.setdefault(tuple(mine[o.cell]), set()).add(o.backend)
    if len(votes) < 2:
        return {}
    most = max(votes, key=lambda key: len(votes[key]))
    majority = 2 * len(votes[most]) > len({o.backend for o in block})
    found = {}
    for o in block:
        if majority and tuple(mine[o.cell]) == most:
            continue
        other = most if tuple(mine[o.cell]) != most else next(key for key in votes if key != most)
        first = next((a.partition(":")[0] for a, b in zip(mine[o.cell], other, strict=False) if a != b), "weights")
        who = ", ".join(sorted(votes[other]))
        reason = f"the training starts from another {first} than on {who}"
        found[o.cell] = _fault(first, "other values", f"those of {who}", reason, 0)
    return found


def sha256(array: np.ndarray) -> str:
    """SHA-256 of the raw little-endian bytes, in C order."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()


def _fault(
    tensor: str, got: Any, expected: Any, reason: str, step: int | None = None, explains: tuple[Stage, ...] = STAGES
) -> ExactFault:
    return ExactFault(Stage.SETUP, step, tensor, str(got), str(expected), reason, explains)


def _shapes(o: Observation) -> Iterator[ExactFault]:
    """Weight shapes, in order, against the program's (a bare circuit's weights are all the model has)."""
    if o.program is None or o.outcome.resolved.quantum_layers:
        return
    expected = [w.shape for w in o.program.weights]
    got = [w.shape[1:] for w in weight_arrays(o, "weights")]
    if expected and got != expected:
        yield _fault("weights", got, expected, "the weights' shapes or their order differ from the circuit's")


def _weights(o: Observation) -> Iterator[ExactFault]:
    sent, told = o.expected.hashes, o.outcome.audit.hashes
    yield from _sent(o, "weights", sent.weights, told.weights, "starting weight")
    yield from _sent(o, "state", sent.state, told.state, "starting value of the untrained variable")


def _sent(
    o: Observation, kind: str, sent: Sequence[str] | None, told: Sequence[str] | None, words: str
) -> Iterator[ExactFault]:
    if sent is None:
        return
    first = [w[0] for w in weight_arrays(o, kind) if len(w)]
    for k, digest in enumerate(sent):
        wrong_told = told is not None and (k >= len(told) or told[k] != digest)
        wrong_trace = k >= len(first) or not _has_hash(first[k], digest)
        if wrong_told or wrong_trace:
            others = [j for j in range(len(sent)) if j != k and k < len(first)]
            twin = next((j for j in others if _has_hash(first[k], sent[j])), None)
            why = "is not what was sent" if twin is None else f"holds what was sent as weight {twin}"
            got = told[k] if wrong_told and told and k < len(told) else "other values in the trace"
            yield _fault(f"{kind}/{k}", got, digest, f"the {words} {k} {why}", 0)


def _data(o: Observation) -> Iterator[ExactFault]:
    sent, told = o.expected.hashes, o.outcome.audit.hashes
    for name, digest, read in ((name, getattr(sent, name), getattr(told, name)) for name in DATA):
        if digest is None:
            continue
        if read is not None and read != digest:
            scripted = f"the script hands fit another {name} here than where it was captured"
            yield _fault(name, read, digest, scripted if o.scenario.script else f"{name} is not what was sent", 0)
        elif name in o.recorded and not _has_hash(o.recorded[name], digest):
            yield _fault(name, sha256(o.recorded[name]), digest, f"{name} is not what was sent", 0)


def _order(o: Observation) -> Iterator[ExactFault]:
    """Which samples each step saw: against the order that was sent, else against the data set's own order."""
    got, offsets = o.recorded.batch_index, o.recorded.offsets
    order = _expected_order(o)
    if order is not None:
        rows, steps = order
        starts = np.cumsum([0, *steps])
        as_sent = np.array_equal(offsets, starts) and np.array_equal(got, rows)
        for t in range(0 if as_sent else max(len(offsets), len(starts)) - 1):
            mine = got[offsets[t] : offsets[t + 1]] if t + 1 < len(offsets) else got[:0]
            sent = rows[starts[t] : starts[t + 1]] if t + 1 < len(starts) else rows[:0]
            if not np.array_equal(mine, sent):
                yield _fault("batch_index", _brief(mine), _brief(sent), "the batch is not the one that was sent", t)
                return
    digest = o.expected.hashes.order
    told = o.outcome.audit.hashes.order or digest
    if digest is not None and (told != digest or sha256(got.astype(np.int64)) != digest):
        yield _fault("batch_index", sha256(got.astype(np.int64)), digest, "the order of samples is not what was sent")


def _hyperparameters(o: Observation) -> Iterator[ExactFault]:
    """What the optimizer says it uses, against what is declared, both as the declared dtype holds them."""
    read = o.outcome.audit.hyperparameters
    declared = {} if o.own_optimizer else o.declared
    for name, value in declared.items():
        if name in read and not _same(read[name], value, o.dtype):
            yield _fault(
                name,
                read[name],
                value,
                f"the optimizer uses {name} = {read[name]!r}, declared is {value!r}",
                0,
                OPTIMIZER_ALONE,
            )
    rates = o.recorded.find(Trace.learning_rate) if o.trace is not None else None
    if o.scenario.training.schedule:
        wrong_rate = _first_wrong_rate(o, lower_unit(o.dtype, {}) or UNITS[o.dtype])
        yield from [wrong_rate] if wrong_rate else []
    elif rates is not None and "learning_rate" in declared:
        numbers = rates.tolist()
        same = {rate: _same(float(rate), declared["learning_rate"], o.dtype) for rate in set(numbers)}
        wrong = np.flatnonzero([not same[rate] for rate in numbers])
        if len(wrong):
            t = int(wrong[0])
            yield _fault(
                "learning_rate",
                float(rates[t]),
                declared["learning_rate"],
                "the learning rate is not as declared",
                t,
                OPTIMIZER_ALONE,
            )


def rate_leaks(o: Observation) -> Iterator[ExactFault]:
    """The first rate of a schedule that is rounded to a lower precision than the declared one, if no other is wrong."""
    lower = lower_unit(o.dtype, {})
    if lower and _first_wrong_rate(o, lower) is None and (leak := _first_wrong_rate(o, UNITS[o.dtype])):
        yield replace(leak, reason=f"{leak.reason} (computed in a lower precision than {o.dtype})")


def _first_wrong_rate(o: Observation, unit: float) -> ExactFault | None:
    """The first rate that is not its schedule's, by more than the rounding of a backend of this unit roundoff."""
    training = o.scenario.training
    rates = o.recorded.find(Trace.learning_rate) if o.trace is not None else None
    if rates is None or not training.schedule:
        return None
    table, initial = training.schedule, training.optimizer.learning_rate
    for t, rate in enumerate(rates.astype(np.float64)):
        if not is_rate(float(rate), table, initial, t, unit):
            expected = rate_at(table, initial, t)
            reason = f"the learning rate is {float(rate)!r}, by the schedule {table['name']} it is {expected!r}"
            return _fault("learning_rate", float(rate), expected, reason, t, OPTIMIZER_ALONE)
    return None


def _counters(o: Observation) -> Iterator[ExactFault]:
    got = o.recorded.find(Trace.iterations)
    if got is not None and not o.own_optimizer:
        counted = np.arange(len(got)) // (o.optimizer["gradient_accumulation_steps"] or 1)
        wrong = np.flatnonzero(np.asarray(got) != counted)
        if len(wrong):
            t = int(wrong[0])
            yield _fault(
                "iterations", int(got[t]), int(counted[t]), "the optimizer's step counter is off", t, OPTIMIZER_ALONE
            )


def weight_arrays(o: Observation, kind: str) -> list[np.ndarray]:
    """`weights`, `gradients` or `new_weights` of a trace in Keras' order, (T, *shape) each."""
    return o.recorded.numbered(kind)


def _expected_order(o: Observation) -> tuple[np.ndarray, list[int]] | None:
    """The samples in the order sent and the size of each step, where the folder alone tells them."""
    training = o.scenario.training
    if training.shuffle or "x" not in o.recorded:
        return None
    samples, batch, epochs = len(o.recorded.x), training.batch_size, training.epochs
    sizes = [min(batch, samples - start) for start in range(0, samples, batch)]
    return np.tile(np.arange(samples), epochs), sizes * epochs


def _has_hash(array: np.ndarray, digest: str) -> bool:
    """Whether it is the hash of these numbers, in whichever dtype (starting values are representable in float32)."""
    if sha256(array) == digest:
        return True
    return array.dtype.kind == "f" and digest in (sha256(array.astype(kind)) for kind in (np.float64, np.float32))


def _same(read: Any, declared: Any, dtype: str) -> bool:
    if isinstance(read, bool) or isinstance(declared, bool) or read is None or declared is None:
        return bool(read) == bool(declared)
    return bool(oracle.quantise(read, dtype) == oracle.quantise(declared, dtype))


def _brief(rows: Sequence[int] | np.ndarray) -> str:
    head = ", ".join(str(int(i)) for i in rows[:6])
    return f"[{head}{', ...' if len(rows) > 6 else ''}] ({len(rows)} samples)"
