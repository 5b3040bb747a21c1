"""A cell's first divergence as one standalone script: the step, batch and stage alone, nothing of ours imported.

Every stage is judged at the backend's own recorded inputs, so the script needs only those: weights, batch and
cotangents for the circuit, predictions and targets for the loss, gradients and slots for the optimizer. What the oracle
expects is embedded. The circuit is written out gate by gate with the cures that `QKerasLayer` applies, so that the
script shows the fault of the libraries that the cell showed, and no other; a user's own layer brings its source.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qparity.diagnose import script, written
from qparity.diagnose.layerscript import layer_body
from qparity.diagnose.snippets import SNIPPETS
from qparity.diagnose.subject import DiagnosisError, Subject, stage_of
from qparity.diagnose.templates import (
    CALL_BATCH,
    CALL_SAMPLES,
    CIRCUIT,
    FLOAT64_RESULTS,
    HEAD,
    JUDGE,
    OPTIMIZER,
    SETUP,
    TRAINED_INPUTS,
)
from qparity.diagnose.usermodel import expected_by_others, model_lines
from qparity.diagnose.walk import LayerFinding, walk
from qparity.oracle import NotCovered
from qparity.oracle.losses import WITH_LAW
from qparity.oracle.optimizers import LAWS
from qparity.oracle.program import State
from qparity.parity import Stage
from qparity.parity.comparison import REFERENCE, Comparison
from qparity.runner.cell import CellEnded
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import ChildDied
from qparity.runner.reference import Refused
from qparity.scenario.backends import BACKENDS
from qparity.scenario.losses import LOSSES
from qparity.scenario.registry import GPU_DEVICES
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.scenario.written import WRITTEN
from qparity.scenario.written import read as read_written
from qparity.store import Run

TRANSFORMS = ("parameter-shift", "finite-diff", "hadamard", "spsa")


def reproduce(run: Run, subject: Subject, interpreters: dict[str, str] | None = None) -> str:
    """The script's source. Run, it exits with 1 if the divergence shows and 0 if it does not.

    A fault of a user's model outside its quantum layers is traced to its layer first, which runs that step again.

    Raises:
        DiagnosisError: the fault is not one of a computation that can stand alone, or the oracle does not cover it.
    """
    return _script(run, subject, faulty_layer(run, subject, interpreters or {}) if _to_walk(subject) else None)


def from_recordings(run: Run, subject: Subject) -> str:
    """The script's source, made without running anything.

    Raises:
        DiagnosisError: as `reproduce`; or the step must be run again to find the layer at fault.
    """
    if _to_walk(subject):
        raise DiagnosisError(
            f"{subject.name}: the layer at fault is found by running the step again: "
            f"`qparity reproduce {run.id} {subject.name}` does so"
        )
    return _script(run, subject, None)


def _to_walk(subject: Subject) -> bool:
    return subject.judgement.stage != Stage.SETUP and subject.around_the_circuits


def _script(run: Run, subject: Subject, layer: LayerFinding | None) -> str:
    stage, variant = stage_of(subject.judgement), Variant.parse(subject.observation.variant)
    if variant.backend not in SNIPPETS:
        raise DiagnosisError(
            f"{subject.name}: there is no script for {variant.backend}, only for {', '.join(SNIPPETS)}"
        )
    if subject.of_state:
        raise DiagnosisError(
            f"{subject.name}: {subject.judgement.tensor} is no weight: no script shows it, diagnose names its layer"
        )
    if stage == Stage.HESSIAN:
        raise DiagnosisError(f"{subject.name}: there is no script for second derivatives")
    if stage == Stage.SETUP:
        body, what = _setup(subject), f"{subject.judgement.tensor} as the optimizer reads it"
    else:
        comparison, what = subject.comparison(), f"{subject.judgement.tensor} of step {subject.step}"
        if layer is not None and layer.config is not None:
            body, what = layer_body(subject, layer, variant), f"{layer.tensor} of {layer.layer} ({layer.type})"
        elif comparison is None or comparison.by == REFERENCE:
            body = _user_model(run, subject, variant, comparison)
        else:
            rows, what = _rows(subject, comparison), f"{comparison.tensor} of step {subject.step}"
            write = {Stage.LOSS: _loss, Stage.UPDATE: _update}.get(stage, _circuit)
            body = write(subject, comparison, variant, rows)
            body += _expected(comparison.expected[rows].astype(np.float64), comparison.tolerance[rows])
    worker = run.record.workers.get(subject.observation.outcome.worker or "")
    shown = ", ".join(f"{name} {version}" for name, version in worker.versions.items()) if worker else ""
    source = f"Written by qparity from run {run.id}, recorded with {shown or 'unknown versions'}."
    told = head(
        f"{subject.name}: {subject.judgement.reason}", source, _size(subject), variant, subject.observation.scenario
    )
    return f"{told}\n{body}\n{JUDGE.format(what=what)}"


def head(what: str, source: str, size: str, variant: Variant, scenario: Scenario) -> str:
    """The beginning of a script: what it shows, imports, precision."""
    on_gpu = variant.accelerator == "gpu" or scenario.device in GPU_DEVICES
    return HEAD.format(
        what=script.comment(what),
        source=script.comment(source),
        size=size,
        backend=variant.backend,
        hide="" if on_gpu else 'os.environ["CUDA_VISIBLE_DEVICES"] = "-1"\n',
        imports=SNIPPETS[variant.backend].imports.format(device="cuda" if variant.accelerator == "gpu" else "cpu"),
        dtype=scenario.dtype,
        settings=_settings(scenario, variant),
    )


def _settings(scenario: Scenario, variant: Variant) -> str:
    """What the cell's framework was told: precision, and where PennyLane's own tensors go."""
    snippets = SNIPPETS[variant.backend]
    precision = snippets.precision.format(doubles=scenario.dtype == "float64")
    exact = scenario.training.numerics == "exact"
    if variant.accelerator == "cpu":
        return precision
    return precision + snippets.on_gpu + (snippets.full_float32 if exact else "")


def _size(subject: Subject) -> str:
    scenario, samples = subject.observation.scenario, subject.rows.stop - subject.rows.start
    sizes = {"wire": scenario.wires, "layer": scenario.layers, "sample": samples}
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in sizes.items())


def _rows(subject: Subject, comparison: Comparison) -> slice:
    """The rows of a comparison that the script judges: one sample is enough where samples are judged one by one."""
    at = int(np.flatnonzero(comparison.steps == subject.step)[0])
    start, stop = int(comparison.offsets[at]), int(comparison.offsets[at + 1])
    if comparison.stage != Stage.FORWARD:
        return slice(start, stop)
    worst = start + int(np.argmax(comparison.r[start:stop].max(axis=1)))
    return slice(worst, worst + 1)


def _step_rows(subject: Subject, comparison: Comparison) -> slice:
    """All rows of the subject's step."""
    at = int(np.flatnonzero(comparison.steps == subject.step)[0])
    return slice(int(comparison.offsets[at]), int(comparison.offsets[at + 1]))


