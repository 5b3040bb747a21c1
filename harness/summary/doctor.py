"""What `qparity doctor` found, in words."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from harness.summary.words import seconds, size


def backends_text(found: dict[str, Any]) -> str:
    """One line a backend: versions, or what is missing."""
    machine = found["machine"]
    lines = [f"Python {machine['python']}, {machine['cores']} cores, {size(machine['memory_bytes'])} of memory"]
    for cell in found["cells"]:
        name = f"{cell['backend']}@{cell['accelerator']}"
        if cell["status"] == "ok":
            shown = ("keras", "pennylane", cell["backend"])
            versions = ", ".join(f"{k} {v}" for k, v in cell["versions"].items() if k.startswith(shown))
            lines.append(f"✓ {name:15} {versions} (imports in {seconds(cell['import_s'])}; {cell['interpreter']})")
        else:
            lines.append(f"{'–' if cell['status'] == 'unsupported' else '✗'} {name:15} {cell['reason']}")
    return "\n".join(lines)


def matrix_text(found: dict[str, Any]) -> str:
    """Device and method by variant: trains, is refused (with the reason below), or broke."""
    cells = found["cells"]
    variants = list(dict.fromkeys(cell["variant"] for cell in cells))
    marks = {"ok": "✓", "unsupported": "–"}
    width = max((len(f"{c['device']} {c['diff_method']}") for c in cells), default=0)
    lines = [" " * width + "  " + "  ".join(variants)]
    for (device, method), row in groupby(cells, key=lambda c: (c["device"], c["diff_method"])):
        by_variant = {cell["variant"]: marks.get(cell["status"], "✗") for cell in row}
        entries = "  ".join(f"{by_variant.get(v, ' '):^{len(v)}}" for v in variants)
        lines.append(f"{device + ' ' + method:{width}}  {entries}")
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        if cell["status"] != "ok":
            name = f"{cell['device']} {cell['diff_method']} {cell['variant']}"
            reasons.setdefault(f"{cell['status']}: {cell['reason']}", []).append(name)
    for reason, names in reasons.items():
        lines.append(f"{len(names)} {reason} ({names[0]}{' ...' if len(names) > 1 else ''})")
    return "\n".join(lines)
