"""Write a file whole or not at all: a reader, or a power cut, never meets half of one.

A JSON document carries the SHA-256 of its own bytes in its first line, so that a bit that flips on a disk or in a copy
is seen. Who changes a document by hand takes that line out.
"""

import contextlib
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from qparity.records.document import Table


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` atomically and durably; its folder must be there.

    The temporary file lies in the same folder, because a rename is atomic only inside one file system. Its
    name starts with a dot and ends with `.tmp`, so that readers of the folder pass over a leftover.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes private files; a run folder is meant to be shared
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


def write_json(path: Path, document: Table) -> None:
    """Write a JSON object atomically. NaN and infinities become null: JSON has no word for them."""
    content = {key: value for key, value in document.items() if key != "sha256"}
    text = json.dumps(_strict(content), indent=1, allow_nan=False, ensure_ascii=False)
    write_bytes(path, sealed(text.encode("utf-8", "backslashreplace") + b"\n"))


SEAL = b'{"sha256": "%s",\n'
_SEALED = len(SEAL) - 2 + 64


def sealed(text: bytes) -> bytes:
    """The text of a JSON object (`{`, then at least one entry) with the hash of the rest as its first entry."""
    rest = text[1:].lstrip(b"\n")
    return SEAL % hashlib.sha256(rest).hexdigest().encode() + rest


def unbroken(content: bytes) -> bool:
    """False if `content` was sealed and has changed since."""
    head, rest = content[:_SEALED], content[_SEALED:]
    start, end = SEAL.split(b"%s")
    if not (head.startswith(start) and head.endswith(end)):
        return True
    return head == SEAL % hashlib.sha256(rest).hexdigest().encode()


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy scalars and small arrays
        return _strict(value.tolist())
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
