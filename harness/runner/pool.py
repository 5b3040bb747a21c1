"""Worker servers, one per (interpreter, backend, accelerator, threads), and the children they fork.

A server is started when its first cell comes and imports its framework once. A child is talked to over its own socket;
its death is known from the server. Nothing here polls.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import harness.worker
from harness.scenario.registry import GPU_DEVICES
from harness.scenario.variant import Variant
from harness.worker.protocol import LENGTH, Message, decode_header, encode, header_length, to_array

WORKER = Path(harness.worker.__file__).parent / "__main__.py"
GRACE_S = 2.0
MAX_STARTS = 3
# Variables that change numerics or speed behind our back; a worker gets what its backend file says instead.
DROPPED = (
    "XLA_",
    "TF_",
    "JAX_",
    "KERAS_",
    "TORCH",
    "PYTORCH",
    "NVIDIA_TF32",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "PYTHONPATH",
)
# Thread limits every numeric library reads; they must stand before the interpreter imports NumPy.
THREADS = tuple(f"{name}_NUM_THREADS" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"))


@dataclass(frozen=True, slots=True)
class ServerKey:
    """What a server is, for good: all of this is fixed at import."""

    interpreter: str
    backend: str
    accelerator: str
    threads: int
    simulator: str = ""
    """A PennyLane device that runs on the GPU by itself, which the framework then leaves to it."""

    def __str__(self) -> str:
        return f"{self.backend}@{self.accelerator}-{self.threads}t" + (f"+{self.simulator}" if self.simulator else "")

    @property
    def isolation(self) -> str:
        """`fork` where a child may be forked from a server that has imported everything: on Linux, without a GPU."""
        on_gpu = self.accelerator == "gpu" or self.simulator
        return "fork" if sys.platform == "linux" and not on_gpu else "spawn"


class Unavailable(Exception):
    """A backend that cannot run here. `status` is `unsupported` (not installed, no GPU) or `failed` (import broke)."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ChildDied(Exception):
    """A child ended without answering; the message says how."""


class Child:
    """A cell's process: requests and answers, one at a time."""

    def __init__(self, sock: socket.socket, server: Server, cell: str) -> None:
        self.sock, self.server, self.cell = sock, server, cell
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Wait until the process exists."""
        self.reader, self.writer = await asyncio.open_connection(sock=self.sock)
        self.pid = await self.started

    async def request(
        self,
        kind: str,
        body: dict[str, Any] | None = None,
        arrays: dict[str, np.ndarray] | None = None,
        progress: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> Message:
        """Ask and wait for the answer; progress messages on the way go to `progress`.

        Raises:
            ChildDied: the process ended first.
            ProtocolError: what came back is not a message.
        """
        try:
            for buffer in encode(Message(kind, body or {}, arrays or {})):
                self.writer.write(buffer)
            await self.writer.drain()
            while True:
                message = await self._receive()
                if message.kind != "progress":
                    return message
                progress(message.body)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ChildDied(await self._how_it_ended()) from None

    async def close(self) -> None:
        """Let the child end, kill it if it does not, and wait until it is gone."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            for buffer in encode(Message("close")):
                self.writer.write(buffer)
            self.writer.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.exited), GRACE_S)
            return
        await self.kill()

    async def kill(self) -> None:
        """TERM, a grace, KILL, to the child and everything it started."""
        self.writer.close()
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, sign)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.exited), GRACE_S)
                return

    async def _receive(self) -> Message:
        head = await self.reader.readexactly(LENGTH.size)
        kind, body, listing = decode_header(await self.reader.readexactly(header_length(head)))
        arrays = {}
        for name, dtype, shape, size in listing:
            arrays[name] = to_array(await self.reader.readexactly(size), dtype, shape)
        return Message(kind, body, arrays)

    async def _how_it_ended(self) -> str:
        try:
            status = await asyncio.wait_for(asyncio.shield(self.exited), GRACE_S)
        except TimeoutError:
            return "the process closed its pipe"
        if status is None:
            return "its worker server died"
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"the process ended with exit code {status}"


