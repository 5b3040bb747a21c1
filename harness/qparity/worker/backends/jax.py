"""JAX: eager, and one `jax.jit` around gradients and update."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from qparity.circuit.errors import in_callbacks
from qparity.worker.backends.base import Backend, Step, added_to_loss, loss_scale, plain, split, weight_places
from qparity.worker.backends.taps import Call, Crossing, Extra, Pass, Tap, joined, tapped
from qparity.worker.server import COMPILED

STEPS_PER_EXECUTION = 40


class Jax(Backend):
    """The Keras backend `jax`."""

    name = "jax"

    def __init__(self, accelerator: str, threads: int) -> None:
        super().__init__(accelerator, threads)
        import jax

        self.jax, self.compiled = jax, 0
        jax.monitoring.register_event_duration_secs_listener(self.count)
        logging.getLogger("jax._src.callback").addHandler(_Callbacks())

    def start(self, dtype: str, stock: bool = False) -> None:
        """float64 needs x64; a float32 program is run as its users run it, without. JAX's default on a GPU is TF32."""
        self.jax.config.update("jax_enable_x64", dtype == "float64")
        if folder := os.environ.get(COMPILED):
            self.jax.config.update("jax_enable_compilation_cache", True)
            self.jax.config.update("jax_compilation_cache_dir", folder)
            self.jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
            self.jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        if not (stock and self.accelerator == "gpu"):
            self.jax.config.update("jax_default_matmul_precision", "highest")

    def compile_options(self, mode: str, steps_per_epoch: int) -> dict[str, Any]:
        """Several steps a call under jit: Keras' own bookkeeping costs more than the steps do."""
        if mode == "eager":
            return {"run_eagerly": True, "jit_compile": False}
        return {"jit_compile": True, "steps_per_execution": min(STEPS_PER_EXECUTION, steps_per_epoch)}

    @staticmethod
    def mode_of(model: Any) -> str:
        """What is run eagerly is not compiled."""
        return "jit" if model.jit_compile and not model.run_eagerly else "eager"

    def stepper(
        self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any], whole_batches: bool = True
    ) -> Callable[..., Step]:
        """`value_and_grad` and `stateless_apply`, as Keras' JAX trainer takes them; the gradients are extra outputs."""
        import keras

        jax = self.jax
        model.optimizer.build(model.trainable_variables)

        def train(trainable: Any, fixed: Any, metrics: Any, slots: Any, x: Any, y: Any, weight: Any) -> Any:
            (_, (loss, predictions, fixed, _)), gradients = jax.value_and_grad(
                model.compute_loss_and_updates, has_aux=True
            )(trainable, fixed, metrics, x, y, weight, training=True, optimizer_variables=slots)
            with keras.StatelessScope(state_mapping=list(zip(model.optimizer.variables, slots, strict=True))):
                scale = loss_scale(model.optimizer)
            trainable, slots = model.optimizer.stateless_apply(slots, gradients, trainable)
            kept = gradients if scale is None else [g / scale for g in gradients]
            return loss, predictions, sample_loss(y, predictions), kept, trainable, fixed, slots

        run: Any = jax.jit(train) if mode == "jit" else train

        def step(x: Any, y: Any, weight: Any = None) -> Step:
            loss, predictions, each, gradients, trainable, fixed, slots = run(*_state(model), *_sent(jax, x, y, weight))
            for variables, values in (
                (model.trainable_variables, trainable),
                (model.non_trainable_variables, fixed),
                (model.optimizer.variables, slots),
            ):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
            devices = self.devices_of(loss, predictions, each, gradients)
            loss, predictions, each, *kept = (plain(np.array(t)) for t in (loss, predictions, each, *gradients))
            return Step(loss, predictions, each, kept, devices)

        return step

    def boundary_pass(self, model: Any, mode: str, layers: Sequence[Any]) -> Callable[..., Pass]:
        """Zeros added at the boundaries are what JAX can differentiate; weights are traced as in a step."""
        jax = self.jax
        places = weight_places(model, layers)
        reached: list[list[bool]] = []

        def forward(trainable: Any, fixed: Any, metrics: Any, slots: Any, *batch: Any) -> tuple[Any, Any, Any]:
            with _watched_losses(model) as added:
                _, (loss, predictions, _, _) = model.compute_loss_and_updates(
                    trainable, fixed, metrics, *batch, training=True, optimizer_variables=slots
                )
            return loss, predictions, added[0] if added else None

        def targets(moved: Any, *rest: Any) -> Any:
            """The loss and what Keras adds to it, with the zeros in place."""
            trainable, zeros = moved
            numbers = iter(range(len(layers)))
            with tapped(layers, lambda executor: _ZeroTap(executor, zeros[next(numbers)], type(rest[-3]))) as taps:
                loss, predictions, added = forward(trainable, *rest)
            reached[:] = [tap.reached for tap in taps]
            crossed = [[(call.inputs, call.outputs) for call in tap.calls] for tap in taps]
            return loss, added, predictions, crossed

        def of_loss(moved: Any, *rest: Any) -> Any:
            loss, added, *aside = targets(moved, *rest)
            return loss, (added, *aside)

        def of_added(moved: Any, *rest: Any) -> Any:
            return targets(moved, *rest)[1]

        def shapes(*state: Any) -> Any:
            """The shapes of every call's inputs, weights and outputs; no circuit is traced for that."""
            seen: list[Any] = []

            def look(*arguments: Any) -> Any:
                with tapped(layers, lambda executor: Tap(_Hollow(executor), lambda tensor: tensor)) as taps:
                    loss, _, _ = forward(*arguments)
                seen[:] = [[_like(jax, call) for call in tap.calls] for tap in taps]
                return loss

            _ = jax.eval_shape(look, *state) if mode == "jit" else look(*state)
            return seen

        compiled = jax.jit if mode == "jit" else lambda function: function
        slopes = compiled(jax.grad(of_loss, has_aux=True))
        slopes_of_added = compiled(jax.grad(of_added))
        known: dict[Any, Any] = {}

        def run(x: Any, y: Any, weight: Any = None) -> Pass:
            trainable, *rest = _state(model)
            state = (*rest, *_sent(jax, x, y, weight))
            if x.shape not in known:
                known[x.shape] = shapes(trainable, *state)
            zeros = jax.tree_util.tree_map(lambda like: jax.numpy.zeros(like.shape, like.dtype), known[x.shape])
            (_, back), (added, predictions, crossed) = slopes((trainable, zeros), *state)
            crossings = []
            for calls, returned, each in zip(crossed, back, reached, strict=True):
                inputs, outputs = ([np.array(call[side]) for call in calls] for side in (0, 1))
                cotangents = [np.array(call.outputs) for call in returned]
                into = joined([np.array(call.inputs) for call in returned]) if all(each) else None
                crossings.append(Crossing(joined(inputs), joined(outputs), joined(cotangents), into, len(calls)))
            extra = None
            if added is not None:
                whole, parts = slopes_of_added((trainable, zeros), *state)
                direct = {
                    k: np.array(whole[k]) - sum(np.array(call.weights[name]) for call in parts[j])
                    for k, (j, name) in places.items()
                }
                extra = Extra(np.array(added), direct)
            return Pass(np.array(predictions), crossings, extra)

        return run

    def hessian_product(self, model: Any, mode: str) -> Callable[..., list[np.ndarray]]:
        """`jax.grad` of a slope that `jax.grad` computes."""
        jax = self.jax

        def along(trainable: Any, direction: Any, *rest: Any) -> Any:
            def loss(trainable: Any) -> Any:
                fixed, metrics, slots, *batch = rest
                _, (found, *_) = model.compute_loss_and_updates(
                    trainable, fixed, metrics, *batch, training=True, optimizer_variables=slots
                )
                return found

            return sum((g * v).sum() for g, v in zip(jax.grad(loss)(trainable), direction, strict=True))

        run = jax.jit(jax.grad(along)) if mode == "jit" else jax.grad(along)

        def product(x: Any, y: Any, weight: Any, direction: Sequence[np.ndarray]) -> list[np.ndarray]:
            trainable, *rest = _state(model)
            return [np.array(g) for g in run(trainable, _sent(jax, *direction), *rest, *_sent(jax, x, y, weight))]

        return product

    def layer_slopes(
        self,
        layer: Any,
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        cotangents: list[np.ndarray],
    ) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
        """`jax.grad` of the call, with the layer's variables in a scope of their own."""
        import keras

        inputs, call_with = split(arguments, options)
        variables = layer.trainable_variables

        def total(moved: Any) -> Any:
            tensors, weights = moved
            with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
                outputs = call_with(call, tensors)
            return sum((c.astype(o.dtype) * o).sum() for c, o in zip(cotangents, outputs, strict=True))

        found = self.jax.grad(total)((inputs, [variable.value for variable in variables]))
        by_input: list[np.ndarray | None] = [np.array(g) for g in found[0]]
        return by_input, [np.array(g) for g in found[1]]

    def device_of(self, tensor: Any) -> str:
        """`cpu` or `gpu`; what JAX keeps as a NumPy literal lies on the host."""
        platforms = {device.platform for device in tensor.devices()} if hasattr(tensor, "devices") else {"cpu"}
        return "cpu" if platforms == {"cpu"} else "gpu"

    def gpus(self) -> list[str]:
        """By their marketing names."""
        return [device.device_kind for device in self.jax.devices("cuda")]

    def gpu_peak_bytes(self) -> int | None:
        """As JAX's allocator counts."""
        if self.accelerator == "cpu":
            return None
        counted = self.jax.devices()[0].memory_stats() or {}
        return counted.get("peak_bytes_in_use")

    def flags(self) -> dict[str, Any]:
        """Precision and XLA flags as JAX reads them."""
        import os

        config = self.jax.config
        full = config.jax_default_matmul_precision in ("highest", "float32")
        return {
            "tf32": self.accelerator == "gpu" and not full,
            "deterministic": "--xla_gpu_deterministic_ops=true" in os.environ.get("XLA_FLAGS", ""),
            "x64": bool(config.jax_enable_x64),
            "matmul_precision": config.jax_default_matmul_precision,
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
            "platforms": config.jax_platforms,
        }

    def count(self, event: str, duration: float, **_: Any) -> None:
        """Hear of everything JAX does; a compilation by XLA is what counts."""
        self.compiled += event == "/jax/core/compile/backend_compile_duration"

    def compilations(self) -> int:
        """Programs that XLA has compiled; eager operations are one each, once a shape."""
        return self.compiled

    def sync(self) -> None:
        """Wait for JAX's asynchronous dispatch."""
        self.jax.effects_barrier()
        for array in self.jax.live_arrays():
            array.block_until_ready()


