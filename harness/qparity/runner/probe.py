"""Look at this machine: which backends start, and which mode x device x diff method combinations train, and right."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path

from qparity.parity import Judgement, Observation, judge
from qparity.parity.expectation import Expectation
from qparity.records import Outcome, Worker, read
from qparity.records.document import Table
from qparity.runner.cell import CellResult
from qparity.runner.events import Event, WorkerStarted
from qparity.runner.local import Options, available_cores, run_blocks
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import ServerDied
from qparity.scenario.backends import trainable
from qparity.scenario.errors import ScenarioError
from qparity.scenario.validate import validate
from qparity.scenario.variant import ALL, Variant, asked_for
from qparity.timing.energy import Counters

DEVICES = ("default.qubit", "lightning.qubit", "default.mixed", "reference.qubit")
METHODS = ("backprop", "adjoint", "parameter-shift", "finite-diff", "hadamard", "spsa", "best")
_EAGER = [facts.modes[0].variant for facts in trainable()]
SERVERS = (*_EAGER, *(f"{name}@gpu" for name in _EAGER))
ON_GPU = "lightning.gpu"


@dataclass(frozen=True, slots=True)
class Started:
    """A backend was started, or could not be for `reason`; `about` is what its worker says of itself."""

    backend: str
    accelerator: str
    status: str
    reason: str | None = None
    about: Table = field(default_factory=dict)

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        told = {"backend": self.backend, "accelerator": self.accelerator, "status": self.status, "reason": self.reason}
        return {**told, **self.about}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where all this was tried; `energy` says whether the processor's counters can be read."""

    python: str
    cores: int
    memory_bytes: int | None
    energy: str = ""


@dataclass(frozen=True, slots=True)
class Backends:
    """Every backend, and lightning.gpu, on a machine."""

    machine: Machine
    cells: tuple[Started, ...]

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return {"machine": asdict(self.machine), "cells": [cell.to_dict() for cell in self.cells]}


def backends(interpreters: dict[str, str]) -> Backends:
    """Start every backend once, and lightning.gpu: what each says of itself, or why it cannot run here."""

    async def ask() -> list[Started]:
        with tempfile.TemporaryDirectory() as folder:
            async with Pool(Path(folder), 1, interpreters) as pool:
                rows = [await one(pool, Variant.parse(name)) for name in SERVERS]
                host = next((name for name, row in zip(SERVERS, rows, strict=True) if row.status == "ok"), SERVERS[0])
                simulator = await one(pool, Variant.parse(host), ON_GPU)
                return [*rows, replace(simulator, backend=ON_GPU, accelerator="gpu")]

    async def one(pool: Pool, variant: Variant, device: str = "") -> Started:
        place = variant.backend, variant.accelerator
        try:
            server = await pool.server(variant, device)
        except Unavailable as error:
            return Started(*place, error.status, str(error))
        except ServerDied:
            return Started(*place, "crashed", "its interpreter ended while it imported the framework")
        return Started(*place, "ok", about=server.about)

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    machine = Machine(sys.version.split()[0], len(available_cores()), memory, Counters.found().told())
    return Backends(machine, tuple(asyncio.run(ask())))


@dataclass(frozen=True, slots=True)
class Combination:
    """A tiny training: two batches of the re-uploading circuit, bare or `behind` a Dense layer, and one sample more."""

    device: str
    diff_method: str
    variant: str
    wires: int = 1
    batch_size: int = 5
    dtype: str = "float64"
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Probed:
    """How it went: `resolved` is the method that PennyLane chose, `verdict` None unless the status is ok.

    `known` is why an entry of an expectations file has it end so, `objection` what such an entry has against its end.
    """

    combination: Combination
    status: str = "unsupported"
    reason: str | None = None
    resolved: str | None = None
    verdict: str | None = None
    known: str | None = None
    objection: str | None = None

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return asdict(self.combination) | {name: getattr(self, name) for name in self.__slots__[1:]}


Known = Callable[[str, str, Mapping[str, str]], Expectation | None]
"""What an expectations file says of a scenario (here `device-method`), a variant, and the versions it ran on."""


def nothing_known(scenario: str, variant: str, versions: Mapping[str, str]) -> None:
    """Where there is no such file."""


def matrix(
    interpreters: dict[str, str],
    variants: Sequence[str] | None,
    wires: int,
    batch_size: int,
    tell: Callable[[int, int, Probed], None] = lambda *_: None,
    known: Known = nothing_known,
) -> list[Probed]:
    """Every device and diff method on these variants (default: all); `tell` hears how many of them are done."""
    chosen = list(map(str, asked_for(variants or [ALL])))
    combinations = [Combination(*each, wires, batch_size) for each in product(DEVICES, METHODS, chosen)]
    return probe(combinations, interpreters, tell, known)


def probe(
    combinations: Sequence[Combination],
    interpreters: dict[str, str],
    tell: Callable[[int, int, Probed], None] = lambda *_: None,
    known: Known = nothing_known,
) -> list[Probed]:
    """Train every combination in a process of its own, and judge it; in the given order."""
    found: dict[str, Probed] = {}
    blocks, done, versions = [], list[str](), dict[str, Mapping[str, str]]()
    for number, each in enumerate(combinations):
        name = f"{number:016x}"
        found[name] = Probed(each)
        try:
            blocks.append(_block(name, each))
        except ScenarioError as error:
            found[name] = Probed(each, reason=str(error))

    def store(cell: Cell, result: CellResult) -> None:
        outcome = result.outcome
        judged = judge([Observation.of(outcome, result.trace)])[cell.id] if outcome.status == "ok" else None
        ran_on = versions.get(outcome.worker or "", {})
        found[cell.id] = probed(found[cell.id].combination, outcome, judged, ran_on, known)
        done.append(cell.id)
        tell(len(done), len(blocks), found[cell.id])

    def hear(event: Event) -> None:
        if isinstance(event, WorkerStarted) and event.state == "ready":
            versions[event.key] = read(Worker, event.about).versions

    options = Options(interpreters=interpreters)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run_blocks(blocks, Path(folder), options, store, hear, lambda _: None))
    return list(found.values())


def probed(
    combination: Combination, outcome: Outcome, judged: Judgement | None, versions: Mapping[str, str], known: Known
) -> Probed:
    """How a combination ended, and what an expectation that speaks of it says to that."""
    reason = judged.reason if judged else outcome.reason
    entry = known(f"{combination.device}-{combination.diff_method}", combination.variant, versions)
    objection = entry.objection(outcome.status, outcome.reason, judged) if entry else None
    return Probed(
        combination,
        outcome.status,
        reason,
        outcome.resolved.diff_method,
        str(judged.verdict) if judged else None,
        entry.reason if entry and not objection and (judged or entry.status) else None,
        objection,
    )


def _block(name: str, each: Combination) -> Block:
    """A block of one cell; ScenarioError where a scenario file could not ask for it either."""
    scenario = validate(
        {
            "name": name,
            "wires": each.wires,
            "device": each.device,
            "diff_method": each.diff_method,
            "data": {"name": "fourier", "samples": 2 * each.batch_size + 1},
            "training": {"batch_size": each.batch_size, "epochs": 1},
            "dtype": each.dtype,
            **({"model": "qparity.circuit.behind_dense:build"} if each.behind else {}),
        }
    )
    return Block(scenario, (Cell(name, scenario, Variant.parse(each.variant)),), (), "probe")
