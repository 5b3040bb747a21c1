"""The process of one cell as the parent sees it: requests, answers, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qparity.records import read
from qparity.records.answers import Progress
from qparity.records.document import Table
from qparity.runner.log import Log
from qparity.worker.protocol import LENGTH, Message, decode_header, encode, header_length, to_array

GRACE_S = 2.0


class ChildDied(Exception):
    """A child ended without answering; the message says how."""


class ServerDied(ChildDied):
    """A child ended because its server did: the cell had no part in it, and may run again."""

    def __init__(self) -> None:
        super().__init__("its worker server died")


class Child:
    """A cell's process: requests and answers, one at a time; what it prints, and its compilers' caches."""

    def __init__(self, sock: socket.socket, cell: str, log: Log, cache: Path) -> None:
        self.sock, self.cell, self.log, self.cache = sock, cell, log, cache
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Wait until the process exists."""
        self.reader, self.writer = await asyncio.open_connection(sock=self.sock)
        self.pid = await self.started

    async def request(
        self,
        kind: str,
        body: Table | None = None,
        arrays: dict[str, np.ndarray] | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Message:
        """Ask and wait for the answer; progress messages on the way go to `progress`.

        Raises:
            ChildDied: the process ended first.
            ProtocolError: what came back is not a message.
        """
        try:
            self.writer.writelines(encode(Message(kind, body or {}, arrays or {})))
            await self.writer.drain()
            while True:
                message = await self._receive()
                if message.kind != "progress":
                    return message
                progress(read(Progress, message.body))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._how_it_ended() from None

    async def close(self) -> None:
        """Let the child end, kill it if it does not, and wait until it is gone."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            self.writer.writelines(encode(Message("close")))
            self.writer.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.exited), GRACE_S)
            return
        await self.kill()

    async def kill(self) -> None:
        """TERM, a grace, KILL, to the child and everything it started."""
        self.writer.close()
        for sign in (signal.SIGTERM, signal.SIGKILL):
            kill_group(self.pid, sign)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.exited), GRACE_S)
                return

    def ended(self, status: int | None) -> None:
        """The process is gone; None where its server went first. What it leaves is put away."""
        self.log.close()
        if self.cache.exists():
            shutil.rmtree(self.cache, ignore_errors=True)
        if not self.exited.done():
            self.exited.set_result(status)

    async def _receive(self) -> Message:
        head = await self.reader.readexactly(LENGTH.size)
        kind, body, listing = decode_header(await self.reader.readexactly(header_length(head)))
        arrays = {}
        for name, dtype, shape, size in listing:
            arrays[name] = to_array(await self.reader.readexactly(size), dtype, shape)
        return Message(kind, body, arrays)

    async def _how_it_ended(self) -> ChildDied:
        try:
            status = await asyncio.wait_for(asyncio.shield(self.exited), GRACE_S)
        except TimeoutError:
            return ChildDied("the process closed its pipe")
        if status is None:
            return ServerDied()
        if status < 0:
            return ChildDied(f"killed by {signal.Signals(-status).name}")
        return ChildDied(f"the process ended with exit code {status}")


def kill_group(pid: int, sign: signal.Signals = signal.SIGKILL) -> None:
    """Signal a child with everything it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, sign)
