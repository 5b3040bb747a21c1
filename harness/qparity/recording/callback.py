"""The callback. Whatever goes wrong in it is one printed line, never an exception in the user's `fit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras

from qparity.circuit.errors import one_line
from qparity.circuit.fit import ScriptError
from qparity.recording.begun import Begun, NotRecorded
from qparity.recording.folder import store
from qparity.recording.replay import replay
from qparity.recording.untouched import untouched
from qparity.scenario.matrix import slug
from qparity.store import Run


class Recorder(keras.callbacks.Callback):
    """Record a training where it runs: `model.fit(..., callbacks=[qparity.Recorder("results")])`, then `qparity check`.

    When `fit` has ended, the same steps are taken again from where it began, with every number kept, and the model is
    put back as `fit` left it. The run folder is `run`, None where there is none: a printed line then says why.

    Args:
        folder: where run folders are kept.
        steps: about how many steps to record; None: as many as `fit` took.
        name: of the scenario in the run; None: that of the file that calls `fit`.
    """

    run: Run | None = None

    def __init__(self, folder: str | Path = "results", steps: int | None = None, name: str | None = None) -> None:
        super().__init__()
        if steps is not None and steps < 1:
            raise ValueError(f"steps = {steps!r}: expected at least 1, or None for all")
        self.folder, self.steps, self.scenario_name = Path(folder), steps, name
        self._begun: Begun | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Keep the start."""
        self.run = self._begun = None
        try:
            self._begun = Begun.of(self.model)
        except Exception as error:
            _not_recorded(error)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Count what was trained."""
        if self._begun is not None:
            self._begun.epochs += 1

    def on_train_end(self, logs: Any = None) -> None:
        """Record, put everything back, and write the run."""
        begun, self._begun = self._begun, None
        if begun is None:
            return
        name = slug(self.scenario_name or (begun.file.stem if begun.file else "")).lstrip("_") or "recorded"
        try:
            with untouched(self.model):
                found = replay(self.model, begun, name, self.steps)
            self.run = store(found, self.folder, begun.file)
        except Exception as error:
            _not_recorded(error)
        else:
            print(f"qparity: recorded, qparity check {self.run.path} judges it", file=sys.stderr)


def _not_recorded(error: Exception) -> None:
    said = str(error) if isinstance(error, NotRecorded | ScriptError) else one_line(error)
    print(f"qparity: this training is not recorded: {said}", file=sys.stderr)
