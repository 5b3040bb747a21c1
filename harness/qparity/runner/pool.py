"""Worker servers, one per (interpreter, backend, accelerator, threads), and the children they fork.

A server is started when its first cell comes and imports its framework once. A child is talked to over its own socket;
its death is known from the server. Nothing here polls.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import qparity.worker
from qparity.records import Worker, read
from qparity.records.answers import Greeting, Packet
from qparity.records.document import Table
from qparity.records.requests import Start
from qparity.runner import warm
from qparity.runner.log import Log
from qparity.runner.process import GRACE_S, Child, ServerDied, kill_group
from qparity.scenario.backends import REFERENCE, every
from qparity.scenario.registry import GPU_DEVICES
from qparity.scenario.variant import Variant
from qparity.store import files

WORKER = Path(qparity.worker.__file__).parent / "__main__.py"
MAX_STARTS = 3
# Variables that change numerics or speed behind our back; a worker gets what is known of its backend instead.
DROPPED = (*every("dropped"), "KERAS_", "NVIDIA_TF32", "OMP_", "MKL_", "OPENBLAS_")
KEPT = "QPARITY_COMPILED_KEPT"
"""The folder where JAX's compiled programs are kept from sweep to sweep; without it each sweep has its own."""
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


@dataclass(eq=False)
class Server:
    """A server process and the children it has forked."""

    key: ServerKey
    log: Path
    caches: Path
    isolation: str
    about: Table = field(default_factory=dict)
    """What it says of itself (`records.Worker`)."""
    children: dict[str, Child] = field(default_factory=dict)

    async def start(self) -> None:
        """Start the interpreter and wait until the framework is imported.

        Raises:
            Unavailable: with the server's own reason.
            ServerDied: before it said anything.
        """
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(DROPPED)}
        if self.key.interpreter != sys.executable:  # another environment's packages are not for this one
            environment.pop("PYTHONPATH", None)
        environment |= dict.fromkeys(THREADS, str(self.key.threads))
        command = [self.key.interpreter, "-P", str(WORKER), "--backend", self.key.backend]
        command += ["--accelerator", self.key.accelerator, "--threads", str(self.key.threads)]
        command += ["--simulator", self.key.simulator] if self.key.simulator else []
        tied = ["--isolation", self.isolation, "--parent", str(os.getpid()), "--fd", str(theirs.fileno())]
        with theirs, os.fdopen(files.appended(self.log), "ab") as log:
            self.process: subprocess.Popen[bytes] | warm.Forked
            ours = self.isolation == "fork" and self.key.interpreter == sys.executable
            if ours and (
                there := await asyncio.to_thread(warm.forked, command, environment, theirs.fileno(), log.fileno())
            ):
                self.process = there
            else:
                try:
                    self.process = subprocess.Popen(
                        [*command, *tied],
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        pass_fds=[theirs.fileno()],
                        start_new_session=True,
                    )
                except OSError as error:
                    raise Unavailable("failed", f"{self.key.interpreter}: {error.strerror}") from None
        said = await self._packet()
        if said is None:
            await self.stop()
            raise ServerDied
        greeting = read(Greeting, said)
        if greeting.kind != "ready":
            await self.stop()
            raise Unavailable("unsupported" if greeting.kind == "unavailable" else "failed", greeting.reason)
        self.about = {name: value for name, value in said.items() if name != "kind"}
        self.listening = asyncio.create_task(self._listen())

    @property
    def import_s(self) -> float:
        """How long it took to import its framework."""
        return read(Worker, self.about).import_s or 0.0

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return not self.listening.done()

    async def child(
        self, cell: str, log: Path, cpus: list[int] | None, memory_bytes: int | None = None, timed: bool = False
    ) -> Child:
        """A fresh process for a cell, on these cores, with at most so much memory beyond what the server holds.

        What a backend compiles it finds again in the sweep's other cells, unless it is `timed`: then all is compiled
        anew, as in a program of its own.

        Raises:
            ServerDied: before the process was there.
        """
        output = Log(log)
        ours, theirs = socket.socketpair()
        child = Child(ours, cell, output, self.caches / secrets.token_hex(8))
        self.children[cell] = child
        kept = os.environ.get(KEPT) or str(self.caches / f"compiled-{self.key}")
        cores = None if cpus is None else tuple(cpus)
        asked = Start(cell, str(child.cache), cores, memory_bytes, None if timed else kept)
        try:
            socket.send_fds(self.control, [json.dumps(asked.body()).encode()], [theirs.fileno(), output.inlet])
        except OSError:
            self._lost(cell)
        finally:
            theirs.close()
            os.close(output.inlet)
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
            kill_group(pid)
        for child in self.children.values():
            child.ended(None)

    async def _packet(self) -> Table | None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self.control, 1 << 20)
        except OSError:
            return None
        return json.loads(data) if data else None

    async def _listen(self) -> None:
        while (said := await self._packet()) is not None:
            packet = read(Packet, said)
            child = self.children.get(packet.cell)
            if child is None:
                continue
            if packet.pid is not None and not child.started.done():
                child.started.set_result(packet.pid)
            if packet.kind == "exited":
                child.ended(packet.status)
                del self.children[packet.cell]
        if self.isolation == "spawn":  # its death is that of its one child
            status = await asyncio.to_thread(self.process.wait)
            for child in self.children.values():
                child.ended(status)
        for cell in list(self.children):
            self._lost(cell)

    def _lost(self, cell: str) -> None:
        child = self.children.pop(cell)
        if hasattr(child, "pid"):
            kill_group(child.pid)
        if not child.started.done():
            child.started.set_exception(ServerDied())
        child.ended(None)


