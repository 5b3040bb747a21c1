"""One writer a run: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from qparity.store import files
from qparity.store.errors import StoreError

LOCK = ".lock"


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Be the only process that writes this run folder, and clear away what a killed writer left half done.

    Raises:
        StoreError: another process is writing it.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        yield
        return
    try:
        descriptor = files.appended(folder / LOCK)
    except OSError as error:
        raise StoreError(f"{folder / LOCK}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{folder}: another process is writing this run") from None
        except OSError:  # a network file system without locks
            pass
        for inner in (folder, *(each for each in folder.iterdir() if each.is_dir() and not each.is_symlink())):
            for leftover in inner.glob(".*.tmp"):
                leftover.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
