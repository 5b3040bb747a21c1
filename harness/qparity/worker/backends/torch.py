"""PyTorch: eager, and `torch.compile` around a model whose quantum layers stay out of the compiled graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qparity.worker.backends.base import Backend, Step, added_to_loss, loss_scale, split, weight_places
from qparity.worker.backends.taps import Crossing, Extra, Pass, Tap, joined, tapped


class Torch(Backend):
    """The Keras backend `torch`."""

    name = "torch"

    def __init__(self, accelerator: str, threads: int) -> None:
        super().__init__(accelerator, threads)
        import torch

        self.torch = torch

    def start(self, dtype: str, stock: bool = False) -> None:
        """Thread count, and full float32 products (which for matrices is torch's own default too)."""
        self.torch.set_num_threads(self.threads)
        if not stock:
            self.torch.backends.cuda.matmul.allow_tf32 = False
            self.torch.backends.cudnn.allow_tf32 = False

    def compile_options(self, mode: str, steps_per_epoch: int) -> dict[str, Any]:
        """Keras compiles a torch model on `jit_compile`."""
        return {"jit_compile": mode == "compile", "run_eagerly": False}

    @staticmethod
    def mode_of(model: Any) -> str:
        """Keras compiles on `jit_compile`, whatever else is asked for."""
        return "compile" if model.jit_compile else "eager"

    @staticmethod
    def to_training(model: Any) -> None:
        """For torch's own modules inside."""
        model.train()

    @staticmethod
    def kept_beside(model: Any) -> list[tuple[Callable[[Any], object], Any]]:
        """Gradients, each module's mode, and the generators of random numbers."""
        import torch

        def with_gradients(kept: list[Any]) -> None:
            for variable, gradient in kept:
                variable.value.grad = gradient

        def with_modes(kept: list[Any]) -> None:
            for module, mode in kept:
                module.training = mode

        found: list[tuple[Callable[[Any], object], Any]] = [
            (with_gradients, [(variable, variable.value.grad) for variable in model.trainable_variables]),
            (with_modes, [(module, module.training) for module in model.modules()]),
            (torch.set_rng_state, torch.get_rng_state()),
        ]
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            found.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
        return found

    def stepper(
        self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any], whole_batches: bool = True
    ) -> Callable[..., Step]:
        """Forward, Keras' own loss path, `backward()` and `apply`, as Keras' torch trainer takes them."""
        torch = self.torch
        forward = torch.compile(model) if mode == "compile" else model

        def step(x: Any, y: Any, weight: Any = None) -> Step:
            x, y, weight = self._sent(x, y, weight)
            predictions = forward(x, training=True)
            model.zero_grad()
            loss = model._compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weight, training=True)
            scale = loss_scale(model.optimizer)
            model.optimizer.scale_loss(loss).backward()
            weights = model.trainable_weights[:]
            gradients = [w.value.grad for w in weights]
            filled = [torch.zeros_like(w.value) if g is None else g for w, g in zip(weights, gradients, strict=True)]
            # before the update, which may change them in place
            kept = [_numpy(g if scale is None else g / scale) for g in filled]
            with torch.no_grad():
                model.optimizer.apply(gradients, weights)
                each = sample_loss(y, predictions)
            devices = self.devices_of(loss, predictions, each, filled)
            without = tuple(k for k, g in enumerate(gradients) if g is None)
            return Step(_numpy(loss), _numpy(predictions), _numpy(each), kept, devices, without)

        return step

    def boundary_pass(self, model: Any, mode: str, layers: Sequence[Any]) -> Callable[..., Pass]:
        """Uncompiled in every mode: the quantum layers are never part of a compiled graph."""
        torch = self.torch
        places = weight_places(model, layers)

        def gradients(of: Any, sources: list[Any]) -> list[Any]:
            """One for each source; None where it is not reached."""
            asked = [s for s in sources if s.requires_grad]
            found = iter(torch.autograd.grad(of, asked, allow_unused=True, retain_graph=True) if asked else ())
            return [next(found) if s.requires_grad else None for s in sources]

        def run(x: Any, y: Any, weight: Any = None) -> Pass:
            x, y, weight = self._sent(x, y, weight)
            with tapped(layers, lambda executor: Tap(executor, torch.clone)) as taps:
                predictions = model(x, training=True)
            loss = model._compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weight, training=True)
            crossings = []
            for tap in taps:
                back = gradients(loss, [c.outputs for c in tap.calls] + [c.inputs for c in tap.calls])
                cotangents, returned = back[: len(tap.calls)], back[len(tap.calls) :]
                outputs = [call.outputs for call in tap.calls]
                bars = [torch.zeros_like(o) if g is None else g for o, g in zip(outputs, cotangents, strict=True)]
                reached = all(call.inputs.requires_grad for call in tap.calls)
                if reached:
                    pairs = zip(tap.calls, returned, strict=True)
                    returned = [torch.zeros_like(call.inputs) if g is None else g for call, g in pairs]
                kinds = ([call.inputs for call in tap.calls], outputs, bars)
                seen, given, bars_back = (joined([_numpy(each) for each in kind]) for kind in kinds)
                into = joined([_numpy(each) for each in returned]) if reached else None
                crossings.append(Crossing(seen, given, bars_back, into, len(tap.calls)))
            return Pass(_numpy(predictions), crossings, extra(model, taps))

        def extra(model: Any, taps: list[Any]) -> Extra | None:
            added = added_to_loss(model)
            if added is None:
                return None
            direct = {}
            for k, (j, name) in places.items():
                weight = model.trainable_weights[k].value
                found = [weight, *(call.weights[name] for call in taps[j].calls)]
                whole, *parts = gradients(added, found) if added.requires_grad else [None]
                whole = torch.zeros_like(weight) if whole is None else whole
                direct[k] = _numpy(whole - sum(part for part in parts if part is not None))
            return Extra(_numpy(added), direct)

        return run

    def hessian_product(self, model: Any, mode: str) -> Callable[..., list[np.ndarray]]:
        """`autograd.grad` of a gradient that keeps its graph; uncompiled in every mode."""
        torch = self.torch

        def product(x: Any, y: Any, weight: Any, direction: Sequence[np.ndarray]) -> list[np.ndarray]:
            x, y, weight = self._sent(x, y, weight)
            loss = model._compute_loss(x=x, y=y, y_pred=model(x, training=True), sample_weight=weight, training=True)
            weights = [w.value for w in model.trainable_weights]
            slopes = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
            pairs = zip(slopes, self._sent(*direction), strict=True)
            along = sum((g * v).sum() for g, v in pairs if g is not None)
            found = torch.autograd.grad(along, weights, allow_unused=True)
            return [_numpy(torch.zeros_like(w) if g is None else g) for w, g in zip(weights, found, strict=True)]

        return product

    def layer_slopes(
        self,
        layer: Any,
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        cotangents: list[np.ndarray],
    ) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
        """`autograd.grad` of the call on copies of its inputs."""
        torch = self.torch
        inputs, call_with = split(arguments, options)
        inputs = [tensor.detach().clone().requires_grad_(True) for tensor in inputs]
        outputs = call_with(call, inputs)
        pairs = zip(cotangents, outputs, strict=True)
        total = sum((torch.as_tensor(c, dtype=o.dtype, device=o.device) * o).sum() for c, o in pairs)
        sources = [*inputs, *(variable.value for variable in layer.trainable_variables)]
        found = torch.autograd.grad(total, sources, allow_unused=True)
        arrays = [None if g is None else _numpy(g) for g in found]
        return arrays[: len(inputs)], arrays[len(inputs) :]

    def _sent(self, *arrays: Any) -> list[Any]:
        """The arrays of a batch as tensors; None stays None."""
        return [None if a is None else self.torch.as_tensor(a, device=self.target) for a in arrays]

    @property
    def target(self) -> str:
        """The device string tensors are sent to."""
        return "cuda" if self.accelerator == "gpu" else "cpu"

    def device_of(self, tensor: Any) -> str:
        """`cpu` or `gpu`."""
        return "gpu" if tensor.device.type == "cuda" else str(tensor.device.type)

    def gpus(self) -> list[str]:
        """By their marketing names."""
        cuda = self.torch.cuda
        return [cuda.get_device_name(k) for k in range(cuda.device_count())] if cuda.is_available() else []

    def gpu_peak_bytes(self) -> int | None:
        """As torch's allocator counts; the CUDA context, some 0.5 GB, is not in it."""
        return int(self.torch.cuda.max_memory_allocated()) if self.accelerator == "gpu" else None

    def flags(self) -> dict[str, Any]:
        """Threads, TF32 and determinism as torch reads them."""
        torch = self.torch
        return {
            "threads": torch.get_num_threads(),
            "tf32": self.accelerator == "gpu" and torch.backends.cuda.matmul.allow_tf32,
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        }

    def compilations(self) -> int:
        """Graphs that dynamo has compiled; it is loaded only where something was."""
        dynamo = sys.modules.get("torch._dynamo.utils")
        return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo else 0

    def sync(self) -> None:
        """Torch on the CPU is synchronous."""
        if self.accelerator == "gpu":
            self.torch.cuda.synchronize()


def _numpy(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy().copy()  # NumPy has no bfloat16
