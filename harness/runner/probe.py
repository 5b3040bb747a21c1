"""Look at this machine: which backends start, and which mode x device x diff method combinations really train."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from harness.runner.inputs import make_inputs
from harness.runner.local import Options, available_cores, run_blocks
from harness.runner.plan import Block, Cell
from harness.runner.pool import Pool, Unavailable
from harness.scenario.schema import Scenario
from harness.scenario.variant import MODES, Variant

DEVICES = ("default.qubit", "lightning.qubit", "default.mixed", "reference.qubit")
METHODS = ("backprop", "adjoint", "parameter-shift", "finite-diff", "hadamard", "spsa", "best")
BACKENDS = ("tf", "torch", "jax", "tf@gpu", "torch@gpu", "jax@gpu")


def backends(interpreters: dict[str, str]) -> dict[str, Any]:
    """Start every backend once: what it says of itself, or why it cannot run here."""

    async def ask() -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            async with Pool(Path(folder), 1, interpreters) as pool:
                return [await one(pool, Variant.parse(name)) for name in BACKENDS]

    async def one(pool: Pool, variant: Variant) -> dict[str, Any]:
        row = {"backend": variant.backend, "accelerator": variant.accelerator}
        try:
            server = await pool.server(variant)
        except Unavailable as error:
            return {**row, "status": error.status, "reason": str(error)}
        return {**row, "status": "ok", "reason": None, **{k: v for k, v in server.about.items() if k != "kind"}}

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    machine = {"python": sys.version.split()[0], "cores": len(available_cores()), "memory_bytes": memory}
    return {"machine": machine, "cells": asyncio.run(ask())}


def matrix(interpreters: dict[str, str], variants: Sequence[str] | None, wires: int, batch_size: int) -> dict[str, Any]:
    """Train a tiny model for every combination, each in its own process.

    Returns:
        `{"cells": [{device, diff_method, variant, status, reason, resolved}]}`.
    """
    chosen = [Variant.parse(name) for name in variants or list(MODES)]
    blocks = [probe_block(device, method, wires, batch_size, chosen) for device, method in product(DEVICES, METHODS)]
    cells: list[dict[str, Any]] = []

    def store(cell: Cell, result: Any) -> None:
        outcome = result.outcome
        cells.append(
            {
                "device": cell.scenario.device,
                "diff_method": cell.scenario.diff_method,
                "variant": str(cell.variant),
                "status": outcome["status"],
                "reason": outcome["reason"],
                "resolved": outcome.get("resolved", {}).get("diff_method"),
            }
        )

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(
            run_blocks(blocks, Path(folder), Options(interpreters=interpreters), store, lambda _: None, lambda _: None)
        )
    order = {(d, m): n for n, (d, m) in enumerate(product(DEVICES, METHODS))}
    return {"cells": sorted(cells, key=lambda c: (order[c["device"], c["diff_method"]], c["variant"]))}


def probe_block(device: str, method: str, wires: int, batch_size: int, variants: Sequence[Variant]) -> Block:
    """One epoch of the re-uploading circuit on a whole and a partial batch.

    The scenario is not validated: that a combination is impossible is for the worker to say.
    """
    plain = Scenario.model_validate(
        {
            "name": f"{device}-{method}",
            "wires": wires,
            "device": device,
            "data": {"name": "fourier", "samples": 2 * batch_size + (batch_size > 1)},
            "training": {"batch_size": batch_size, "epochs": 1},
        }
    )
    scenario = plain.model_copy(update={"diff_method": method})
    cells = tuple(Cell(f"{hash((device, method, v)) & (2**64 - 1):016x}", scenario, v) for v in variants)
    make_inputs(scenario)
    return Block(scenario, cells, (), "probe")