def _expected(expected: np.ndarray, tolerance: np.ndarray) -> str:
    parts = {"expected": expected, "tolerance": tolerance}
    return "\n".join(f"{name} = {script.literal(array.reshape(-1))}" for name, array in parts.items())


def faulty_layer(run: Run, subject: Subject, interpreters: dict[str, str]) -> LayerFinding | None:
    """The layer that is wrong by itself, if there is one and both sides can be walked."""

    async def found() -> LayerFinding:
        async with Pool(run.logs(), 1, interpreters) as pool:
            return await walk(pool, run, subject)

    with contextlib.suppress(CellEnded, ChildDied, Unavailable, Refused, TimeoutError):
        return asyncio.run(found())
    return None


def _user_model(run: Run, subject: Subject, variant: Variant, comparison: Comparison | None) -> str:
    """The whole model: its source, and what the reference says of it, or else the other variants."""
    if comparison is not None and comparison.stage == Stage.FORWARD:
        here = _step_rows(subject, comparison)
        expected = _expected(comparison.expected[here].astype(np.float64), comparison.tolerance[here])
    else:
        expected = _expected(*expected_by_others(run, subject))
    trace = subject.trace
    rows = trace.batch_index[subject.rows]
    body = model_lines(subject, trace.x[rows])
    if subject.judgement.stage == Stage.FORWARD:
        return body + _forward(variant, True) + expected
    body += f"y = {script.literal(trace.y[rows])}\n\n{_loss_function(subject)}\n"
    k = subject.weight_of(str(subject.judgement.tensor))
    gradient = SNIPPETS[variant.backend].gradient
    return body + gradient.format(wrapped=_wrapped("gradients_of", variant, True), k=k) + expected


def _setup(subject: Subject) -> str:
    name = str(subject.judgement.tensor)
    options = subject.observation.optimizer
    if name not in options:
        raise DiagnosisError(
            f"{subject.name}: {subject.judgement.reason}: this is about what a worker was handed, not about a library"
        )
    return SETUP.format(optimizer=_optimizer(subject), name=name, value=float(options[name]))


def _loss(subject: Subject, comparison: Comparison, variant: Variant, rows: slice) -> str:
    trace, at = subject.trace, subject.rows
    body = f"predictions = {script.literal(trace.predictions[at])}\n"
    body += f"y = {script.literal(trace.y[trace.batch_index[at]])}\n\n{_loss_function(subject)}\n\n"
    body += f"compute = {_wrapped('loss_of', variant, True)}\n"
    return body + "got = to_numpy(compute(tensor(y), tensor(predictions)))\n"


