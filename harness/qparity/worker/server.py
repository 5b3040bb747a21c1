"""The server of one backend: imports once, then forks a clean child for every cell.

Control messages are JSON packets (SOCK_SEQPACKET). The parent sends a cell with one end of a socket pair as ancillary
data; the child serves the cell on it. The server itself only forks, reaps and reports, and ends (with all children)
when the parent's end of its own socket closes. Nothing is executed in the server beyond imports: that is what makes
forking the frameworks safe. Where it is not (GPU, macOS) the server is its own only child (`isolation = "spawn"`).
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qparity.records import read
from qparity.records.requests import Start
from qparity.scenario.backends import every
from qparity.worker.control import die_with, outlive_parent, receive_request, tell
from qparity.worker.protocol import Channel

# Where compilers that build with other programs keep what they have made on disk: a folder for each cell, since one
# that is killed leaves something broken behind.
CACHES = every("caches")
COMPILED = "QPARITY_COMPILED"
"""The folder of JAX's compiled programs that a sweep's cells share; not set in a timed child, which starts cold."""


def serve(control: socket.socket, run_cell: Callable[[Channel], None]) -> None:
    """Fork a child per request until the parent is gone, then kill what is left, and everything that it started."""
    outlive_parent()
    gc.collect()
    gc.freeze()  # else a child's first full collection touches, and so copies, every object of the imports
    children: dict[int, Start] = {}
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        readable, _, _ = select.select([control.fileno(), wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
            for pid, status in reap(children):
                tell(control, "exited", cell=children.pop(pid).cell, status=status)
        if control.fileno() in readable:
            asked, descriptors = receive_request(control)
            if asked is None:
                break
            request = read(Start, asked)
            pid = fork_child(request, descriptors, control, run_cell)
            children[pid] = request
            tell(control, "started", cell=request.cell, pid=pid)
    for pid, request in children.items():
        kill_group(pid)
        shutil.rmtree(request.cache, ignore_errors=True)  # the parent may be dead


def serve_one(control: socket.socket, run_cell: Callable[[Channel], None]) -> None:
    """Serve the one cell this fresh interpreter was started for."""
    asked, descriptors = receive_request(control)
    if asked is not None:
        request = read(Start, asked)
        tell(control, "started", cell=request.cell, pid=os.getpid())
        confine(request, descriptors[1])
        run_cell(Channel(socket.socket(fileno=descriptors[0])))
        tell(control, "exited", cell=request.cell, status=0)


def fork_child(
    request: Start, descriptors: list[int], control: socket.socket, run_cell: Callable[[Channel], None]
) -> int:
    """Fork; the child serves its cell and never returns."""
    server = os.getpid()
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    status = 1
    try:
        die_with(server)
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        confine(request, descriptors[1])
        run_cell(Channel(socket.socket(fileno=descriptors[0])))
        status = 0
    except BaseException:  # the child must not fall back into the server's loop, whatever happened
        import traceback

        with contextlib.suppress(BaseException):  # the disk may be full
            traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(status)


def reap(children: Mapping[int, object]) -> list[tuple[int, int]]:
    """(pid, exit code) of the children that have ended; what they started ends with them."""
    ended = []
    for pid in list(children):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            kill_group(pid)  # before the child is reaped: until then its number is nobody else's
            _, status = os.waitpid(pid, 0)
            ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended


def confine(request: Start, output: int) -> None:
    """Bind this process to what its cell may use: a log, compilers' caches of its own, cores, bytes of memory."""
    redirect_output(output)
    os.environ.update(dict.fromkeys(CACHES, request.cache))
    if request.compiled:
        os.environ[COMPILED] = request.compiled
    pin(request.cpus)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # if memory runs out all the same, the kernel takes this one, not the parent
            Path("/proc/self/oom_score_adj").write_text("1000")
        if request.memory_bytes:
            held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
            _limit(resource.RLIMIT_DATA, held + request.memory_bytes)


def _limit(what: int, most: int) -> None:
    """Lower a limit of this process; one that is lower already stays."""
    soft, hard = resource.getrlimit(what)
    known = [limit for limit in (most, soft) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(what, (min(known), hard))


def redirect_output(descriptor: int) -> None:
    """Send everything the frameworks print to the cell's log, C level included."""
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def pin(cpus: Sequence[int] | None) -> None:
    """Bind this process to the given cores where the platform can: with every thread that it has by now."""
    if cpus and hasattr(os, "sched_setaffinity"):
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cpus)


def kill_group(pid: int) -> None:
    """Kill a child with everything it started."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
