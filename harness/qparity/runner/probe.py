"""Look at this machine: which backends start, and which mode x device x diff method combinations train, and right."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from qparity.parity import Observation, judge
from qparity.runner.cell import CellResult
from qparity.runner.local import Options, available_cores, run_blocks
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import ServerDied
from qparity.scenario.backends import trainable
from qparity.scenario.errors import ScenarioError
from qparity.scenario.validate import validate
from qparity.scenario.variant import MODES, Variant

DEVICES = ("default.qubit", "lightning.qubit", "default.mixed", "reference.qubit")
METHODS = ("backprop", "adjoint", "parameter-shift", "finite-diff", "hadamard", "spsa", "best")
_EAGER = [facts.modes[0].variant for facts in trainable()]
SERVERS = (*_EAGER, *(f"{name}@gpu" for name in _EAGER))
ON_GPU = "lightning.gpu"


def backends(interpreters: dict[str, str]) -> dict[str, Any]:
    """Start every backend once, and lightning.gpu: what each says of itself, or why it cannot run here."""

    async def ask() -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            async with Pool(Path(folder), 1, interpreters) as pool:
                rows = [await one(pool, Variant.parse(name)) for name in SERVERS]
                host = next(
                    (name for name, row in zip(SERVERS, rows, strict=True) if row["status"] == "ok"), SERVERS[0]
                )
                simulator = await one(pool, Variant.parse(host), ON_GPU)
                return [*rows, simulator | {"backend": ON_GPU, "accelerator": "gpu"}]

    async def one(pool: Pool, variant: Variant, device: str = "") -> dict[str, Any]:
        row = {"backend": variant.backend, "accelerator": variant.accelerator}
        try:
            server = await pool.server(variant, device)
        except Unavailable as error:
            return {**row, "status": error.status, "reason": str(error)}
        except ServerDied:
            return {**row, "status": "crashed", "reason": "its interpreter ended while it imported the framework"}
        return {**row, "status": "ok", "reason": None, **{k: v for k, v in server.about.items() if k != "kind"}}

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    machine = {"python": sys.version.split()[0], "cores": len(available_cores()), "memory_bytes": memory}
    return {"machine": machine, "cells": asyncio.run(ask())}


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


def matrix(interpreters: dict[str, str], variants: Sequence[str] | None, wires: int, batch_size: int) -> dict[str, Any]:
    """Every device and diff method on these variants (default: all): `{"cells": [...]}`, see `probe`."""
    chosen = [str(Variant.parse(name)) for name in variants or MODES]
    combinations = [Combination(*each, wires, batch_size) for each in product(DEVICES, METHODS, chosen)]
    return {"cells": probe(combinations, interpreters)}


def probe(combinations: Sequence[Combination], interpreters: dict[str, str]) -> list[dict[str, Any]]:
    """Train every combination in a process of its own, and judge it.

    Returns:
        In the given order the combination, and `{status, reason, resolved, verdict}`: `resolved` is the method that
        PennyLane chose, `verdict` None unless the status is ok.
    """
    found: dict[str, dict[str, Any]] = {}
    blocks = []
    for number, each in enumerate(combinations):
        name = f"{number:016x}"
        about = {field: getattr(each, field) for field in Combination.__slots__}
        found[name] = {**about, "status": "unsupported", "reason": None, "resolved": None, "verdict": None}
        try:
            blocks.append(_block(name, each))
        except ScenarioError as error:
            found[name]["reason"] = str(error)

    def store(cell: Cell, result: CellResult) -> None:
        outcome = result.outcome
        found[cell.id] |= {
            "status": outcome.status,
            "reason": outcome.reason,
            "resolved": outcome.resolved.diff_method,
        }
        if outcome.status == "ok":
            judged = judge([Observation.of(outcome, result.trace)])[cell.id]
            found[cell.id] |= {"verdict": str(judged.verdict), "reason": judged.reason}

    options = Options(interpreters=interpreters)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run_blocks(blocks, Path(folder), options, store, lambda _: None, lambda _: None))
    return list(found.values())


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
