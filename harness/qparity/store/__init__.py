"""The run folder: what a sweep leaves behind, written whole or not at all, and read with suspicion."""

from qparity.store.errors import StoreError
from qparity.store.find import list_runs, resolve
from qparity.store.fingerprint import changes, differences, fingerprint, machine
from qparity.store.run import Run

__all__ = ["Run", "StoreError", "changes", "differences", "fingerprint", "list_runs", "machine", "resolve"]
