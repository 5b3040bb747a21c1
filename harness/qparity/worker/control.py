"""The control socket between parent and worker server, and the tie between their lives. Standard library only:
an interpreter that lacks NumPy must still be able to say so.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1


def tell(control: socket.socket, kind: str, **body: object) -> None:
    """Send the parent one packet; a parent that is gone is noticed by `serve`."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.send(json.dumps({"kind": kind, **body}).encode())


def receive_request(control: socket.socket) -> tuple[object, list[int]]:
    """One request with the descriptors of the cell's socket and of what it prints to, or None at EOF."""
    data, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 2)
    return (json.loads(data), descriptors) if data else (None, [])


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies (Linux); ends at once if it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Take `die_with` back: for a process that notices its parent's end by itself and has children to take along."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, 0)