@dataclass(eq=False)
class Server:
    """A server process and the children it has forked."""

    key: ServerKey
    log: Path
    isolation: str
    about: dict[str, Any] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)

    async def start(self) -> None:
        """Start the interpreter and wait until the framework is imported.

        Raises:
            Unavailable: with the server's own reason.
        """
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(DROPPED)}
        environment |= dict.fromkeys(THREADS, str(self.key.threads))
        command = [self.key.interpreter, "-P", str(WORKER), "--backend", self.key.backend]
        command += ["--accelerator", self.key.accelerator, "--threads", str(self.key.threads)]
        command += ["--simulator", self.key.simulator] if self.key.simulator else []
        command += ["--isolation", self.isolation, "--parent", str(os.getpid()), "--fd", str(theirs.fileno())]
        with self.log.open("ab") as log:
            try:
                self.process = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                raise Unavailable("failed", f"{self.key.interpreter}: {error.strerror}") from None
            finally:
                theirs.close()
        self.about = await self._packet() or {
            "kind": "broken",
            "reason": f"the worker server died (see {self.log.name})",
        }
        if self.about["kind"] != "ready":
            await self.stop()
            status = "unsupported" if self.about["kind"] == "unavailable" else "failed"
            raise Unavailable(status, self.about["reason"])
        self.listening = asyncio.create_task(self._listen())

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return not self.listening.done()

    async def child(self, cell: str, log: Path, cpus: list[int] | None) -> Child:
        """A fresh process for a cell."""
        ours, theirs = socket.socketpair()
        child = Child(ours, self, cell)
        self.children[cell] = child
        try:
            request = json.dumps({"cell": cell, "log": str(log), "cpus": cpus}).encode()
            socket.send_fds(self.control, [request], [theirs.fileno()])
        except OSError:
            self._lost(cell)
        finally:
            theirs.close()
        await child.open()
        return child

    async def stop(self) -> None:
        """End the server and its children; none is left when this returns."""
        if hasattr(self, "listening"):
            self.listening.cancel()
        self.control.close()
        pids = [child.pid for child in self.children.values() if hasattr(child, "pid")]
        try:
            await asyncio.to_thread(self.process.wait, GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    async def _packet(self) -> dict[str, Any] | None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self.control, 1 << 20)
        except OSError:
            return None
        return json.loads(data) if data else None

    async def _listen(self) -> None:
        while (packet := await self._packet()) is not None:
            child = self.children.get(packet["cell"])
            if child is None:
                continue
            if packet["kind"] == "started" and not child.started.done():
                child.started.set_result(packet["pid"])
            if packet["kind"] == "exited":
                if not child.exited.done():
                    child.exited.set_result(packet["status"])
                del self.children[packet["cell"]]
        if self.isolation == "spawn":  # its death is that of its one child
            status = await asyncio.to_thread(self.process.wait)
            for child in self.children.values():
                if not child.exited.done():
                    child.exited.set_result(status)
        for cell in list(self.children):
            self._lost(cell)

    def _lost(self, cell: str) -> None:
        child = self.children.pop(cell)
        if not child.started.done():
            child.started.set_exception(ChildDied("its worker server died"))
        if not child.exited.done():
            child.exited.set_result(None)


class Pool:
    """All servers of a sweep. Use as an async context manager: on leaving it, no process is left."""

    def __init__(
        self,
        logs: Path,
        threads: int,
        interpreters: dict[str, str],
        on_start: Callable[[str, str, dict[str, Any]], None] = lambda *_: None,
        isolation: str | None = None,
    ) -> None:
        self.logs, self.threads, self.interpreters, self.on_start = logs, threads, interpreters, on_start
        self._isolation = isolation
        self._servers: dict[ServerKey, asyncio.Task[Server]] = {}
        self._spawned: set[Server] = set()
        self._starts: dict[ServerKey, int] = {}
        self._refusals: dict[ServerKey, Unavailable] = {}

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(self, *_: object) -> None:
        servers = [*self._spawned]
        for task in self._servers.values():
            if task.done() and not task.cancelled() and task.exception() is None:
                servers.append(task.result())
            task.cancel()
        await asyncio.gather(*(server.stop() for server in servers), return_exceptions=True)

    def key(self, variant: Variant, device: str = "") -> ServerKey:
        """The server a variant runs in, with a PennyLane device."""
        named = f"{variant.backend}@{variant.accelerator}"
        interpreter = self.interpreters.get(named) or self.interpreters.get(variant.backend) or sys.executable
        simulator = device if device in GPU_DEVICES else ""
        return ServerKey(interpreter, variant.backend, variant.accelerator, self.threads, simulator)

    def isolation(self, key: ServerKey) -> str:
        """How children of a server are kept apart: as this pool was told, else as its platform and accelerator need."""
        return self._isolation or key.isolation

    async def server(self, variant: Variant, device: str = "") -> Server:
        """The running server of a variant, started on first use and again (a few times) after a death.

        Where children are spawned, each call starts a server, which serves one; what cannot run is found out once.

        Raises:
            Unavailable: this backend cannot run here.
        """
        key = self.key(variant, device)
        if self.isolation(key) == "spawn":
            return await self._spawn(key)
        task = self._servers.get(key)
        if task is not None and task.done() and task.exception() is None and not task.result().alive:
            if self._starts[key] >= MAX_STARTS:
                raise Unavailable("crashed", f"the worker server died {MAX_STARTS} times")
            task = None
        if task is None:
            self._starts[key] = self._starts.get(key, 0) + 1
            task = self._servers[key] = asyncio.create_task(self._start(key))
        return await asyncio.shield(task)

    async def _spawn(self, key: ServerKey) -> Server:
        if key in self._refusals:
            raise self._refusals[key]
        self._spawned = {server for server in self._spawned if server.alive}
        self._starts[key] = self._starts.get(key, 0) + 1
        try:
            server = await self._start(key)
        except Unavailable as error:
            self._refusals[key] = error
            raise
        self._spawned.add(server)
        return server

    async def _start(self, key: ServerKey) -> Server:
        server = Server(key, self.logs / f"server-{key}.log", self.isolation(key))
        self.on_start(str(key), "starting", {})
        try:
            await server.start()
        except Unavailable as error:
            self.on_start(str(key), "unavailable", {"reason": str(error)})
            raise
        except BaseException:
            if hasattr(server, "process"):
                server.process.kill()
            raise
        about = {k: v for k, v in server.about.items() if k != "kind"}
        self.on_start(str(key), "ready", {**about, "imports": self._starts[key]})
        return server
