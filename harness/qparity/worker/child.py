"""One cell inside its own process: prepare, audit, fit, evaluate, as the parent asks.

Every answer is a message; an error is one line with its kind (`unsupported`, or `failed`), the traceback goes to the
cell's log.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from pennylane.exceptions import DeviceError, QuantumFunctionError

from qparity.circuit.errors import fails_in_pennylane, in_callbacks
from qparity.circuit.execution import UnsupportedError
from qparity.circuit.fit import ScriptError
from qparity.circuit.model import build_model, quantum_layers
from qparity.circuit.program import gate_program
from qparity.circuit.script import captured, run_script
from qparity.records import Resolved, read, requests
from qparity.records.answers import Walked
from qparity.records.document import Table
from qparity.records.trace import Trace
from qparity.scenario.backends import every
from qparity.scenario.refusal import XLA_ONLY
from qparity.scenario.schema import SAMPLE_WEIGHT, Scenario, ScriptSpec
from qparity.scenario.variant import Variant
from qparity.worker import audit, called, draws, faults, jury, timed, training
from qparity.worker.backends.base import Backend, plain
from qparity.worker.called import step_of, total_of
from qparity.worker.curvature import hessian_products
from qparity.worker.errors import one_line
from qparity.worker.inspection import constraint_of, drawn_at_random, lowest_precision, overridden, sample_shape
from qparity.worker.memory import peak_bytes, resident_bytes
from qparity.worker.prefix import prefix_model
from qparity.worker.protocol import Channel, Message, digest
from qparity.worker.walk import units, walk
from qparity.worker.warned import pennylane_warnings

UNSUPPORTED = (UnsupportedError, QuantumFunctionError, DeviceError)
TRANSFERS = 9

Answer = tuple[Table, dict[str, np.ndarray]]


def serve_cell(channel: Channel, backend: Backend) -> None:
    """Answer the parent's requests until it closes the channel."""
    keras.config.disable_traceback_filtering()  # it makes another error of one that takes more than a message
    cell = Cell(channel, backend)
    handlers: dict[str, Callable[[Message], Answer]] = {
        "capture": cell.capture,
        "prepare": cell.prepare,
        "audit": cell.audit,
        "fit": cell.fit,
        "time": cell.time,
        "evaluate": cell.evaluate,
        "walk": cell.walk,
        "swear": cell.swear,
    }
    while (request := channel.receive()) is not None and request.kind != "close":
        try:
            body, arrays = handlers[request.kind](request)
        except BaseException as error:  # also what the code under test raises to end the program
            with contextlib.suppress(Exception):  # there may be nowhere left to print to
                traceback.print_exc()
                sys.stderr.flush()
            channel.send("error", said_of(error))
        else:
            channel.send("done", body | {"waited_s": channel.waited_s}, arrays)


