"""The timed training: stretches of steps inside one running `model.fit`, each begun on the parent's word.

A stretch lies between the beginnings of two steps of one epoch, so that what an epoch costs once (a new iterator, the
metrics) is in neither end; everything dispatched is computed at both. Between epochs the child blocks on its socket
and uses no CPU. The clock is read in `on_train_batch_begin`: a callback with a batch end would make Keras fetch the
logs of every step on the main thread, which a plain `fit` does not.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qparity.records import read
from qparity.records.answers import Ready
from qparity.records.document import Table
from qparity.records.requests import Stop, Time
from qparity.records.timing import Profile, Sample
from qparity.timing.energy import Counters
from qparity.worker import audit
from qparity.worker.backends.base import Backend
from qparity.worker.protocol import Channel, Message, digest
from qparity.worker.sampled import Sampler

MOST_STEPS = 20_000
MOST_EPOCHS = 1_000_000
PILOT_EXECUTIONS = {"eager": 2}  # the first one is the start-up; two more where compiled code may settle late
COMPILED_EXECUTIONS = 3
PREDICTIONS = 3
PROFILE_S = 0.4
PROFILE_EPOCHS = 50


class Pilot(keras.callbacks.Callback):
    """The first executions of a fresh child: what starting costs, and about how long a step takes after that."""

    def __init__(self, backend: Backend, steps_per_execution: int) -> None:
        super().__init__()
        self.backend, self.size = backend, steps_per_execution
        self.begins: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note the time at which each execution begins."""
        self.backend.sync()
        self.begins.append(time.perf_counter())

    @property
    def step_s(self) -> float:
        """Seconds a step of the last execution but the open one."""
        return (self.begins[-1] - self.begins[-2]) / self.size


class Stretch(keras.callbacks.Callback):
    """The clocks at the beginning of batch 0 and of batch `steps`, of an epoch or of a `predict`."""

    def __init__(self, backend: Backend, steps: int) -> None:
        super().__init__()
        self.backend, self.steps = backend, steps
        self.counters = Counters.found()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start and stop the clocks."""
        if batch == 0:
            self.backend.sync()
            self.begin_uj = self.counters.now_uj()
            delayed = delayed_s()
            self.begin = time.perf_counter(), time.process_time(), delayed
        elif batch == self.steps:
            self.backend.sync()
            self.end = time.perf_counter(), time.process_time(), delayed_s()
            self.end_uj = self.counters.now_uj()

    on_predict_batch_begin = on_train_batch_begin

    def sample(self) -> Sample:
        """The stretch just measured; a step's time is without the delays, but never less than its CPU time."""
        wall, cpu, delayed = (end - begin for begin, end in zip(self.begin, self.end, strict=True))
        free = min(wall, max(cpu, wall - max(delayed, 0.0)))
        if self.backend.accelerator == "gpu":  # which works on while our own threads wait for each other's core
            free = wall
        energy_j = self.counters.joules(self.begin_uj, self.end_uj)
        return Sample(free / self.steps, wall, cpu, wall - free, energy_j)


