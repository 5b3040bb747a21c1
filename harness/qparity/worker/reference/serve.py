"""What the reference is asked: the circuit of a scenario, and what is right at the steps that a cell has recorded."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qparity.circuit import carried
from qparity.circuit.fit import ScriptError
from qparity.circuit.script import Captured, hold, run_script
from qparity.oracle.probes import direction
from qparity.records import read, requests
from qparity.records.document import Table
from qparity.records.trace import Trace
from qparity.scenario.backends import REFERENCE
from qparity.scenario.schema import DATA, Scenario
from qparity.worker import draws
from qparity.worker.protocol import Channel, Message
from qparity.worker.reference import qnodes, told
from qparity.worker.reference.cannot import CannotStand
from qparity.worker.reference.differences import UNIT, simple_slope, slope
from qparity.worker.reference.model import Arrays, ReferenceModel, Shift, quiet
from qparity.worker.reference.rounding import Disturbance
from qparity.worker.reference.walk import walk
from qparity.worker.steps import first_and_last_first, joined

DISTURBANCE = 2.0**-22
"""Far above the rounding of differences, far below where a model's slopes change by themselves."""
WIDTH = 2.0**-12
REPEATS = 3
VALUE = 8 * UNIT
"""How far the reference's own loss may be off, over its condition: a layer rounds more than once."""

Answer = tuple[Table, dict[str, np.ndarray]]


def serve_reference(channel: Channel) -> None:
    """Answer the parent's requests until it closes the channel."""
    keras.config.disable_traceback_filtering()  # else what a layer raises is wrapped in the arguments of its call
    reference = Reference()
    handlers: dict[str, Callable[[Message], Answer]] = {
        "prepare": reference.prepare,
        "judge": reference.judge,
        "walk": reference.walk,
    }
    while (request := channel.receive()) is not None and request.kind != "close":
        try:
            with quiet(), told.without_frameworks():
                body, arrays = handlers[request.kind](request)
        except Exception as error:
            with contextlib.suppress(OSError):
                traceback.print_exc()
                sys.stderr.flush()
            said = str(error) if isinstance(error, CannotStand) else f"{type(error).__name__}: {error}"
            channel.send("error", {"status": "failed", "reason": " ".join(said.split())[:600]})
        else:
            channel.send("done", body, arrays)


