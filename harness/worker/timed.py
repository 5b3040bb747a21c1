"""The timed training: stretches of steps inside one running `model.fit`, each begun on the parent's word.

A stretch lies between the beginnings of two steps of one epoch, so that what an epoch costs once (a new iterator, the
metrics) is in neither end; everything dispatched is computed at both. Between epochs the child blocks on its socket
and uses no CPU. The clock is read in `on_train_batch_begin`: a callback with a batch end would make Keras fetch the
logs of every step on the main thread, which a plain `fit` does not.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from harness.worker import audit
from harness.worker.backends.base import Backend
from harness.worker.protocol import Channel, digest

MOST_STEPS = 20_000
MOST_EPOCHS = 1_000_000
PILOT_EXECUTIONS = {"eager": 2}  # the first one is the start-up; two more where compiled code may settle late
COMPILED_EXECUTIONS = 3


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


class Rounds(keras.callbacks.Callback):
    """One epoch a round. The first epoch is a warm-up; after each, the parent says `go` or `stop`."""

    def __init__(self, backend: Backend, channel: Channel, steps: int, ready: dict[str, Any]) -> None:
        super().__init__()
        self.backend, self.channel, self.steps, self.ready = backend, channel, steps, ready
        self.weights_sha256 = ""
        self.finite = True

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start and stop the clocks."""
        if batch == 0:
            self.backend.sync()
            self.begin = time.perf_counter(), time.process_time()
        elif batch == self.steps:
            self.backend.sync()
            self.end = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report the stretch and wait for the next one."""
        self.backend.sync()
        weights = [audit.read(w) for w in self.model.trainable_weights]
        self.finite = self.finite and all(bool(np.isfinite(w).all()) for w in weights)
        if epoch == 0:
            self.weights_sha256 = digest(np.concatenate([w.reshape(-1).view(np.uint8) for w in weights]))
            self.channel.send("done", self.ready)
        else:
            wall, cpu = (end - begin for begin, end in zip(self.begin, self.end, strict=True))
            self.channel.send("done", {"step_s": wall / self.steps, "wall_s": wall, "cpu_s": cpu})
        request = self.channel.receive()
        if request is None or request.kind in ("stop", "close"):
            self.model.stop_training = True


def train(
    model: keras.Model,
    backend: Backend,
    channel: Channel,
    mode: str,
    batches: Callable[[int], tuple[np.ndarray, np.ndarray]],
    batch_size: int,
    steps_per_execution: int,
    stretch_s: float,
    steps: int | None,
) -> dict[str, Any]:
    """Pilot, then rounds until the parent stops them.

    Args:
        model: compiled, at its starting weights, never run before.
        backend: the seam to synchronise with.
        channel: to the parent.
        mode: of the variant.
        batches: (x, y) of so many full batches.
        batch_size: rows of a batch.
        steps_per_execution: as the model was compiled; stretches are whole executions.
        stretch_s: seconds a stretch should last.
        steps: of a stretch, where an earlier child has fixed them.

    Returns:
        `finite` and `weights_sha256` (after the same number of steps in every child).
    """
    executions = PILOT_EXECUTIONS.get(mode, COMPILED_EXECUTIONS) + 1
    pilot = Pilot(backend, steps_per_execution)
    options = {"batch_size": batch_size, "shuffle": False, "verbose": 0}
    with fresh_caches():
        start = time.perf_counter()
        model.fit(*batches(executions * steps_per_execution), callbacks=[pilot], **options)
    if steps is None:
        wanted = min(stretch_s / max(pilot.step_s, 1e-9), MOST_STEPS)
        least = 2 if mode == "eager" else 1
        steps = max(least, round(wanted / steps_per_execution)) * steps_per_execution
    ready = {
        "first_s": pilot.begins[1] - start,
        "pilot_step_s": pilot.step_s,
        "steps": steps,
        "steps_per_execution": steps_per_execution,
        "pid": os.getpid(),
    }
    rounds = Rounds(backend, channel, steps, ready)
    model.fit(*batches(steps + steps_per_execution), epochs=MOST_EPOCHS, callbacks=[rounds], **options)
    return {"finite": rounds.finite, "weights_sha256": rounds.weights_sha256}


def repeated_rows(order: np.ndarray, batch_size: int, count: int) -> np.ndarray:
    """Rows (count * batch_size,) of `count` full batches: those of the first epoch over and over."""
    full = max(1, len(order) // batch_size)
    rows = np.asarray(order[: full * batch_size])
    return np.resize(rows, count * min(batch_size, len(order)))


@contextmanager
def fresh_caches() -> Iterator[None]:
    """Compilers' caches on disk in a folder of this child's own: no earlier run may help it start."""
    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ.update(dict.fromkeys(names, folder))
        yield
