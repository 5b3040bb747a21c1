"""What crosses the boundary of each quantum layer inside a user's model: inputs, outputs, and what comes back.

Nothing is tapped in the trained program: before each step a second pass over the same batch, at the same weights and
in the same mode, is differentiated with the taps in place, and what it moved (random seeds, running statistics) is put
back. That both are one program is checked by their predictions. Whatever goes wrong in the pass costs the boundaries,
never the training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from qparity.worker.backends.base import Backend

DISTURBED = 2
"""How many times a compiled pass is run again at disturbed weights."""
SAME = {"float64": 1e-12, "float32": 1e-4}
"""How far predictions of pass and step may lie apart, relative to the largest: far above rounding."""


Values = list[tuple[Any, np.ndarray]]
"""Variables, and what they are to be set to."""


class Boundaries:
    """The `layer_*` and `extra_*` columns of a trace, step by step; empty, with a `reason`, where there are none."""

    def __init__(self, model: Any, backend: Backend, mode: str, layers: Sequence[Any]) -> None:
        self.reason: str | None = None
        self.columns: dict[str, list[np.ndarray]] = defaultdict(list)
        self.counts: dict[int, list[int]] = defaultdict(list)
        if any(layer.shots is not None for layer in layers):
            self.reason = "sampled layers: a second pass would draw other samples"
        else:
            self._model, self._compiled = model, mode != "eager"
            self._pass = backend.boundary_pass(model, mode, layers)

    def before(self, x: np.ndarray, *rest: np.ndarray | None) -> None:
        """The pass over a batch, before its step."""
        if self.reason is None:
            state = [(v, np.array(ops.convert_to_numpy(v))) for v in self._model.non_trainable_variables]
            try:
                self._passed = self._pass(x, *rest)
                self._conditions = self._disturbed(state, x, *rest) if self._compiled else None
            except Exception as error:  # a loop that lets no tensor out, a framework's refusal: the step itself may run
                self._give_up(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])
            for variable, value in state:
                variable.assign(value)

    def after(self, predictions: np.ndarray) -> None:
        """Keep the pass, if the step predicted the same."""
        if self.reason is not None:
            return
        ours, limit = self._passed.predictions, SAME.get(predictions.dtype.name, 0.1)
        if not np.all(np.abs(ours - predictions) <= limit * np.abs(predictions).max(initial=1.0)):
            self._give_up("the model predicts something else when it is run again")
            return
        for j, crossing in enumerate(self._passed.crossings):
            self.columns[f"layer_inputs/{j}"].append(crossing.inputs)
            self.columns[f"layer_outputs/{j}"].append(crossing.outputs)
            self.columns[f"layer_cotangents/{j}"].append(crossing.cotangents)
            if crossing.input_gradients is not None:
                self.columns[f"layer_input_gradients/{j}"].append(crossing.input_gradients)
            if self._conditions is not None:
                self.columns[f"layer_cotangents_condition/{j}"].append(self._conditions[j])
            self.counts[j].append(len(crossing.inputs))
        if extra := self._passed.extra:
            self.columns["extra_loss"].append(extra.loss[None])
            for k, gradient in extra.gradients.items():
                self.columns[f"extra_gradients/{k}"].append(gradient[None])

    def arrays(self) -> dict[str, np.ndarray]:
        """Rows of all steps, concatenated; `layer_offsets/<j>` says which are a step's."""
        offsets = {f"layer_offsets/{j}": np.cumsum([0, *sizes]).astype(np.int64) for j, sizes in self.counts.items()}
        return {name: np.concatenate(batches) for name, batches in self.columns.items()} | offsets

    def _disturbed(self, state: Values, x: np.ndarray, *rest: np.ndarray | None) -> list[np.ndarray]:
        """How far a disturbance of every weight and input by a relative 1 would move the cotangents of each layer.

        Compiled, pass and step are two programs: what cancels in a cotangent they may have rounded differently.
        """
        weights = [(w, np.array(ops.convert_to_numpy(w))) for w in self._model.trainable_weights]
        rng = np.random.Generator(np.random.PCG64(0))
        size = float(np.sqrt(np.finfo(self._passed.predictions.dtype).eps))

        def moved(value: np.ndarray) -> np.ndarray:
            if not np.issubdtype(value.dtype, np.floating):
                return value
            return np.asarray(value * (1 + size * rng.uniform(-1, 1, value.shape))).astype(value.dtype)

        largest = [np.zeros(crossing.cotangents.shape) for crossing in self._passed.crossings]
        try:
            for _ in range(DISTURBED):
                for variable, value in state:  # the same masks are drawn again
                    variable.assign(value)
                for weight, value in weights:
                    weight.assign(moved(value))
                x_moved = np.where(x == np.rint(x), x, moved(x))  # a whole number may be an index
                again = self._pass(x_moved, *rest).crossings
                moves = [
                    np.abs(b.cotangents - a.cotangents) for a, b in zip(self._passed.crossings, again, strict=True)
                ]
                largest = [np.fmax(a, b / size) for a, b in zip(largest, moves, strict=True)]
        finally:
            for weight, value in weights:
                weight.assign(value)
        return largest

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self.columns.clear()
        self.counts.clear()
