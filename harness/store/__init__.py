"""The run folder: what a sweep leaves behind, written whole or not at all, and read with suspicion."""

from harness.store.errors import StoreError
from harness.store.find import list_runs, resolve
from harness.store.fingerprint import changes, differences, fingerprint, machine
from harness.store.run import Run

__all__ = ["Run", "StoreError", "changes", "differences", "fingerprint", "list_runs", "machine", "resolve"]
