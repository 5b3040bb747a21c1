"""The cells of a run as CSV: one row a cell, nested values flattened with dots."""

from __future__ import annotations

import csv
import io
from typing import Any


def render(document: dict[str, Any]) -> str:
    """CSV of the `cells` of the `--json` document."""
    rows = [flat(cell) for cell in document["cells"]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys; lists as their parts joined by spaces."""
    row: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            row |= flat(item, f"{prefix}{key}.")
        else:
            row[prefix + key] = " ".join(map(str, item)) if isinstance(item, list) else item
    return row