class Reference:
    """One scenario's model, and its derivatives."""

    def prepare(self, request: Message) -> Answer:
        """Build the model; say what its circuits are and what its variables start from."""
        asked = read(requests.Prepare, request.body)
        sys.path[:0] = asked.search_path
        self.scenario = Scenario.model_validate(asked.scenario)
        if self.scenario.training.draws == "shared":
            draws.share()
        if self.scenario.script and self.scenario.script.recorded:
            hold(self._carried(asked.model or {}))
        self.model = self._built(asked)
        return {"programs": self.model.programs, "told": told.other()}, {}

    def _built(self, asked: requests.Prepare) -> ReferenceModel:
        """The model, its code being told the first backend that it runs on, or else can be built for.

        Raises:
            CannotStand: there is none; what it says is of the reference's own name.
        """
        first: Exception | None = None
        built: tuple[str, ReferenceModel] | None = None
        for name in told.names(asked.search_path):
            try:
                with told.without_frameworks():
                    if self.scenario.script and not self.scenario.script.recorded:
                        run_script(self.scenario.script, Path(asked.search_path[0]))
                        keras.config.set_floatx("float64")
                    model = ReferenceModel(self.scenario, asked.features, asked.outputs)
                    built = built or (name, model)
                    model.try_once(asked.features)
                return model
            except CannotStand:
                raise
            except Exception as error:
                traceback.print_exc()
                first = first or error
        if built is not None:  # it is no example's fault if the recorded batches run
            told.tell(built[0])
            return built[1]
        assert first is not None
        raise CannotStand(_why_not_built(first)) from first

    @staticmethod
    def _carried(model: Mapping[str, Any]) -> Captured:
        """A recorded model, built anew from what came of it."""
        try:
            return carried.captured(model)
        except carried.NotCarried as error:
            raise CannotStand(str(error)) from None

    def judge(self, request: Message) -> Answer:
        """What is right at the steps given, as `reference/...` of a trace (docs/architecture.md).

        Arrays: `weights/<k>` and `state/<j>` (steps, ...), `x` and `y` (rows, ...), perhaps `sample_weight` (rows,),
        `offsets` (steps + 1,), `reference_steps` (steps,), the numbers of the steps.

        Its seconds are of processor time: what neighbours take of a core leaves no step unjudged.
        """
        start, used = time.perf_counter(), time.process_time()
        self.model.prepare()
        given, asked = Trace(request.arrays), read(requests.Judge, request.body)
        steps, offsets = given.reference_steps, given.offsets
        found: list[dict[str, np.ndarray]] = []
        order = first_and_last_first(len(steps))
        for number in order:
            if found and time.process_time() - used > asked.seconds:
                break
            rows = slice(offsets[number], offsets[number + 1])
            weights = [given[f"weights/{k}"][number] for k in range(len(self.model.trainable))]
            state = [given[f"state/{j}"][number] for j in range(len(self.model.rest))]
            batch = [given[name][rows].astype(np.float64) if name in given else None for name in DATA]
            found.append(self._step(weights, state, batch, asked.seed, int(steps[number]), asked.compiled))
        arrays = {f"reference_{name}": array for name, array in joined(found, order).items()}
        arrays |= {"reference_steps": np.array([steps[number] for number in sorted(order[: len(found)])], np.int64)}
        about = {"evaluations": self.evaluations, "qnodes": qnodes.who_simulated()}
        return about | {"wall_s": time.perf_counter() - start}, arrays

    def walk(self, request: Message) -> Answer:
        """Every layer by itself, on what entered it on a variant: see reference/walk.py."""
        self.model.prepare()
        given = Trace(request.arrays)
        kinds = (("weights", self.model.trainable), ("state", self.model.rest))
        for kind, variables in kinds:
            for number, variable in enumerate(variables):
                variable.assign(given[f"{kind}/{number}"])
        rounding = read(requests.WalkReference, request.body).rounding
        walked, arrays = walk(self.model.model, given.x.astype(np.float64), given, rounding)
        return asdict(walked), arrays

    evaluations = 0

    def _step(
        self, weights: Arrays, state: Arrays, batch: Sequence[np.ndarray | None], seed: int, step: int, compiled: bool
    ) -> dict[str, np.ndarray]:
        """Everything about one step; a condition is how far a disturbance of everything by 1 would move a number."""
        weights = [w.astype(np.float64) for w in weights]
        noises = [Disturbance(DISTURBANCE, seed + n) for n in range(REPEATS)]

        def at(moved: Arrays, noise: Disturbance | None = None, shift: Shift | None = None) -> Any:
            self.evaluations += 1
            return self.model.evaluate(moved, state, batch, noise, shift)

        def condition(function: Callable[[float, Disturbance | None], float]) -> float:
            """How far a disturbance by 1 would move the slope of a function at 0."""
            plain = simple_slope(lambda t: function(t, None), WIDTH)
            moved = [abs(simple_slope(lambda t, n=n: function(t, n), WIDTH) - plain) for n in noises]  # type: ignore[misc]
            return max(moved) / DISTURBANCE

        right = at(weights)
        moved_on = any(not np.array_equal(state[j], right.state[j]) for j in self.model.seeds)
        if moved_on and (self.scenario.training.draws == "backend" or draws.drawn_by_backend):
            raise CannotStand("the model draws random numbers, which are other ones on every backend")
        disturbed = [at(weights, noise) for noise in noises]
        moves = np.max([np.abs(d.predictions - right.predictions) for d in disturbed], axis=0)
        loss_condition = max(abs(d.loss - right.loss) for d in disturbed) / DISTURBANCE
        slopes, conditions, errors = [], [], []
        for k, weight in enumerate(weights):
            towards = direction(weight.shape, seed, step, k)

            def along(t: float, noise: Disturbance | None = None, k: int = k, d: np.ndarray = towards) -> float:
                return float(at([w + t * d if i == k else w for i, w in enumerate(weights)], noise).loss)

            exact = slope(along, VALUE * loss_condition, float(right.loss))
            slopes.append(exact.value)
            errors.append(exact.error)
            conditions.append(condition(along))
        found = {
            "predictions": right.predictions,
            "loss": np.array(right.loss),
            "predictions_condition": moves.max(axis=0) / DISTURBANCE,
            "loss_condition": np.array(loss_condition),
            "slopes": np.array(slopes),
            "slopes_condition": np.array(conditions),
            "slopes_error": np.array(errors),
        }
        if compiled:
            shifted = [
                condition(lambda t, n, j=j: float(at(weights, n, Shift(j, t, seed, step)).loss))  # type: ignore[misc]
                for j in range(len(self.model.layers))
            ]
            found |= {"cotangents_condition": np.array(shifted)}
        for j, (value, before) in enumerate(zip(right.state, state, strict=True)):
            if np.issubdtype(value.dtype, np.floating) and not np.array_equal(value, before):
                found[f"state/{j}"] = value
                spread = max(np.abs(d.state[j] - value).max(initial=0.0) for d in disturbed)
                found[f"state_condition/{j}"] = np.array(spread / DISTURBANCE)
        return found


def _why_not_built(error: Exception) -> str:
    """In plain words: most often a table by backend has no entry for this one."""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    cause = error.__cause__ if isinstance(error, ScriptError) else error
    left = "what the oracle does not judge is left to other backends"
    if isinstance(cause, KeyError) and cause.args == (REFERENCE,):
        cure = f'an entry for "{REFERENCE}", with PennyLane\'s interface "auto", lets the whole model be judged'
        return f"the model names no NumPy backend ({said}), so the reference cannot build it; {left}; {cure}"
    return f"the reference cannot build the model on NumPy: {said}; {left}"
