"""What `qparity doctor` found, in words."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from qparity.summary.words import seconds, size


def backends_text(found: dict[str, Any]) -> str:
    """One line a backend: versions, or what is missing."""
    machine = found["machine"]
    lines = [f"Python {machine['python']}, {machine['cores']} cores, {size(machine['memory_bytes'])} of memory"]
    for cell in found["cells"]:
        name = cell["backend"] if "." in cell["backend"] else f"{cell['backend']}@{cell['accelerator']}"
        if cell["status"] == "ok":
            shown = ("keras", "pennylane", "custatevec", cell["backend"])
            versions = ", ".join(f"{k} {v}" for k, v in cell["versions"].items() if k.startswith(shown))
            about = "; ".join([f"imports in {seconds(cell['import_s'])}", cell["interpreter"], *cell.get("gpus", ())])
            lines.append(f"✓ {name:15} {versions} ({about})")
        else:
            first, *others = str(cell["reason"]).split("; ")
            lines.append(f"{'–' if cell['status'] == 'unsupported' else '✗'} {name:15} {first}")
            lines += [" " * 18 + other for other in others]
    return "\n".join(lines)


def matrix_text(found: dict[str, Any]) -> str:
    """Device and method by variant: ✓ trains, and right as far as the oracle can tell; – is refused; ✗ is not right."""
    cells = [{**cell, "mark": mark(cell)} for cell in found["cells"]]
    variants = list(dict.fromkeys(cell["variant"] for cell in cells))
    width = max((len(f"{c['device']} {c['diff_method']}") for c in cells), default=0)
    lines = [" " * width + "  " + "  ".join(variants)]
    for (device, method), row in groupby(cells, key=lambda c: (c["device"], c["diff_method"])):
        by_variant = {cell["variant"]: cell["mark"] for cell in row}
        entries = "  ".join(f"{by_variant.get(v, ' '):^{len(v)}}" for v in variants)
        lines.append(f"{device + ' ' + method:{width}}  {entries}")
    return "\n".join(
        lines + [f"{len(names)} {said} ({names[0]}{' ...' if names[1:] else ''})" for said, names in reasons(cells)]
    )


def mark(cell: dict[str, Any]) -> str:
    """One sign for a probed cell."""
    if cell["status"] == "ok":
        return "✓" if cell["verdict"] in ("ROUNDING", "NOT-COMPARED") else "✗"
    return "–" if cell["status"] == "unsupported" else "✗"


def reasons(cells: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """What was said of the cells that have no ✓, each once, with the names of those it was said of."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        if mark(cell) != "✓":
            name = f"{cell['device']} {cell['diff_method']} {cell['variant']}"
            said = str(cell["reason"]).removeprefix("prepare: ").removeprefix("UnsupportedError: ")
            found.setdefault(f"{cell['verdict'] or cell['status']}: {said}", []).append(name)
    return list(found.items())
