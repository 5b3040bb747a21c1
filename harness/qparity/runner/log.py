"""What a cell prints, kept in its log up to a size.

It comes through a pipe that the parent reads to its end, whatever becomes of the log: so output without end fills no
disk, and neither holds the cell nor kills it. A limit on files (RLIMIT_FSIZE) would meet every file of the cell, those
of its compiler too.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path

from qparity.store import files

MOST_BYTES = 64 * 2**20
END = b"\n[qparity: what was printed after this is not kept]\n"
CHUNK = 2**20
PAUSE_S = 0.02
"""Between two looks at output that is not kept: a cell that floods must not keep the parent busy."""


class Log:
    """One log, and the pipe into it: give `inlet` to the process, close it here, and `close` when that has ended.

    Raises:
        OSError: the log cannot be written to, or is a link.
    """

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = files.appended(path)
        self._left = MOST_BYTES - os.fstat(self._file).st_size
        self._outlet, self.inlet = os.pipe()
        os.set_blocking(self._outlet, False)
        with contextlib.suppress(AttributeError, OSError):  # Linux alone; there is a limit to what pipes may hold
            fcntl.fcntl(self._outlet, fcntl.F_SETPIPE_SZ, CHUNK)
        self._loop.add_reader(self._outlet, self._read)
        self._later: asyncio.TimerHandle | None = None
        self._open = True

    def close(self) -> None:
        """Keep what is still in the pipe, and end; whoever writes into it after that meets a closed pipe."""
        if not self._open:
            return
        for _ in range(CHUNK // 2**16 + 1):  # no more than a pipe holds: somebody may be writing still
            if not self._take():
                break
        self._open = False
        self._loop.remove_reader(self._outlet)
        if self._later is not None:
            self._later.cancel()
        os.close(self._outlet)
        os.close(self._file)

    def _read(self) -> None:
        """Something is in the pipe, or all its writers are gone."""
        if self._take() == 0:
            self._loop.remove_reader(self._outlet)
        elif self._left <= 0:
            self._loop.remove_reader(self._outlet)
            self._later = self._loop.call_later(PAUSE_S, self._discard)

    def _discard(self) -> None:
        """The log is full: look again in a while."""
        self._take()
        self._later = self._loop.call_later(PAUSE_S, self._discard)

    def _take(self) -> int | None:
        """Move a piece from the pipe to the log: its length, 0 at the end of the pipe, None where nothing is there."""
        try:
            piece = os.read(self._outlet, CHUNK)
        except BlockingIOError:
            return None
        if piece and self._left > 0:
            kept = piece[: self._left] + (END if len(piece) >= self._left else b"")
            try:
                while kept:
                    kept = kept[os.write(self._file, kept) :]
                self._left -= len(piece)
            except (
                OSError
            ):  # the disk is full, or the folder gone: what a cell computes is worth more than what it says
                self._left = 0
        return len(piece)
