"""The cells of a run as CSV, one row a cell: what `export` writes and the report offers for download."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from qparity.scenario.text import printable_lines
from qparity.summary import json
from qparity.summary.view import RunView

# What fits a download inside the report; `export` writes everything.
SHORT = (
    "scenario", "variant", "status", "verdict", "expected", "as_expected", "stage", "step", "tensor", "index", "r",
    "effective_bits", "step_s", "timing.ratio", "timing.ratio_low", "timing.ratio_high", "timing.unstable",
    "peak_bytes", "gpu_peak_bytes", "reason",
)  # fmt: skip


def render(view: RunView, columns: Sequence[str] | None = None) -> str:
    """The entries of the `--json` document's `cells`; nested tables get dotted columns, lists become words."""
    rows = [_flat(json.cell(cell)) for cell in view.cells]
    if columns is not None:  # for the eye: no more digits than it reads
        rows = [{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    columns = columns or list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            row |= _flat(item, f"{prefix}{key}.")
        else:
            row[prefix + key] = _harmless(" ".join(map(str, item)) if isinstance(item, list) else item)
    return row


def _harmless(value: Any) -> Any:
    """Text is printable, and quoted where a spreadsheet would run it as a formula."""
    value = printable_lines(value) if isinstance(value, str) else value
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