def _update(subject: Subject, comparison: Comparison, variant: Variant, rows: slice) -> str:
    k = subject.weight_of(comparison.tensor)
    weights, gradients = subject.weights(), subject.weights("gradients")
    body = f"weights = [{', '.join(script.literal(w) for w in weights)}]\n"
    body += f"gradients = [{', '.join(script.literal(g) for g in gradients)}]\n"
    slots = {}
    if subject.step:
        for name, attribute in LAWS[subject.observation.scenario.training.optimizer.name].slots.items():
            if f"slots/0/{name}" in subject.trace:
                slots[attribute] = [subject.trace[f"slots/{j}/{name}"][subject.step - 1] for j in range(len(weights))]
    body += "slots = {" + "".join(f'\n"{a}": [{", ".join(map(script.literal, v))}],' for a, v in slots.items()) + "}\n"
    snippets = SNIPPETS[variant.backend]
    body += OPTIMIZER.format(optimizer=_optimizer(subject), iterations=subject.step)
    return body + snippets.update.format(wrapped=_wrapped(snippets.step, variant, True), k=k)


def _circuit(subject: Subject, comparison: Comparison, variant: Variant, rows: slice) -> str:
    """Forward and gradient: the quantum layer as a plain Keras layer around a plain QNode."""
    number = subject.layer(comparison)
    try:
        program = subject.program(number).simulated
    except NotCovered as error:
        raise DiagnosisError(f"{subject.name}: nothing to reproduce it with: {error}") from None
    if any(isinstance(m, State) for m in program.measurements):
        raise DiagnosisError(f"{subject.name}: there is no script for a circuit that measures its state")
    inputs, cotangents = subject.layer_arrays(number)
    trained_inputs = comparison.tensor.endswith("/input_gradients")
    if comparison.stage == Stage.FORWARD:
        first = int(comparison.offsets[np.flatnonzero(comparison.steps == subject.step)[0]])
        inputs = inputs[rows.start - first : rows.stop - first]
    resolved, scenario = subject.observation.outcome.resolved, subject.observation.scenario
    meets = any(script.reads_inputs(p) and script.reads_weights(p) for p in program.parameters)
    how = How(
        variant,
        str(resolved.device),
        str(resolved.diff_method),
        scenario.diff_options,
        program.wires,
        meets,
        subject.layers[number].expanded is not None,
        scenario.device_options or {},
        scenario.qnode_options or {},
    )
    traceable = how.traceable
    text = written.circuit(read_written(scenario.circuit_options)) if scenario.circuit == WRITTEN else None
    try:
        text = text or script.circuit(program)
    except NotCovered as error:
        raise DiagnosisError(f"{subject.name}: {error}") from None
    body = circuit_body(
        text,
        script.sizes(program),
        how,
        inputs,
        subject.layer_weights(number),
        trained_inputs,
    )
    if comparison.stage == Stage.FORWARD:
        return body + _forward(variant, traceable)
    if cotangents is None:
        trace = subject.trace
        y = trace.y[trace.batch_index[subject.rows]].reshape(len(inputs), -1)
        body += f"y = {script.literal(y)}\n\n{_loss_function(subject)}\n"
    else:
        body += f"y = {script.literal(cotangents)}\n\ndef loss_of(cotangents, predictions):\n"
        body += "    return ops.sum(cotangents * predictions)\n"
    names = subject.layers[number].read
    weight = subject.weight_of(comparison.tensor)
    place = len(names) if trained_inputs else names.index(f"weights/{weight}")
    wrapped = _wrapped("gradients_of", variant, traceable)
    return body + SNIPPETS[variant.backend].gradient.format(wrapped=wrapped, k=place)


def _forward(variant: Variant, traceable: bool) -> str:
    forward = SNIPPETS[variant.backend].forward
    return f"compute = {_wrapped(forward, variant, traceable)}\ngot = to_numpy(compute(tensor(x)))\n"


