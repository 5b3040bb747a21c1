"""JAX: eager, and one `jax.jit` around gradients and update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from harness.worker.backends.base import Backend, Step
from harness.worker.backends.taps import Crossing, Pass, tapped

STEPS_PER_EXECUTION = 40


class Jax(Backend):
    """The Keras backend `jax`."""

    name, modes = "jax", ("eager", "jit")

    def __init__(self, accelerator: str, threads: int) -> None:
        super().__init__(accelerator, threads)
        import jax

        self.jax, self.compiled = jax, 0
        jax.monitoring.register_event_duration_secs_listener(self.count)

    @staticmethod
    def environment(accelerator: str, threads: int) -> dict[str, str]:
        """One thread for XLA's CPU client if asked for, no preallocation of GPU memory, no cache of compiled programs.

        The CPU stays available beside a GPU, as the second choice: callbacks into Python need it. A user's cache on
        disk would have earlier runs help a compile phase.
        """
        xla = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if threads == 1 else ""
        platforms = "cuda,cpu" if accelerator == "gpu" else "cpu"
        cuda = {} if accelerator == "gpu" else {"CUDA_VISIBLE_DEVICES": ""}
        fixed = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_ENABLE_COMPILATION_CACHE": "false"}
        return {"JAX_PLATFORMS": platforms, "XLA_FLAGS": xla, **fixed, **cuda}

    def start(self, dtype: str, stock: bool = False) -> None:
        """float64 needs x64; a float32 program is run as its users run it, without. JAX's default on a GPU is TF32."""
        self.jax.config.update("jax_enable_x64", dtype == "float64")
        if not (stock and self.accelerator == "gpu"):
            self.jax.config.update("jax_default_matmul_precision", "highest")

    def compile_options(self, mode: str, steps_per_epoch: int) -> dict[str, Any]:
        """Several steps a call under jit: Keras' own bookkeeping costs more than the steps do."""
        if mode == "eager":
            return {"run_eagerly": True, "jit_compile": False}
        return {"jit_compile": True, "steps_per_execution": min(STEPS_PER_EXECUTION, steps_per_epoch)}

    def stepper(
        self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any], whole_batches: bool = True
    ) -> Callable[[Any, Any], Step]:
        """`value_and_grad` and `stateless_apply`, as Keras' JAX trainer takes them; the gradients are extra outputs."""
        jax = self.jax
        model.optimizer.build(model.trainable_variables)

        def train(trainable: Any, fixed: Any, metrics: Any, slots: Any, x: Any, y: Any) -> Any:
            (loss, (_, predictions, fixed, _)), gradients = jax.value_and_grad(
                model.compute_loss_and_updates, has_aux=True
            )(trainable, fixed, metrics, x, y, None, training=True, optimizer_variables=slots)
            trainable, slots = model.optimizer.stateless_apply(slots, gradients, trainable)
            return loss, predictions, sample_loss(y, predictions), gradients, trainable, fixed, slots

        run: Any = jax.jit(train) if mode == "jit" else train

        def step(x: Any, y: Any) -> Step:
            loss, predictions, each, gradients, trainable, fixed, slots = run(
                *_state(model), jax.numpy.asarray(x), jax.numpy.asarray(y)
            )
            for variables, values in (
                (model.trainable_variables, trainable),
                (model.non_trainable_variables, fixed),
                (model.optimizer.variables, slots),
            ):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
            devices = self.devices_of(loss, predictions, each, gradients)
            kept = [np.array(g) for g in gradients]
            return Step(np.array(loss), np.array(predictions), np.array(each), kept, devices)

        return step

    def boundary_pass(self, model: Any, mode: str, layers: Sequence[Any]) -> Callable[[Any, Any], Pass]:
        """Zeros added at the boundaries are what JAX can differentiate; weights are traced as in a step."""
        jax = self.jax
        trained = [False] * len(layers)

        def loss_of(moved: Any, fixed: Any, metrics: Any, slots: Any, x: Any, y: Any) -> Any:
            trainable, zeros = moved

            def enter(j: int, inputs: Any) -> Any:
                # Only what depends on a weight is traced for differentiation, by another class than the batch is.
                trained[j] = isinstance(inputs, jax.core.Tracer) and type(inputs) is not type(x)
                return inputs + zeros[j][0] if trained[j] else inputs

            with tapped(layers, len(x)) as taps:
                for j, tap in enumerate(taps):
                    tap.enter, tap.leave = partial(enter, j), zeros[j][1].__add__
                loss, (_, predictions, _, _) = model.compute_loss_and_updates(
                    trainable, fixed, metrics, x, y, None, training=True, optimizer_variables=slots
                )
            return loss, (predictions, [(tap.inputs, tap.outputs) for tap in taps])

        differentiate = jax.grad(loss_of, has_aux=True)
        differentiated = jax.jit(differentiate) if mode == "jit" else differentiate

        def run(x: Any, y: Any) -> Pass:
            sizes = [((len(x), layer.function.features), (len(x), layer.outputs)) for layer in layers]
            zeros = [[jax.numpy.zeros(s, x.dtype) for s in each] for each in sizes]
            trainable, *rest = _state(model)
            batch = jax.numpy.asarray(x), jax.numpy.asarray(y)
            (_, back), (predictions, crossed) = differentiated((trainable, zeros), *rest, *batch)
            crossings = [
                Crossing(
                    np.array(inputs), np.array(outputs), np.array(cotangents), np.array(gradients) if reached else None
                )
                for (inputs, outputs), (gradients, cotangents), reached in zip(crossed, back, trained, strict=True)
            ]
            return Pass(np.array(predictions), crossings)

        return run

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


def _state(model: Any) -> tuple[list[Any], ...]:
    """Values of trainable, other, metrics' and optimizer variables, as Keras' stateless functions take them."""
    kinds = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.metrics_variables,
        model.optimizer.variables,
    )
    return tuple([variable.value for variable in kind] for kind in kinds)
