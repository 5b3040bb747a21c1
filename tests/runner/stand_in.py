"""A pool, its servers and their children without processes: what a cell's child answers is written down beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qparity.records.answers import Progress
from qparity.runner.inputs import make_inputs
from qparity.runner.plan import Block, make_blocks
from qparity.runner.pool import Pool
from qparity.runner.process import Child
from qparity.scenario.load import load_files
from qparity.worker.protocol import Message

STEPS = 2
WEIGHT = {"path": "w", "shape": [2], "dtype": "float64", "layer": "QKerasLayer", "random": True, "constraint": None}
RESOLVED = {"weights": [WEIGHT], "state": [], "quantum_layers": [], "own": [], "flags": {}}

Answers = Mapping[str, Callable[[], Message]]
"""Request -> what comes back, or is raised."""


def blocks(folder: Path, *variants: str, seeds: int = 1) -> list[Block]:
    """Blocks of a scenario file: one a seed, with a cell on each variant; two steps of two samples."""
    file = folder / "s.toml"
    file.write_text(
        f"variants = {list(variants)}\ndata = {{ samples = 4 }}\ntraining = {{ batch_size = 2, epochs = 1 }}\n"
        f"[matrix]\nseed = {list(range(seeds))}\n"
    )
    return make_blocks(load_files([file]))


def inputs_of(block: Block) -> Any:
    """Data and batch order of a block."""
    return make_inputs(block.scenario)


def prepared(**more: Any) -> Message:
    """The answer of a child that has built a model with one weight of two numbers."""
    body = {"resolved": {**RESOLVED, **more}, "build_s": 0.1, "output_shape": [1]}
    return Message("done", body, {"initial/0": np.zeros(2)})


def audited(loss: Sequence[float] = (1.0, 0.5)) -> Message:
    """The answer of a child that has trained two recorded steps."""
    body = {"audit": {}, "memory": {"peak_bytes": 1}, "flags": {}, "step_seconds": [0.5, 0.1], "audit_s": 0.6}
    arrays = {"loss": np.array(loss), "gradients/0": np.ones((STEPS, 2)), "new_weights/0": np.ones((STEPS, 2))}
    return Message("done", body | {"waited_s": 0.0}, arrays)


def fitted() -> Message:
    """The answer of a child whose `fit` has ended where the recorded training did."""
    body = {
        "epoch_seconds": [0.2],
        "steps": STEPS,
        "fit_s": 0.2,
        "waited_s": 0.0,
        "memory": {"peak_bytes": 2},
        "history": [0.5],
    }
    return Message("done", body | {"memory": {"peak_bytes": 2}}, {"final_weights/0": np.ones(2)})


GOOD: Answers = {"prepare": prepared, "audit": audited, "fit": fitted}


class StandInChild:
    """A child that answers from a table, in no time."""

    def __init__(self, answers: Answers) -> None:
        self.answers, self.asked, self.ended = answers, [], ""

    async def request(
        self, kind: str, body: Any = None, arrays: Any = None, progress: Callable[[Any], None] = lambda _: None
    ) -> Message:
        """What the table says; an answer that never comes is `asyncio.Event().wait`."""
        self.asked.append((kind, body, arrays))
        progress(Progress(kind, 1))
        await asyncio.sleep(0)
        answer = self.answers[kind]()
        return await answer if asyncio.iscoroutine(answer) else answer

    async def close(self) -> None:
        """End well."""
        self.ended = "closed"

    async def kill(self) -> None:
        """End badly."""
        self.ended = "killed"


class StandInPool(Pool):
    """A pool whose every server is itself; the children answer from `answers`, one table for each start of a cell."""

    def __init__(self, *answers: Answers, refuse: Exception | None = None) -> None:
        super().__init__(Path("no-logs"), 1, {})
        self.answers, self.refuse = list(answers or (GOOD,)), refuse
        self.import_s = 0.0
        self.children: list[StandInChild] = []

    async def server(self, variant: Any, device: str = "") -> Any:
        """This, or what `refuse` says."""
        if self.refuse is not None:
            raise self.refuse
        return self

    async def reference(self) -> Any:
        """There is none."""
        from qparity.runner.pool import Unavailable

        raise Unavailable("unsupported", "no reference here")

    async def child(self, cell: str, log: Path, cpus: Any, memory_bytes: int | None = None) -> Child:
        """A child with the next table of answers, the last one for all further starts."""
        number = min(len(self.children), len(self.answers) - 1)
        child = StandInChild(self.answers[number])
        self.children.append(child)
        return child  # type: ignore[return-value]