@dataclass(frozen=True, slots=True)
class How:
    """How a circuit is run: variant, device and method as they were resolved, wires.

    `meets`: a gate depends on weights and inputs both; `expanded`: the cell ran its samples one by one.
    """

    variant: Variant
    device: str
    method: str
    options: Mapping[str, object]
    wires: int
    meets: bool
    expanded: bool = False
    device_options: Mapping[str, object] = field(default_factory=dict)
    qnode_options: Mapping[str, object] = field(default_factory=dict)

    @property
    def traceable(self) -> bool:
        """Whether the circuit is compiled into its variant's mode, as `QKerasLayer` decides."""
        by_framework = self.device == "default.qubit" and self.method == "backprop"
        return BACKENDS[self.variant.backend].traces_callbacks or by_framework

    def expands(self, trained_inputs: bool = False) -> bool:
        """Whether samples run one by one, as `QKerasLayer` decides."""
        facts = BACKENDS[self.variant.backend]
        if self.expanded or not self.device.startswith("default.") or self.method in ("adjoint", "hadamard"):
            return True
        if self.method in TRANSFORMS and (self.meets or trained_inputs):
            return True
        return facts.batched_wires is not None and self.wires >= facts.batched_wires and self.method == "backprop"

    @property
    def qnode(self) -> str:
        """The QNode of `circuit` on `device`, as source."""
        options = dict(self.options)
        if self.method == "hadamard":
            options.setdefault("aux_wire", self.wires)
        settings = {"interface": repr(BACKENDS[self.variant.backend].interface), "diff_method": repr(self.method)}
        settings |= {name: repr(value) for name, value in self.qnode_options.items()}
        if options:
            settings["gradient_kwargs"] = repr(options)
        return script.call("qml.QNode", settings, "circuit", "device")

    @property
    def made(self) -> str:
        """The device, as source."""
        settings = {"wires": repr(self.wires + (self.method == "hadamard"))}
        settings |= {name: repr(value) for name, value in self.device_options.items()}
        if (kind := self.device_options.get("c_dtype")) in ("complex64", "complex128"):
            settings["c_dtype"] = f"np.{kind}"
        return script.call("qml.device", settings, repr(self.device))


def circuit_body(
    circuit: str,
    sizes: Sequence[int],
    how: How,
    inputs: np.ndarray,
    weights: Sequence[np.ndarray],
    trained_inputs: bool = False,
) -> str:
    """The part of a script that makes `model`, the circuit as a plain Keras layer, with `x` and `weights`.

    Args:
        circuit: the source of `circuit(weights, x)`.
        sizes: number of outputs of each measurement.
        how: how it is run.
        inputs: (rows, features).
        weights: the arrays that it reads.
        trained_inputs: whether the inputs are a weight.
    """
    body = f"x = {script.literal(inputs)}\nweights = [{', '.join(map(script.literal, weights))}]\n"
    call = CALL_SAMPLES if how.expands(trained_inputs) else CALL_BATCH
    return body + CIRCUIT.format(
        circuit=circuit,
        device=how.made,
        cure=FLOAT64_RESULTS if how.device.startswith("lightning") else "",
        qnode=how.qnode,
        sizes=list(sizes),
        call=call.format(x="self.x.value" if trained_inputs else "inputs"),
        extra=TRAINED_INPUTS if trained_inputs else "",
    )


def _loss_function(subject: Subject) -> str:
    training = subject.observation.scenario.training
    if (name := subject.observation.loss) not in LOSSES:
        raise DiagnosisError(f"{subject.name}: the loss is {name}, of one's own: no script can show it without that")
    kind, exact = LOSSES[training.loss].keras, training.numerics == "exact" and training.loss in WITH_LAW
    weights, head = subject.observation.sample_weights, "def loss_of(y, predictions):\n    return "
    given = "" if weights is None else f"sample_weight = {script.literal(weights[subject.rows])}\n\n"
    if kind and not exact:
        options = {name: repr(value) for name, value in (training.loss_options or {}).items()}
        loss = script.call(f"keras.losses.{kind}", options)
        return f"loss_of = {loss}" if not given else f"{given}{head}{loss}(y, predictions, sample_weight)"
    terms = "ops.square(predictions - y)" if training.loss == "mse" else "predictions"
    if given:
        terms = f"ops.reshape({terms}, (len(sample_weight), -1)) * ops.convert_to_tensor(sample_weight[:, None])"
    return f"{given}{head}ops.sum({terms}) / float(np.prod(predictions.shape))"


def _optimizer(subject: Subject) -> str:
    """The optimizer as the cell made it: TensorFlow keeps float64 digits of NumPy numbers only."""
    o = subject.observation
    optimizer = o.scenario.training.optimizer
    exact = o.scenario.training.numerics == "exact" and o.dtype == "float64"
    numpy = exact and BACKENDS[o.backend].narrows_floats
    table = dict(optimizer.arguments)
    if o.scenario.training.schedule:
        table["learning_rate"] = float(subject.trace.learning_rate[subject.step])
    name = LAWS[optimizer.name].keras
    options = {k: f"np.float64({v!r})" if numpy and isinstance(v, float) else repr(v) for k, v in table.items()}
    return script.call(f"keras.optimizers.{name}", options)


def _wrapped(function: str, variant: Variant, traceable: bool) -> str:
    """A function in the variant's mode. What cannot be traced runs eagerly, as inside the compiled mode it does."""
    return SNIPPETS[variant.backend].compiled.get(variant.mode, "{}").format(function) if traceable else function
