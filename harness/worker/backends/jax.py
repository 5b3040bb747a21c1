"""JAX: eager, and one `jax.jit` around gradients and update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.worker.backends.base import Backend, Step, thread_environment

STEPS_PER_EXECUTION = 40


class Jax(Backend):
    """The Keras backend `jax`."""

    name, package, modes = "jax", "jax", ("eager", "jit")

    def __init__(self, accelerator: str, threads: int) -> None:
        super().__init__(accelerator, threads)
        import jax

        self.jax = jax

    @staticmethod
    def environment(accelerator: str, threads: int) -> dict[str, str]:
        """One thread for XLA's CPU client if asked for, no preallocation of GPU memory."""
        xla = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if threads == 1 else ""
        platform = "cuda" if accelerator == "gpu" else "cpu"
        jax = {"JAX_PLATFORMS": platform, "XLA_FLAGS": xla, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        return {**jax, **thread_environment(threads)}

    def start(self, dtype: str) -> None:
        """float64 needs x64; a float32 program is run as its users run it, without."""
        self.jax.config.update("jax_enable_x64", dtype == "float64")
        self.jax.config.update("jax_default_matmul_precision", "highest")

    def compile_options(self, mode: str, steps_per_epoch: int) -> dict[str, Any]:
        """Several steps a call under jit: Keras' own bookkeeping costs more than the steps do."""
        if mode == "eager":
            return {"run_eagerly": True, "jit_compile": False}
        return {"jit_compile": True, "steps_per_execution": min(STEPS_PER_EXECUTION, steps_per_epoch)}

    def stepper(self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Step]:
        """`value_and_grad` and `stateless_apply`, as Keras' JAX trainer takes them, with the gradients as extra outputs."""
        jax = self.jax
        model.optimizer.build(model.trainable_variables)

        def train(trainable: Any, fixed: Any, metrics: Any, slots: Any, x: Any, y: Any) -> Any:
            (loss, (_, predictions, fixed, _)), gradients = jax.value_and_grad(
                model.compute_loss_and_updates, has_aux=True
            )(trainable, fixed, metrics, x, y, None, training=True, optimizer_variables=slots)
            trainable, slots = model.optimizer.stateless_apply(slots, gradients, trainable)
            return loss, predictions, sample_loss(y, predictions), gradients, trainable, fixed, slots

        run = jax.jit(train) if mode == "jit" else train

        def step(x: Any, y: Any) -> Step:
            state = (
                [v.value for v in model.trainable_variables],
                [v.value for v in model.non_trainable_variables],
                [v.value for v in model.metrics_variables],
                [v.value for v in model.optimizer.variables],
            )
            loss, predictions, each, gradients, trainable, fixed, slots = run(
                *state, jax.numpy.asarray(x), jax.numpy.asarray(y)
            )
            for variables, values in (
                (model.trainable_variables, trainable),
                (model.non_trainable_variables, fixed),
                (model.optimizer.variables, slots),
            ):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
            return Step(*(np.array(a) for a in (loss, predictions, each)), [np.array(g) for g in gradients])

        return step

    def device_of(self, tensor: Any) -> str:
        """`cpu` or `gpu`."""
        platforms = {device.platform for device in tensor.devices()}
        return "cpu" if platforms == {"cpu"} else "gpu"

    def flags(self) -> dict[str, Any]:
        """Precision and XLA flags as JAX reads them."""
        import os

        config = self.jax.config
        return {
            "x64": bool(config.jax_enable_x64),
            "matmul_precision": config.jax_default_matmul_precision,
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
            "platforms": config.jax_platforms,
        }

    def sync(self) -> None:
        """Wait for JAX's asynchronous dispatch."""
        self.jax.effects_barrier()
        for array in self.jax.live_arrays():
            array.block_until_ready()
