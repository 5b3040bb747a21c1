"""A process that has imported a backend and forks a worker server for every sweep that asks: see runner/warm.py."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from qparity.worker.control import receive_request, tell
from qparity.worker.server import redirect_output

IDLE_S = 900.0
"""How long it waits for the next sweep before it ends."""


def next_parent(listener: socket.socket) -> socket.socket:
    """Wait for sweeps; returns in each forked server, with the socket to its parent, and never in this process."""
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the servers
    while select.select([listener], [], [], IDLE_S)[0]:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError):
            request: Any
            request, descriptors = receive_request(connection)
            if request is None:
                continue
            if request.get("end"):
                break
            pid = os.fork()
            if pid:
                for descriptor in descriptors:
                    os.close(descriptor)
                tell(connection, "forked", pid=pid)
                connection.close()
                continue
            os.setsid()
            listener.close()
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            redirect_output(descriptors[1])
            os.environ.clear()
            os.environ.update(request["environment"])
            os.chdir(request["folder"])
            os.sched_setaffinity(0, request["cpus"])
            return socket.socket(fileno=descriptors[0])
    with contextlib.suppress(OSError):
        Path(listener.getsockname()).unlink()
    sys.exit()
