"""The files of a run folder: regular ones, inside it, of a size that was asked for. No link in it is followed.

A folder may come from anywhere: a link would have a file of this machine read, copied or written over, a FIFO would
hold whoever reads it for ever, and a sparse file of a terabyte is small to mail. The folder itself may be a link: who
names it means where it leads.
"""

import errno
import os
import stat
from pathlib import Path

from qparity.store.errors import StoreError

# 0 where a system has them not; then nothing but the check of the folders above a file stands in a link's way
_NOFOLLOW, _NONBLOCK = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
CHUNK = 1 << 20
LINK = "is a symbolic link: not followed"


def read(root: Path, name: str, most: int) -> bytes:
    """The content of the file `name` (relative, with `/`) in the folder `root`.

    Raises:
        ValueError: it is a link or lies behind one, is no regular file, or larger than `most` bytes; one line.
        OSError: it is not there, or cannot be read.
    """
    _inside(str(root), name)
    with open(f"{root}/{name}", "rb", buffering=0, opener=_unfollowed) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("is not a regular file")
        if about.st_size > most:
            raise ValueError(f"is larger than it can be ({size(about.st_size)}; expected at most {size(most)})")
        content = file.read(about.st_size + 1)
        while len(content) <= most and (part := file.read(CHUNK)):  # it grows, or lies where sizes are not known
            content += part
    if len(content) > most:
        raise ValueError(f"is larger than it can be (expected at most {size(most)})")
    return content


def folder(root: Path, name: str) -> Path:
    """The folder `name` in `root` to write into, made if it is not there; `root` itself must be there.

    Raises:
        StoreError: it is a link or no folder.
        OSError: `root` is gone, or it cannot be made.
    """
    path = root / name
    try:
        path.mkdir()
    except FileExistsError:
        if path.is_symlink():
            raise StoreError(f"{path}: {LINK}") from None
        if not path.is_dir():
            raise StoreError(f"{path}: expected a folder") from None
    return path


def appended(path: Path) -> int:
    """A descriptor to append to a file that is made if need be. OSError where it is a link or no regular file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOFOLLOW | _NONBLOCK, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return descriptor


def size(count: int) -> str:
    """Bytes in words."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.3g} {unit}"
    return f"{count} bytes"


def _inside(root: str, name: str) -> None:
    """Raise `ValueError` where what stands between the root and a file are not folders."""
    *inner, _ = name.split("/")
    for part in inner:
        root = f"{root}/{part}"
        mode = os.lstat(root).st_mode
        if not stat.S_ISDIR(mode):
            raise ValueError(f"lies in {part}, which {LINK if stat.S_ISLNK(mode) else 'is no folder'}")


def _unfollowed(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | _NOFOLLOW | _NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise ValueError(LINK) from None
        raise