class Rounds(Stretch):
    """One epoch a round. The first epoch is a warm-up; after each, the parent says `go` or `stop`."""

    def __init__(self, backend: Backend, channel: Channel, steps: int, ready: Ready) -> None:
        super().__init__(backend, steps)
        self.channel, self.ready = channel, ready
        self.weights_sha256 = ""
        self.finite = True
        self.last: Message | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report the stretch and wait for the next one."""
        self.backend.sync()
        weights = [audit.read(w) for w in self.model.trainable_weights]
        self.finite = self.finite and all(bool(np.isfinite(w).all()) for w in weights)
        if epoch == 0:
            self.weights_sha256 = digest(np.concatenate([w.reshape(-1).view(np.uint8) for w in weights]))
            self.compilations = self.backend.compilations()
            self.channel.send("done", asdict(self.ready))
        else:
            self.channel.send("done", asdict(self.sample()))
        self.last = self.channel.receive()
        if self.last is None or self.last.kind in ("stop", "close"):
            self.model.stop_training = True


def train(
    model: keras.Model,
    backend: Backend,
    channel: Channel,
    mode: str,
    batches: Callable[[int], dict[str, np.ndarray]],
    batch_size: int,
    steps_per_execution: int,
    asked: Time,
    began: float,
) -> Table:
    """Pilot, then rounds until the parent stops them.

    Args:
        model: compiled, at its starting weights, never run before.
        backend: the seam to synchronise with.
        channel: to the parent.
        mode: of the variant.
        batches: the arguments of `fit` (x, y, ...) that are so many full batches.
        batch_size: rows of a batch.
        steps_per_execution: as the model was compiled; stretches are whole executions.
        asked: how long a stretch should be.
        began: when work on the model began, by `time.perf_counter`.

    Returns:
        `finite` and `weights_sha256` (after the same number of steps in every child), `recompilations` in the timed
        rounds, `inference_s` a batch and the `profile` of steps if the parent asked for them, and the seconds of the
        `phases`: `pilot_s` (model and first executions), `rounds_s` (without waiting), `inference_s`, `profile_s`.
    """
    executions = PILOT_EXECUTIONS.get(mode, COMPILED_EXECUTIONS) + 1
    pilot = Pilot(backend, steps_per_execution)
    options = {"batch_size": batch_size, "shuffle": False, "verbose": 0}
    start = time.perf_counter()
    model.fit(**batches(executions * steps_per_execution), callbacks=[pilot], **options)
    steps = asked.steps
    if steps is None:
        wanted = min(asked.stretch_s / max(pilot.step_s, 1e-9), MOST_STEPS)
        least = 2 if mode == "eager" else 1
        steps = max(least, round(wanted / steps_per_execution)) * steps_per_execution
    ready = Ready(steps, steps_per_execution, pilot.begins[1] - start, pilot.step_s)
    rounds = Rounds(backend, channel, steps, ready)
    data = batches(steps + steps_per_execution)
    piloted, waited = time.perf_counter(), channel.waited_s
    model.fit(**data, epochs=MOST_EPOCHS, callbacks=[rounds], **options)
    recompilations = backend.compilations() - rounds.compilations
    trained = time.perf_counter()
    last = read(Stop, rounds.last.body) if rounds.last is not None else Stop()
    inference = inference_s(model, Stretch(backend, steps), data["x"], batch_size) if last.inference else None
    inferred = time.perf_counter()
    profile = sampled(model, Sampled(backend, steps), data, options) if last.profile else None
    return {
        "finite": rounds.finite,
        "weights_sha256": rounds.weights_sha256,
        "recompilations": recompilations,
        "inference_s": inference,
        "profile": profile and asdict(profile),
        "phases": {
            "pilot_s": piloted - began,
            "rounds_s": trained - piloted - (channel.waited_s - waited),
            "inference_s": inferred - trained,
            "profile_s": time.perf_counter() - inferred,
        },
    }


def inference_s(model: keras.Model, stretch: Stretch, x: np.ndarray, batch_size: int) -> float:
    """Seconds a batch of `model.predict`: median of its repetitions, the first of which compiles and does not count."""
    found = []
    for _ in range(1 + PREDICTIONS):
        model.predict(x, batch_size=batch_size, verbose=0, callbacks=[stretch])
        found.append(stretch.sample().step_s)
    return float(np.median(found[1:]))


class Sampled(keras.callbacks.Callback):
    """Samples the stack from batch 0 to the beginning of batch `steps`, epoch after epoch until that is enough."""

    def __init__(self, backend: Backend, steps: int) -> None:
        super().__init__()
        self.backend, self.steps, self.seen = backend, steps, 0
        self.sampler, self.held = Sampler(), contextlib.ExitStack()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start and stop."""
        if batch == 0:
            self.backend.sync()
            self.held.enter_context(self.sampler.sampling())
        elif batch == self.steps:
            self.backend.sync()
            self.held.close()
            self.seen += self.steps

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Whether that was enough."""
        self.model.stop_training = self.sampler.seconds >= PROFILE_S


def sampled(model: keras.Model, watch: Sampled, data: dict[str, np.ndarray], options: dict[str, Any]) -> Profile:
    """A profile of steady steps, of at least PROFILE_S."""
    with watch.held:
        model.fit(**data, epochs=PROFILE_EPOCHS, callbacks=[watch], **options)
    return watch.sampler.profile(watch.seen)


def delayed_s() -> float:
    """Seconds for which this process's threads were ready to run while another had their core, so far.

    Linux's run delay (second field of /proc/PID/task/TID/schedstat, sched-stats.rst); 0 where there is none.
    """
    total = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # a thread that has just ended
            total += int(task.read_text().split()[1])
    return total / 1e9


def repeated_rows(order: np.ndarray, batch_size: int, count: int) -> np.ndarray:
    """Rows (count * batch_size,) of `count` full batches: those of the first epoch over and over."""
    full = max(1, len(order) // batch_size)
    rows = np.asarray(order[: full * batch_size])
    return np.resize(rows, count * min(batch_size, len(order)))
