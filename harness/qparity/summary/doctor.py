"""What `qparity doctor` found, in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from qparity.records import Worker, read
from qparity.runner.probe import Backends, Probed
from qparity.summary.words import seconds, size


def backends_text(found: Backends) -> str:
    """One line a backend: versions, or what is missing."""
    machine = found.machine
    lines = [f"Python {machine.python}, {machine.cores} cores, {size(machine.memory_bytes)} of memory"]
    for cell in found.cells:
        name = cell.backend if "." in cell.backend else f"{cell.backend}@{cell.accelerator}"
        if cell.status == "ok":
            worker = read(Worker, cell.about)
            shown = ("keras", "pennylane", "custatevec", cell.backend)
            versions = ", ".join(f"{k} {v}" for k, v in worker.versions.items() if k.startswith(shown))
            about = "; ".join([f"imports in {seconds(worker.import_s)}", str(worker.interpreter), *worker.gpus])
            lines.append(f"✓ {name:15} {versions} ({about})")
        else:
            first, *others = str(cell.reason).split("; ")
            lines.append(f"{'–' if cell.status == 'unsupported' else '✗'} {name:15} {first}")
            lines += [" " * 18 + other for other in others]
    lines += [f"energy {machine.energy}"] if machine.energy else []
    return "\n".join(lines)


def matrix_text(cells: Sequence[Probed]) -> str:
    """Device and method by variant: ✓ trains, right as far as the oracle tells; – refused; ✗ not right; ≈ as known."""
    variants = list(dict.fromkeys(cell.combination.variant for cell in cells))
    width = max((len(" ".join(_row(cell))) for cell in cells), default=0)
    lines = [" " * width + "  " + "  ".join(variants)]
    for (device, method), row in groupby(cells, key=_row):
        by_variant = {cell.combination.variant: mark(cell) for cell in row}
        entries = "  ".join(f"{by_variant.get(v, ' '):^{len(v)}}" for v in variants)
        lines.append(f"{device + ' ' + method:{width}}  {entries}")
    return "\n".join(
        lines + [f"{len(names)} {said} ({names[0]}{' ...' if names[1:] else ''})" for said, names in reasons(cells)]
    )


def mark(cell: Probed) -> str:
    """One sign for a probed cell."""
    if cell.known or cell.objection:
        return "✗" if cell.objection else "≈"
    if cell.status == "ok":
        return "✓" if cell.verdict in ("ROUNDING", "NOT-COMPARED") else "✗"
    return "–" if cell.status == "unsupported" else "✗"


def reasons(cells: Sequence[Probed]) -> list[tuple[str, list[str]]]:
    """What was said of the cells that have no ✓, each once, with the names of those it was said of."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        if mark(cell) != "✓":
            said = str(cell.reason).removeprefix("prepare: ").removeprefix("UnsupportedError: ")
            name = " ".join((*_row(cell), cell.combination.variant))
            known = f" (known: {cell.known})" if cell.known else f" ({cell.objection})" if cell.objection else ""
            found.setdefault(f"{cell.verdict or cell.status}: {said}{known}", []).append(name)
    return list(found.items())


def _row(cell: Probed) -> tuple[str, str]:
    return cell.combination.device, cell.combination.diff_method
