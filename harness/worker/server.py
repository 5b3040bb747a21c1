"""The server of one backend: imports once, then forks a clean child for every cell.

Control messages are JSON packets (SOCK_SEQPACKET). The parent sends a cell with one end of a socket pair as ancillary
data; the child serves the cell on it. The server itself only forks, reaps and reports, and ends (with all children)
when the parent's end of its own socket closes. Nothing is executed in the server beyond imports: that is what makes
forking the frameworks safe. Where it is not (GPU, macOS) the server is its own only child (`isolation = "spawn"`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from harness.worker.control import die_with, receive_request, tell
from harness.worker.protocol import Channel


def serve(control: socket.socket, run_cell: Callable[[Channel], None]) -> None:
    """Fork a child per request until the parent is gone, then kill what is left."""
    children: dict[int, str] = {}
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        readable, _, _ = select.select([control.fileno(), wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
            for pid, status in reap(children):
                tell(control, "exited", cell=children.pop(pid), status=status)
        if control.fileno() in readable:
            request, descriptor = receive_request(control)
            if request is None:
                break
            pid = fork_child(request, descriptor, control, run_cell)
            children[pid] = request["cell"]
            tell(control, "started", cell=request["cell"], pid=pid)
    for pid in children:
        kill_group(pid)


def serve_one(control: socket.socket, run_cell: Callable[[Channel], None]) -> None:
    """Serve the one cell this fresh interpreter was started for."""
    request, descriptor = receive_request(control)
    if request is not None:
        tell(control, "started", cell=request["cell"], pid=os.getpid())
        redirect_output(request["log"])
        pin(request.get("cpus"))
        run_cell(Channel(socket.socket(fileno=descriptor)))
        tell(control, "exited", cell=request["cell"], status=0)


def fork_child(
    request: dict[str, Any], descriptor: int, control: socket.socket, run_cell: Callable[[Channel], None]
) -> int:
    """Fork; the child serves its cell and never returns."""
    server = os.getpid()
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    status = 1
    try:
        die_with(server)
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        redirect_output(request["log"])
        pin(request.get("cpus"))
        run_cell(Channel(socket.socket(fileno=descriptor)))
        status = 0
    except BaseException:  # the child must not fall back into the server's loop, whatever happened
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def reap(children: dict[int, str]) -> list[tuple[int, int]]:
    """(pid, wait status) of the children that have ended."""
    ended = []
    for pid in list(children):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended


def redirect_output(log: str) -> None:
    """Send everything the frameworks print to the cell's log, C level included."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def pin(cpus: list[int] | None) -> None:
    """Bind this process to the given cores where the platform can."""
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)


def kill_group(pid: int) -> None:
    """Kill a child with everything it started."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
