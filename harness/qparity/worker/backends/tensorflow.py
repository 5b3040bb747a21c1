"""TensorFlow: eager, graph (`tf.function`) and XLA (`jit_compile`)."""

from __future__ import annotations

import functools
import gc
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qparity.worker.backends.base import Backend, Step, added_to_loss, loss_scale, plain, split, weight_places
from qparity.worker.backends.taps import Crossing, Extra, Pass, Tap, joined, tapped

STEPS_PER_EXECUTION = 20


class TensorFlow(Backend):
    """The Keras backend `tensorflow`."""

    name = "tensorflow"

    def __init__(self, accelerator: str, threads: int) -> None:
        super().__init__(accelerator, threads)
        import tensorflow

        self.tf = tensorflow

    def start(self, dtype: str, stock: bool = False) -> None:
        """Thread pools, devices and TF32 (TensorFlow's default on a GPU), before the first operation."""
        self.tf.config.threading.set_intra_op_parallelism_threads(self.threads)
        self.tf.config.threading.set_inter_op_parallelism_threads(self.threads)
        if self.accelerator == "cpu":  # hidden already, but where lightning.gpu must see the GPU
            self.tf.config.set_visible_devices([], "GPU")
        if not stock:
            self.tf.config.experimental.enable_tensor_float_32_execution(False)

    def compile_options(self, mode: str, steps_per_epoch: int) -> dict[str, Any]:
        """Several steps a call in the compiled modes: Python between the steps costs more than they do."""
        if mode == "eager":
            return {"run_eagerly": True}
        return {"jit_compile": mode == "xla", "steps_per_execution": min(STEPS_PER_EXECUTION, steps_per_epoch)}

    @staticmethod
    def mode_of(model: Any) -> str:
        """What is run eagerly is not compiled."""
        return "eager" if model.run_eagerly else "xla" if model.jit_compile else "graph"

    @staticmethod
    def kept_beside(model: Any) -> list[tuple[Callable[[Any], object], Any]]:
        """The generator from which operations without a seed of their own get one."""
        from tensorflow.python.eager import context

        counter = getattr(context.context(), "_rng", None)
        return [] if counter is None else [(counter.setstate, counter.getstate())]

    def stepper(
        self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any], whole_batches: bool = True
    ) -> Callable[..., Step]:
        """One function over (x, y, weight); in the graph modes with an unknown batch size where `fit` has one."""
        tf = self.tf
        weights = model.trainable_weights
        without: list[int] = []

        def train(x: Any, y: Any, weight: Any = None) -> tuple[Any, Any, Any, list[Any]]:
            with tf.GradientTape() as tape:
                predictions = model(x, training=True)
                loss = model._compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weight, training=True)
                scaled = model.optimizer.scale_loss(loss)
            scale = loss_scale(model.optimizer)
            gradients = tape.gradient(scaled, weights)
            model.optimizer.apply_gradients(zip(gradients, weights, strict=True))
            without[:] = [k for k, g in enumerate(gradients) if g is None]
            kept = [tf.zeros_like(w) if g is None else g for w, g in zip(weights, gradients, strict=True)]
            kept = [tf.convert_to_tensor(g) for g in kept]
            kept = kept if scale is None else [g / tf.cast(scale, g.dtype) for g in kept]
            return loss, predictions, sample_loss(y, predictions), kept

        @functools.cache
        def compiled(*batches: tuple[tuple[int, ...], Any]) -> Any:
            """Keras leaves the batch size open when the last batch is a partial one, and so do we."""
            signature = [tf.TensorSpec((None, *shape), dtype) for shape, dtype in batches]
            fixed = {} if whole_batches else {"input_signature": signature}
            return tf.function(train, jit_compile=mode == "xla", autograph=False, **fixed)

        def step(x: Any, y: Any, weight: Any = None) -> Step:
            given = [array for array in (x, y, weight) if array is not None]
            run = train if mode == "eager" else compiled(*((array.shape[1:], array.dtype) for array in given))
            loss, predictions, each, gradients = run(*map(tf.convert_to_tensor, given))
            devices = self.devices_of(loss, predictions, each, gradients)
            loss, predictions, each, *kept = (plain(t.numpy()) for t in (loss, predictions, each, *gradients))
            return Step(loss, predictions, each, kept, devices, tuple(without))

        if mode != "eager":
            model.optimizer.build(weights)
        return step

    def boundary_pass(self, model: Any, mode: str, layers: Sequence[Any]) -> Callable[..., Pass]:
        """One tape over the tapped model, in the mode of the step."""
        tf = self.tf
        places = weight_places(model, layers)
        calls = [0] * len(layers)

        def differentiate(x: Any, y: Any, weight: Any = None) -> tuple[Any, ...]:
            with tf.GradientTape(persistent=True) as tape:
                with tapped(layers, lambda executor: Tap(executor, tf.identity)) as taps:
                    predictions = model(x, training=True)
                loss = model._compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weight, training=True)
                extra = added_to_loss(model)
            calls[:] = [len(tap.calls) for tap in taps]
            every = [call for tap in taps for call in tap.calls]
            inputs, outputs = [call.inputs for call in every], [call.outputs for call in every]
            back = tape.gradient(loss, outputs + inputs)
            cotangents = [tf.zeros_like(o) if g is None else g for o, g in zip(outputs, back, strict=False)]
            direct: list[Any] = []
            if extra is not None:
                copies = [[call.weights[name] for call in taps[j].calls] for j, name in places.values()]
                sources = [model.trainable_weights[k].value for k in places], copies
                whole, parts = tape.gradient(extra, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
                direct = [tf.convert_to_tensor(w) - sum(p) for w, p in zip(whole, parts, strict=True)]
            return predictions, inputs, outputs, cotangents, back[len(every) :], extra, direct

        compiled = tf.function(differentiate, jit_compile=mode == "xla", autograph=False)
        differentiated = differentiate if mode == "eager" else compiled

        def run(x: Any, y: Any, weight: Any = None) -> Pass:
            batch = [array for array in (x, y, weight) if array is not None]
            predictions, *crossed, extra, direct = differentiated(*map(tf.convert_to_tensor, batch))
            inputs, outputs, cotangents = ([tensor.numpy() for tensor in kind] for kind in crossed[:3])
            back = [None if tensor is None else tensor.numpy() for tensor in crossed[3]]
            crossings, ends = [], np.cumsum([0, *calls])
            for start, end in itertools.pairwise(ends):
                seen, given, bars = (joined(kind[start:end]) for kind in (inputs, outputs, cotangents))
                returned = [each for each in back[start:end] if each is not None]
                into = joined(returned) if len(returned) == end - start else None
                crossings.append(Crossing(seen, given, bars, into, int(end - start)))
            gradients = {k: g.numpy() for k, g in zip(places, direct, strict=False)}
            return Pass(predictions.numpy(), crossings, None if extra is None else Extra(extra.numpy(), gradients))

        return run

    def hessian_product(self, model: Any, mode: str) -> Callable[..., list[np.ndarray]]:
        """One tape inside another, in the mode of the step."""
        tf, zero = self.tf, self.tf.UnconnectedGradients.ZERO
        weights = [w.value for w in model.trainable_weights]

        def differentiate(direction: Any, x: Any, y: Any, weight: Any = None) -> Any:
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner:
                    predictions = model(x, training=True)
                    loss = model._compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weight, training=True)
                slopes = inner.gradient(loss, weights, unconnected_gradients=zero)
                along = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(slopes, direction, strict=True)])
            return [tf.convert_to_tensor(g) for g in outer.gradient(along, weights, unconnected_gradients=zero)]

        compiled = tf.function(differentiate, jit_compile=mode == "xla", autograph=False)
        run = differentiate if mode == "eager" else compiled

        def product(x: Any, y: Any, weight: Any, direction: Sequence[np.ndarray]) -> list[np.ndarray]:
            batch = [tf.convert_to_tensor(array) for array in (x, y, weight) if array is not None]
            return [g.numpy() for g in run([tf.convert_to_tensor(v) for v in direction], *batch)]

        return product

    def layer_slopes(
        self,
        layer: Any,
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        cotangents: list[np.ndarray],
    ) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
        """One tape over the call."""
        tf = self.tf
        inputs, call_with = split(arguments, options)
        weights = [variable.value for variable in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = call_with(call, inputs)
            total = tf.add_n([tf.reduce_sum(tf.cast(c, o.dtype) * o) for c, o in zip(cotangents, outputs, strict=True)])
        found = tape.gradient(total, [*inputs, *weights])
        arrays = [None if g is None else tf.convert_to_tensor(g).numpy() for g in found]
        return arrays[: len(inputs)], arrays[len(inputs) :]

    def device_of(self, tensor: Any) -> str:
        """`cpu` or `gpu`."""
        return "gpu" if "GPU" in tensor.device.upper() else "cpu"

    def gpus(self) -> list[str]:
        """By their marketing names."""
        config = self.tf.config
        found = [config.experimental.get_device_details(each) for each in config.list_physical_devices("GPU")]
        return [str(details.get("device_name", "GPU")) for details in found]

    def gpu_peak_bytes(self) -> int | None:
        """As TensorFlow's allocator counts."""
        if self.accelerator == "cpu":
            return None
        return int(self.tf.config.experimental.get_memory_info("GPU:0")["peak"])

    def flags(self) -> dict[str, Any]:
        """Threads, TF32 and determinism as TensorFlow reads them."""
        config = self.tf.config
        return {
            "intra_op_threads": config.threading.get_intra_op_parallelism_threads(),
            "inter_op_threads": config.threading.get_inter_op_parallelism_threads(),
            "tf32": self.accelerator == "gpu" and config.experimental.tensor_float_32_execution_enabled(),
            "deterministic": config.experimental.is_op_determinism_enabled()
            if hasattr(config.experimental, "is_op_determinism_enabled")
            else None,
        }

    def compilations(self) -> int:
        """Traces of every `tf.function` alive: Keras keeps its own out of reach, inside closures.

        Collected first, so that none that nobody can call any more dies between two counts. By `type`: `isinstance`
        would ask lazy modules and proxies for their `__class__`, and so wake them.
        """
        gc.collect()
        kind = self.tf.types.experimental.PolymorphicFunction
        return sum(f.experimental_get_tracing_count() for f in gc.get_objects() if issubclass(type(f), kind))

    def sync(self) -> None:
        """TensorFlow on the CPU is synchronous."""
        if self.accelerator == "gpu":
            self.tf.test.experimental.sync_devices()
