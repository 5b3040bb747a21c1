"""Which run is meant: `latest`, an id, or a path."""

from pathlib import Path

from qparity.records import RunRecord, Unreadable
from qparity.store import schema, trust
from qparity.store.errors import StoreError


def list_runs(results_dir: Path | str) -> list[tuple[str, Path]]:
    """(created, folder) of every readable run, oldest first."""
    found = []
    for file in Path(results_dir).glob("*/run.json"):
        try:
            record = RunRecord(schema.upgrade(trust.read_json(file.parent, "run.json"), "run"))
        except (ValueError, OSError, RecursionError):
            continue
        try:
            found.append((record.created or "", file.parent))
        except Unreadable:
            found.append(("", file.parent))
    return sorted(found)


def resolve(results_dir: Path | str, reference: str) -> Path:
    """The folder meant by `latest`, a run id, or a path. Raises `StoreError` with what there is."""
    results = Path(results_dir)
    if reference != "latest":
        for candidate in (results / reference, Path(reference)):
            if (candidate / "run.json").is_file():
                return candidate
    runs = list_runs(results)
    if reference == "latest" and runs:
        return runs[-1][1]
    known = ", ".join(path.name for _, path in runs[-5:]) or "none"
    raise StoreError(f"{reference}: no such run in {results} (newest runs there: {known})")
