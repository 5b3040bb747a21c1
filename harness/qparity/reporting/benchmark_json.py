"""The timed rounds of a run as pytest-benchmark's JSON: `pytest-benchmark compare` and what else reads it."""

from __future__ import annotations

import importlib.metadata

from pytest_benchmark.stats import Stats

from qparity.records import Environment
from qparity.records.document import Table
from qparity.store import Run
from qparity.summary import CellView, RunView
from qparity.timing import samples_s


def document(run: Run, view: RunView) -> Table:
    """One benchmark for each cell that was timed and passed: seconds a step, one datum a round."""
    entries = [
        _entry(view, cell, found)
        for cell in view.cells
        if cell.timing and cell.speed != "struck" and (found := samples_s(run.timing(cell.scenario), cell.variant))
    ]
    return {
        "machine_info": _machine(view.ran_on),
        "commit_info": {"id": view.ran_on.git.commit if view.ran_on.git else None, "project": "qparity"},
        "benchmarks": entries,
        "datetime": view.finished or view.created,
        "version": importlib.metadata.version("pytest-benchmark"),
    }


def _entry(view: RunView, cell: CellView, found: list[float]) -> Table:
    stats = Stats()
    for sample in found:
        stats.update(sample)
    place = f"{cell.scenario}-{cell.variant}"
    return {
        "group": cell.scenario,
        "name": f"test_cell[{place}]",
        "fullname": f"qparity::test_cell[{place}]",
        "params": {"scenario": cell.scenario, "variant": cell.variant},
        "param": place,
        "extra_info": {"run": view.id, "cell": cell.id, "verdict": cell.verdict},
        "options": {"timer": "perf_counter"},
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": 1},
    }


def _machine(environment: Environment) -> Table:
    python, system = environment.python, environment.platform
    return {
        "node": environment.host,
        "machine": system.machine,
        "system": system.system,
        "release": system.release,
        "python_version": python.version,
        "python_implementation": python.implementation,
        "cpu": {"brand_raw": environment.cpu.model if environment.cpu else None},
    }