class Cell:
    """The state of one cell: its scenario, model and data."""

    data: audit.Data

    def __init__(self, channel: Channel, backend: Backend) -> None:
        self.channel, self.backend = channel, backend
        self.baseline = resident_bytes()
        self.first_model: keras.Model | None = None
        self.qnodes: dict[str, Table] = {}

    def prepare(self, request: Message) -> Answer:
        """Build the model; check that what was resolved is what was requested."""
        start = time.perf_counter()
        asked = read(requests.Prepare, request.body)
        sys.path[:0] = asked.search_path
        self.scenario = Scenario.model_validate(asked.scenario)
        self.mode = Variant.parse(asked.variant).mode
        self.features, self.outputs = asked.features, asked.outputs
        self.fault = faults.Fault.of(asked.fault)
        keras.config.set_floatx(self.scenario.dtype)
        self.backend.start(self.scenario.dtype, self.scenario.training.numerics == "stock")
        if self.scenario.training.draws == "shared":
            draws.share()
        if self.scenario.script:
            taken = run_script(self.scenario.script, Path(asked.search_path[0]))
            if other := taken.differs_from(self.scenario):
                raise ScriptError(f"setup: the script's {other}")
            keras.config.set_floatx(self.scenario.dtype)
            self.backend.start(self.scenario.dtype, True)  # whatever the script has set
        with called.noticed(self.qnodes):  # a compiled one is called when it is traced, and never again
            model = self.first_model = self.new_model()
        if model.compiled:
            raise UnsupportedError(
                f"{self.scenario.model} returns a compiled model: loss and optimizer are those of the scenario's "
                "[training] table, so return it uncompiled and name them there"
            )
        if asked.juror:
            return {}, {}
        layers = quantum_layers(model)
        if self.mode == "xla" and not all(layer.executor.traceable for layer in layers):
            raise UnsupportedError(XLA_ONLY)
        if self.backend.accelerator == "gpu" and (refused := refusal_on_gpu(layers)):
            raise UnsupportedError(refused)
        resolved = self.resolved(model, layers)
        self.assert_as_requested(read(Resolved, resolved))
        body: Table = {"resolved": resolved, "output_shape": sample_shape(model, self.features)}
        initial = {f"initial/{k}": audit.read(w) for k, w in enumerate(model.trainable_weights)}
        initial |= {f"initial_state/{j}": audit.read(v) for j, v in enumerate(model.non_trainable_variables)}
        return body | {"build_s": time.perf_counter() - start}, initial

    def capture(self, request: Message) -> Answer:
        """What a training script hands to its `fit`: data, start, and the tables of a scenario."""
        self.backend.start("float64", True)  # what a script wants with float64 it must be able to get
        asked = read(requests.Capture, request.body)
        taken = run_script(ScriptSpec.model_validate(asked.script), Path(asked.folder))
        start = {name: plain(array) for name, array in taken.start.items()}
        return {"captured": asdict(taken.described())}, {**taken.arrays(), **start}

    def audit(self, request: Message) -> Answer:
        """The recorded training from the given weights over the given batches."""
        start = time.perf_counter()
        self.take_data(request)
        with pennylane_warnings() as warned, called.noticed(self.qnodes):
            about, arrays, seconds = self.record()
        about |= {"warnings": warned, "own_draws": sorted(draws.drawn_by_backend)}
        about |= {"qnodes": list(self.qnodes.values())}
        if self.scenario.script:
            cut = len(self.data.x)  # by --steps
            mine = {name: array[:cut].astype(self.data.x.dtype) for name, array in captured().data().items()}
            about["hashes"] |= {name: digest(array) for name, array in mine.items()}
        if "hessian" in (self.scenario.judge or ()):
            given = self.started_model(), self.backend, self.mode, self.data, arrays, self.scenario.seed
            about["no_hessian"], products = hessian_products(*given)
            arrays |= products
        count = sum(name.startswith("new_weights/") for name in arrays)
        self.recorded = [arrays[f"new_weights/{k}"] for k in range(count)]
        body: Table = {
            "audit": about,
            "step_seconds": seconds,
            "audit_s": time.perf_counter() - start,
            "flags": self.backend.flags(),
        }
        if read(requests.Audit, request.body).repeat:
            again = time.perf_counter()
            about |= {"repeat": audit.repeated(arrays, self.record()[1])}
            body |= {"repeat_s": time.perf_counter() - again}
        if self.backend.accelerator == "gpu":
            body |= {"transfer_s": self.transfer_s()}
        return body | {"memory": self.memory()}, arrays

    def fit(self, request: Message) -> Answer:
        """The user's path: one `model.fit` from the same start, with the time of each epoch."""
        self.data = replace(self.data, order=self.data.order[: read(requests.Fit, request.body).epochs])
        steps = len(self.data.batches(self.scenario.training.batch_size)[0])
        recorded = [values[steps - 1] for values in self.recorded]
        measured, failed = captured().measured if self.scenario.script else {}, None
        try:
            body, arrays = self.fitted(measured)
        except Exception as error:  # of the metrics, if a fit without them has none
            if not measured:
                raise
            traceback.print_exc()
            body, arrays = self.fitted({})
            failed = one_line(error)
        if not all(np.array_equal(arrays[f"final_weights/{k}"], a, equal_nan=True) for k, a in enumerate(recorded)):
            arrays |= self.fit_spread(recorded)
        return body | {"steps": steps, "metrics_failed": failed, "memory": self.memory()}, arrays

    def fitted(self, measured: dict[str, Any]) -> Answer:
        """A `model.fit` from the start, with these metrics: where it ended, and what it took."""
        start = time.perf_counter()
        model = self.started_model(measured)
        data = self.fit_data()
        epochs = EpochTimes(self.backend, data["x"], lambda n: self.progress(n, "fit"))
        # after its last step fit may put averages in the weights' place (use_ema): what is compared are its steps
        model.optimizer.finalize_variable_values = lambda _: None
        history = model.fit(
            **data,
            epochs=len(self.data.order),
            shuffle=False,
            callbacks=[epochs],
            verbose=0,
        )
        body = {
            "fit_s": time.perf_counter() - start,
            "epoch_seconds": epochs.seconds,
            "history": [float(v) for v in history.history.pop("loss", ())],
            "metrics": {name: _numbers(values) for name, values in history.history.items()},
        }
        return body, {f"final_weights/{k}": audit.read(w) for k, w in enumerate(model.trainable_weights)}

    def time(self, request: Message) -> Answer:
        """Timed rounds inside one `model.fit` of full batches; answers a round at a time until told to stop."""
        draws.unshare()  # what is timed is what users run
        start = time.perf_counter()
        self.take_data(request)
        model = self.started_model()
        size = min(self.scenario.training.batch_size, len(self.data.x))

        def batches(count: int) -> dict[str, np.ndarray]:
            rows = timed.repeated_rows(self.data.order[0], size, count)
            return {name: array[rows] for name, array in self.data.arrays().items()}

        body = timed.train(
            model,
            self.backend,
            self.channel,
            self.mode,
            batches,
            size,
            int(model.steps_per_execution),
            read(requests.Time, request.body),
            start,
        )
        return body | {"memory": self.memory(), "flags": self.backend.flags()}, {}

    def evaluate(self, request: Message) -> Answer:
        """One recorded step of a quantum layer alone, cut by prefix.py, at given weights and rows."""
        asked, x = read(requests.Evaluate, request.body), Trace(request.arrays).x
        layer = quantum_layers(self.new_model())[asked.layer]
        model = prefix_model(layer, len(x), asked.gates, asked.words)
        energy = {"loss": "energy", "numerics": "exact", "batch_size": len(x)}
        scenario = self.scenario.model_copy(
            update={"model": None, "script": None, "training": self.scenario.training.model_copy(update=energy)}
        )
        model.compile(
            optimizer=training.make_optimizer(scenario.training, scenario.dtype),
            loss=training.make_loss(scenario.training),
            **self.backend.compile_options(self.mode, 1),
        )
        set_weights(model, request.arrays)
        y = np.zeros((len(x), *model.output_shape[1:]), x.dtype)
        data = audit.Data(x, y, np.arange(len(x))[None])
        about, arrays, _ = audit.record(model, self.backend, self.mode, scenario, data, self.progress)
        return {"audit": about}, arrays

    def walk(self, request: Message) -> Answer:
        """The model layer by layer, at given weights, state and rows: see walk.py."""
        self.start = {k: v for k, v in request.arrays.items() if k.startswith(("weights/", "state/"))}
        calls, arrays = walk(self.started_model(), self.backend, keras.ops.convert_to_tensor(Trace(request.arrays).x))
        return asdict(Walked(tuple(calls))), arrays

    def swear(self, request: Message) -> Answer:
        """What steps of a cell of another backend come to here, and how far rounding may move that: see jury.py."""
        asked, given = read(requests.Swear, request.body), Trace(request.arrays)
        models = jury.Models(self.scenario, self.features, self.outputs, self.backend, self.mode)
        first, self.first_model = self.first_model, None
        return jury.testimony(models, first, asked, given)

    # Helpers

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray], list[float]]:
        """The recorded training from the start: see `audit.record`."""
        model = self.started_model()
        backend, order = faults.inject(self.fault, self.backend, self.data.order, self.scenario.training.batch_size)
        data = replace(self.data, order=order)
        return audit.record(model, backend, self.mode, self.scenario, data, self.progress)

    def fit_spread(self, recorded: list[np.ndarray]) -> dict[str, np.ndarray]:
        """How far a rounding more in every step moves the trained weights, from two trainings: `fit_spread/<k>`."""
        ends = []
        for seed in (1, 2):
            model = self.started_model()
            ends.append(audit.disturbed_end(model, self.backend, self.mode, self.scenario, self.data, seed))
            self.progress(0, "fit")
        pairs = (
            [np.abs(end - audited) for end in each]
            for each, audited in zip(zip(*ends, strict=True), recorded, strict=True)
        )
        return {f"fit_spread/{k}": np.max(list(moved), axis=0) for k, moved in enumerate(pairs)}

    def transfer_s(self) -> float:
        """Seconds that a batch takes to the device and its predictions take back: the median of several times."""
        size = self.scenario.training.batch_size
        seconds = []
        for _ in range(TRANSFERS):
            start = time.perf_counter()
            _, y = (keras.ops.convert_to_tensor(array[:size]) for array in (self.data.x, self.data.y))
            self.backend.sync()
            keras.ops.convert_to_numpy(y)  # as large as the predictions
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds))

    def new_model(self) -> keras.Model:
        """A fresh model of the scenario; the parent says from which numbers a bare circuit starts."""
        return build_model(self.scenario, self.features, self.outputs, drawn=False)

    def started_model(self, measured: dict[str, Any] | None = None) -> keras.Model:
        """A compiled model that was never run, at the shipped starting weights and state; perhaps with metrics."""
        model, self.first_model = self.first_model or self.new_model(), None
        self.compile(model, measured or {})
        set_weights(model, self.start)
        return model

    def compile(self, model: keras.Model, measured: dict[str, Any]) -> None:
        """Loss, optimizer and execution mode of the cell, and `metrics` or `weighted_metrics` of a script."""
        samples = len(self.data.x) if hasattr(self, "data") else 1
        steps = -(-samples // self.scenario.training.batch_size)
        model.compile(
            optimizer=training.optimizer_of(self.scenario),
            loss=training.loss_of(self.scenario),
            auto_scale_loss=False,  # a script's optimizer is wrapped already where Keras did that
            **measured,
            **self.backend.compile_options(self.mode, steps),
        )

    def take_data(self, request: Message) -> None:
        """Keep the data, batch order and starting weights the parent ships."""
        if "x" in request.arrays:
            x, y, order = (request.arrays[k] for k in ("x", "y", "order"))
            self.data = audit.Data(x, y, order, request.arrays.get(SAMPLE_WEIGHT))
            self.start = {k: v for k, v in request.arrays.items() if k.startswith(("weights/", "state/"))}

    def fit_data(self) -> dict[str, Any]:
        """Plain arrays where the order is the data's own, else a data set that yields the shipped order."""
        size = self.scenario.training.batch_size
        if self.scenario.training.shuffle:
            return {"x": OrderedBatches(self.data, size)}
        return self.data.arrays() | {"batch_size": size}

    def resolved(self, model: keras.Model, layers: list[Any]) -> Table:
        """What stands behind the model: interface, device, method, dtype of everything, gate programs, drawings."""
        owner = {id(w): layer.name for layer in layers for w in layer.weights}
        unit = {id(w): layer.name for layer in units(model) for w in layer.weights}
        place = {id(w): k for k, w in enumerate(model.trainable_weights)}
        names = {id(w): f"weights/{k}" for k, w in enumerate(model.trainable_weights)}
        names |= {id(v): f"state/{j}" for j, v in enumerate(model.non_trainable_variables)}
        if self.scenario.script:
            drawn = set()
        else:
            drawn = drawn_at_random(model, self.new_model) if self.scenario.model else set(names.values())

        def about(variable: Any) -> Table:
            return {
                "path": variable.path.removeprefix(f"{model.name}/"),
                "shape": list(variable.shape),
                "dtype": keras.backend.standardize_dtype(variable.dtype),
                "layer": owner.get(id(variable)),
                "unit": unit.get(id(variable)),
                "random": names[id(variable)] in drawn,
                "constraint": constraint_of(variable),
            }

        return {
            "interface": layers[0].executor.interface if layers else None,
            "device": layers[0].device_name if layers else None,
            "diff_method": layers[0].resolved_diff_method() if layers else None,
            "simulated_on": [layer.executor.simulated_on for layer in layers],
            "dtype": model.trainable_weights[0].dtype if model.trainable_weights else None,
            "mode": self.mode,
            "bare": not self.scenario.model,
            "precision": lowest_precision(model),
            "own": overridden(model),
            "weights": [about(w) | {"device": self.backend.device_of(w.value)} for w in model.trainable_weights],
            "state": [about(v) for v in model.non_trainable_variables],
            "quantum_layers": [
                {
                    "name": layer.name,
                    "weights": [place[id(w)] for w in layer.weights if id(w) in place],
                    "dtype": layer.executor.dtype,
                    "diff_method": layer.resolved_diff_method(),
                    "diff_step": step_of(layer.diff_options),
                    "shots": total_of(layer.shots),
                    "expanded": layer.executor.expanded,
                    "computed": layer.computed,
                    "arrays": [names[id(w)] for w in layer._named_weights.values()],
                    "program": gate_program(layer.function),
                    "drawing": layer.draw(),
                }
                for layer in layers
            ],
        }

    def assert_as_requested(self, resolved: Resolved) -> None:
        """A silent fallback to another device or precision is an error, not a result."""
        audit.assert_placed({w.path: str(w.device) for w in resolved.weights}, self.backend.accelerator)
        for weight in resolved.weights:
            if not self.scenario.model and weight.dtype != self.scenario.dtype:
                raise RuntimeError(f"{weight.path} is {weight.dtype}: requested {self.scenario.dtype}")
        requested = self.scenario.diff_method
        if not self.scenario.model and requested not in ("best", resolved.diff_method):
            raise RuntimeError(f"diff method {resolved.diff_method}: requested {requested}")

    def memory(self) -> dict[str, int]:
        """Resident bytes at the start of the cell, and at its highest; the most that tensors held on the GPU."""
        found = {"baseline_bytes": self.baseline, "peak_bytes": peak_bytes()}
        on_gpu = self.backend.gpu_peak_bytes()
        return found if on_gpu is None else found | {"gpu_peak_bytes": on_gpu}

    def progress(self, step: int, phase: str) -> None:
        """Tell the parent where the cell stands, at most ten times a second."""
        now = time.monotonic()
        if step == 0 or now - self._told > 0.1:
            self._told = now
            self.channel.send("progress", {"step": step, "phase": phase})

    _told = 0.0


def _numbers(values: Any) -> list[float | None]:
    """What Keras logs of a metric, an epoch each; None for what is no finite number."""
    read = [np.asarray(value) for value in values]
    return [float(v) if v.size == 1 and v.dtype.kind in "fiub" and np.isfinite(v).all() else None for v in read]


class EpochTimes(keras.callbacks.Callback):
    """Seconds of each epoch, with everything dispatched computed; tells the data which epoch begins."""

    def __init__(self, backend: Backend, data: Any, progress: Callable[[int], None]) -> None:
        super().__init__()
        self.backend, self.data, self.tell = backend, data, progress
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.tell(epoch)
        if isinstance(self.data, OrderedBatches):
            self.data.epoch = epoch
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop the clock once the device is idle."""
        self.backend.sync()
        self.seconds.append(time.perf_counter() - self.start)


class OrderedBatches(keras.utils.PyDataset):
    """Batches in the order the parent shipped, another permutation each epoch.

    The epoch is set from a callback: Keras also reads a batch before the first one, to build the model.
    """

    def __init__(self, data: audit.Data, batch_size: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.data, self.batch_size, self.epoch = data, batch_size, 0

    def __len__(self) -> int:
        return -(-len(self.data.x) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray | None, ...]:
        rows = self.data.order[self.epoch][index * self.batch_size : (index + 1) * self.batch_size]
        x, y, weight = self.data.batch(rows)
        return (x, y) if weight is None else (x, y, weight)


def set_weights(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Assign `weights/<k>` to the k-th trainable weight, `state/<j>` to the j-th variable that is not trained."""
    for kind, variables in (("weights", model.trainable_weights), ("state", model.non_trainable_variables)):
        for number, variable in enumerate(variables):
            if (value := arrays.get(f"{kind}/{number}")) is not None:
                variable.assign(value)


def refusal_on_gpu(layers: list[Any]) -> str | None:
    """Why a `@gpu` cell would simulate on the CPU all the same, with its tensors on the GPU; None if it would not."""
    for layer in layers:
        if layer.executor.simulated_on == "cpu":
            return (
                f"{layer.device_name} with {layer.resolved_diff_method()} simulates on the CPU, wherever its tensors "
                "lie: on a GPU there are default.qubit with backprop, and lightning.gpu"
            )
    return None


def said_of(error: BaseException) -> dict[str, Any]:
    """Status and reason of an error: that this combination cannot run, or that something broke."""
    told_by_backend = type(error).__module__.partition(".")[0] in every("distributions")
    inner = in_callbacks[-1] if in_callbacks and told_by_backend else error
    if type(inner).__name__ in str(error):  # a graph tells of a Python function's error by name alone
        error = inner
    if is_refusal(error):
        return {"status": "unsupported", "reason": one_line(error)}
    if isinstance(error, Exception) and fails_in_pennylane(error):
        return {"status": "unsupported", "reason": f"PennyLane fails at it ({one_line(error)})"}
    said = one_line(error)
    if any(words in said for words in NOTHING_TO_TRAIN):
        said = f"no weight that the model trains reaches its loss ({said})"
    return {"status": "failed", "reason": said}


NOTHING_TO_TRAIN = ("does not require grad", "No gradients provided for any variable")
"""How torch, and Keras on TensorFlow, say it; on JAX all gradients are zero."""


def is_refusal(error: BaseException | None) -> bool:
    """Whether an error, or what it came of, says that this combination cannot run, not that something broke.

    PennyLane's gradients refuse in many words, mostly as ValueError.
    """
    if error is None:
        return False
    frames = traceback.extract_tb(error.__traceback__)
    refused = isinstance(error, UNSUPPORTED) or (frames and "/pennylane/gradients/" in frames[-1].filename)
    return bool(refused) or is_refusal(error.__cause__)