class Pool:
    """All servers of a sweep. Use as an async context manager: on leaving it, no process is left."""

    def __init__(
        self,
        logs: Path,
        threads: int,
        interpreters: dict[str, str],
        on_start: Callable[[str, str, Table, str], None] = lambda *_: None,
        isolation: str | None = None,
    ) -> None:
        self.logs, self.threads, self.interpreters, self.on_start = logs, threads, interpreters, on_start
        self._isolation = isolation
        self._caches = tempfile.TemporaryDirectory(prefix="qparity-caches-", ignore_cleanup_errors=True)
        self._servers: dict[ServerKey, asyncio.Task[Server]] = {}
        self._spawned: set[Server] = set()
        self._starts: dict[ServerKey, int] = {}
        self._stillborn: dict[ServerKey, int] = {}
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
        self._caches.cleanup()

    def key(self, variant: Variant, device: str = "") -> ServerKey:
        """The server a variant runs in, with a PennyLane device."""
        named = f"{variant.backend}@{variant.accelerator}"
        interpreter = self.interpreters.get(named) or self.interpreters.get(variant.backend) or sys.executable
        simulator = device if device in GPU_DEVICES else ""
        return ServerKey(interpreter, variant.backend, variant.accelerator, self.threads, simulator)

    def isolation(self, key: ServerKey) -> str:
        """How children of a server are kept apart: as its platform and accelerator need, else as this pool was told."""
        return key.isolation if key.isolation == "spawn" else self._isolation or "fork"

    async def reference(self) -> Server:
        """The server of the reference: Keras on NumPy, with no framework; raises as `server` does."""
        interpreter = self.interpreters.get(REFERENCE) or sys.executable
        return await self._serving(ServerKey(interpreter, REFERENCE, "cpu", 1))

    async def server(self, variant: Variant, device: str = "") -> Server:
        """The running server of a variant, started on first use and again after a death.

        Where children are spawned, each call starts a server, which serves one; what is unsupported is found out
        once, what fails is tried a few times.

        Raises:
            Unavailable: this backend cannot run here.
            ServerDied: it was killed while it started; the next call starts another, a few times.
        """
        return await self._serving(self.key(variant, device))

    async def _serving(self, key: ServerKey) -> Server:
        if self.isolation(key) == "spawn":
            return await self._spawn(key)
        task = self._servers.get(key)
        if task is None or self._died(task):
            if self._stillborn.get(key, 0) >= MAX_STARTS:
                raise Unavailable("failed", f"the worker server died {MAX_STARTS} times (see server-{key}.log)")
            task = self._servers[key] = asyncio.create_task(self._start(key, task))
        return await asyncio.shield(task)

    @staticmethod
    def _died(task: asyncio.Task[Server]) -> bool:
        """Whether a server has started and is gone; one that said why it cannot start is not tried again."""
        if not task.done():
            return False
        return not task.result().alive if task.exception() is None else isinstance(task.exception(), ServerDied)

    async def _spawn(self, key: ServerKey) -> Server:
        if key in self._refusals:
            raise self._refusals[key]
        self._spawned = {server for server in self._spawned if server.alive}
        try:
            server = await self._start(key, None)
        except Unavailable as error:
            self._stillborn[key] = self._stillborn.get(key, 0) + 1
            if error.status == "unsupported" or self._stillborn[key] >= MAX_STARTS:
                self._refusals[key] = error  # a GPU that is short of memory now may not be so for the next cell
            raise
        self._spawned.add(server)
        return server

    async def _start(self, key: ServerKey, before: asyncio.Task[Server] | None) -> Server:
        if before is not None and before.exception() is None:
            await before.result().stop()
        self._starts[key] = self._starts.get(key, 0) + 1
        server = Server(key, self.logs / f"server-{key}.log", Path(self._caches.name), self.isolation(key))
        self.on_start(str(key), "starting", {}, "")
        try:
            await server.start()
        except Unavailable as error:
            self.on_start(str(key), "unavailable", {}, str(error))
            raise
        except BaseException as error:
            if isinstance(error, ServerDied):
                self._stillborn[key] = self._stillborn.get(key, 0) + 1
            if hasattr(server, "process"):
                server.process.kill()
            raise
        self._stillborn[key] = 0
        self.on_start(str(key), "ready", {**server.about, "imports": self._starts[key]}, "")
        return server
