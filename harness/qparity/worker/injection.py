"""How a fault gets into a real worker: wrapped around a backend's step, a layer's executor and a model's loss.

A fault acts from one step of the audit on, in any mode: two steps are compiled, a clean one and one that is traced
while the switch is on. What the faults are is in `faults`. Test only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
from keras import ops

from qparity.circuit.model import quantum_layers
from qparity.worker.audit import read
from qparity.worker.backends.base import Backend, Step

Tensors = Callable[[Any, float], Any]
Gates = Callable[[list[Any], list[Any]], tuple[list[Any], list[Any]]]
History = list[list[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Injection:
    """Where a fault acts; every function that has a knob gets `size` last.

    `gates` rewrites (operations, measurements); `weights` are the angles as the circuit sees them, `gradient` what
    comes back to them, `outputs` the predictions; `inputs` the NumPy batch; `seen` the predictions as the loss sees
    them, with y; `loss` gets (loss, rows); `around` is a context manager of (model, starting weights of all steps so
    far); `order` gets (the rows of each epoch, the step's epoch, its first row there), `start` the model, once.
    """

    gates: Gates | None = None
    weights: Tensors | None = None
    gradient: Tensors | None = None
    outputs: Tensors | None = None
    inputs: Callable[[np.ndarray], np.ndarray] | None = None
    seen: Callable[[Any, Any], Any] | None = None
    loss: Callable[[Any, int, float], Any] | None = None
    around: Callable[[Any, History, float], AbstractContextManager[None]] | None = None
    order: Callable[[list[np.ndarray], int, int], list[np.ndarray]] | None = None
    start: Callable[[Any, float], None] | None = None
    size: float = 1e-4


class Faulty:
    """A backend whose step goes wrong from step `first` of the audit on; `on` is the switch."""

    def __init__(self, backend: Backend, injection: Injection, first: int, size: float) -> None:
        self.backend, self.injection, self.first, self.size = backend, injection, first, size
        self.on = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def stepper(
        self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any], whole_batches: bool = True
    ) -> Callable[..., Step]:
        """The backend's own steps, a clean and a faulty one."""
        injection = self.injection
        self._install(model)
        clean, faulty = (self.backend.stepper(model, mode, sample_loss, whole_batches) for _ in range(2))
        history: History = []

        def step(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> Step:
            history.append([read(w) for w in model.trainable_weights])
            if len(history) <= self.first:
                return clean(x, y, weight)
            self.on = True
            around = injection.around(model, history, self.size) if injection.around else nullcontext()
            try:
                with around:
                    return faulty(injection.inputs(x) if injection.inputs else x, y, weight)
            finally:
                self.on = False

        return step

    def _install(self, model: Any) -> None:
        injection, size = self.injection, self.size
        for layer in quantum_layers(model):
            layer._executor = _SpoiltExecutor(layer.executor, self)  # type: ignore[assignment]
        if injection.seen or injection.loss:
            compute_loss = model.compute_loss

            def spoilt(
                x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
            ) -> Any:
                seen = injection.seen(y, y_pred) if self.on and injection.seen else y_pred
                loss = compute_loss(x=x, y=y, y_pred=seen, sample_weight=sample_weight, training=training)
                return injection.loss(loss, y_pred.shape[0], size) if self.on and injection.loss else loss

            model.compute_loss = spoilt
        if injection.start:
            injection.start(model, size)


class _SpoiltExecutor:
    """A layer's executor with a fault in its circuit, weights, gradients or outputs while the switch is on."""

    def __init__(self, executor: Any, switch: Faulty) -> None:
        self.switch, self.injection, self.size = switch, switch.injection, switch.size
        if self.injection.gates:
            wrong = dataclasses.replace(executor.function, function=self._regated(executor.function.function))
            executor = dataclasses.replace(executor, function=wrong)
        self.executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        if not self.switch.on:
            return self.executor(weights, inputs)
        if spoil := self.injection.weights:
            weights = {name: spoil(w, self.size) for name, w in weights.items()}
        if self.injection.gradient:
            weights = {name: self._with_gradient(w) for name, w in weights.items()}
        outputs = self.executor(weights, inputs)
        return self.injection.outputs(outputs, self.size) if self.injection.outputs else outputs

    def _with_gradient(self, weight: Any) -> Any:
        """The same value, whose gradient is spoilt on its way back."""
        spoil = self.injection.gradient
        assert spoil is not None

        def identity(w: Any) -> tuple[Any, Callable[..., Any]]:
            return w * 1, lambda *given, upstream=None: spoil(given[-1] if upstream is None else upstream, self.size)

        return ops.custom_gradient(identity)(weight)

    def _regated(self, function: Callable[[Any, Any], list[Any]]) -> Callable[[Any, Any], list[Any]]:
        rewrite = self.injection.gates
        assert rewrite is not None

        def run(weights: Any, inputs: Any) -> list[Any]:
            if not self.switch.on:
                return function(weights, inputs)
            with qml.queuing.AnnotatedQueue() as queue:
                function(weights, inputs)
            tape = qml.tape.QuantumScript.from_queue(queue)
            with qml.QueuingManager.stop_recording():
                operations, measurements = rewrite(list(tape.operations), list(tape.measurements))
            for operation in operations:
                qml.apply(operation)
            return [qml.apply(measurement) for measurement in measurements]

        return run