class _Callbacks(logging.Handler):
    """Remembers the errors of Python functions inside compiled programs: JAX logs them, and raises another one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the error itself."""
        if record.exc_info and isinstance(record.exc_info[1], Exception):
            in_callbacks[:] = [record.exc_info[1]]


def _state(model: Any) -> tuple[list[Any], ...]:
    """Values of trainable, other, metrics' and optimizer variables, as Keras' stateless functions take them."""
    kinds = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.metrics_variables,
        model.optimizer.variables,
    )
    return tuple([variable.value for variable in kind] for kind in kinds)


def _sent(jax: Any, *arrays: Any) -> list[Any]:
    """The arrays of a batch as JAX's; None stays None."""
    return [None if array is None else jax.numpy.asarray(array) for array in arrays]


@contextmanager
def _watched_losses(model: Any) -> Iterator[list[Any]]:
    """What Keras adds to the loss, in a list of none or one: it is known inside the call of `compute_loss` alone."""
    found: list[Any] = []
    before = vars(model).get("compute_loss")
    compute_loss = model.compute_loss

    def watched(*arguments: Any, **options: Any) -> Any:
        added = added_to_loss(model)
        found[:] = [] if added is None else [added]
        return compute_loss(*arguments, **options)

    model.compute_loss = watched
    try:
        yield found
    finally:
        if before is None:
            del model.compute_loss
        else:
            model.compute_loss = before


class _Hollow:
    """An executor that runs no circuit: zeros of the shape that the circuit would give."""

    def __init__(self, executor: Any) -> None:
        self.executor = executor

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        """(rows, outputs)."""
        import jax

        return jax.numpy.zeros((inputs.shape[0], self.executor.outputs), self.executor.dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)


class _ZeroTap(Tap):
    """A tap that adds a zero to whatever it passes on, by which JAX can differentiate.

    `zeros` has one entry a call. Inputs that depend on no trainable weight are left alone: only what depends on one is
    traced for differentiation, by another class than the batch is (`plain`). `reached` says which calls had such.
    """

    def __init__(self, executor: Any, zeros: Any, plain: type) -> None:
        super().__init__(executor, lambda tensor: tensor)
        self.zeros, self.plain = zeros, plain
        self.reached: list[bool] = []

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        """Run the circuit."""
        from jax.core import Tracer

        zeros = self.zeros[len(self.calls)]
        self.reached.append(isinstance(inputs, Tracer) and type(inputs) is not self.plain)
        call = Call(inputs + zeros.inputs if self.reached[-1] else inputs, {}, None)
        call.outputs = self.executor({name: w + zeros.weights[name] for name, w in weights.items()}, call.inputs)
        self.calls.append(call)
        return call.outputs + zeros.outputs


class _Sides(NamedTuple):
    """What is known of each tensor of a call."""

    inputs: Any
    weights: dict[str, Any]
    outputs: Any


def _like(jax: Any, call: Call) -> _Sides:
    """Shapes and dtypes of a call's tensors."""

    def made(tensor: Any) -> Any:
        return jax.ShapeDtypeStruct(tensor.shape, tensor.dtype)

    return _Sides(made(call.inputs), {name: made(w) for name, w in call.weights.items()}, made(call.outputs))
