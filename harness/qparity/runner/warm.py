"""Workers that stay when a sweep ends, with their framework imported: for many sweeps in a row, such as those of tests.

Where QPARITY_WARM names a folder, the first sweep that needs a backend leaves a process there that has imported it and
listens on a socket; it forks a worker server for every sweep that asks, which ends with its sweep. A sweep in another
environment (variables, checkout) has another such process, or, where there are two already, a server of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qparity.scenario.backends import BACKENDS

WARM = "QPARITY_WARM"
SET = {name for facts in BACKENDS.values() for name in (*facts.environment, *facts.environment_cpu)}
NO_MATTER = (*SET, "PYTEST_", "QPARITY_", "COLUMNS", "LINES", "PWD", "OLDPWD", "SHLVL", "_", "NO_COLOR", "FORCE_COLOR")
"""Variables, or how they begin, that no import looks at, or that a worker sets before its own."""
MOST = 2
"""Processes for one command, each in an environment of its own: they hold hundreds of megabytes each."""
PATIENCE_S = 300.0


class Forked:
    """A server that is nobody's child here: as much of `subprocess.Popen` as a pool needs."""

    def __init__(self, pid: int) -> None:
        self.pid, self.descriptor = pid, os.pidfd_open(pid)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit code is its parent's to know.

        Raises:
            subprocess.TimeoutExpired: it has not ended by then.
        """
        if not select.select([self.descriptor], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a worker server", timeout or 0.0)
        return 0

    def kill(self) -> None:
        """Kill it, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)

    def __del__(self) -> None:
        os.close(self.descriptor)


def forked(command: Sequence[str], environment: Mapping[str, str], control: int, log: int) -> Forked | None:
    """A server from the warm process for this command, which is started if there is none; None where it cannot be.

    Args:
        command: of a server, without what ties it to its parent.
        environment: of the server.
        control, log: descriptors for it.
    """
    folder = os.environ.get(WARM)
    if not folder or not hasattr(os, "pidfd_open"):
        return None
    place = Path(folder) / f"{_digest(list(command))}-{_digest(_kept(environment))}.sock"
    with contextlib.suppress(OSError):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with open(Path(folder) / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = _connected(place) or _started(place, command, environment)
        if connection is None:
            return None
        with connection:
            connection.settimeout(PATIENCE_S)  # its import may be under way
            asked = {"environment": dict(environment), "folder": os.getcwd(), "cpus": sorted(os.sched_getaffinity(0))}
            socket.send_fds(connection, [json.dumps(asked).encode()], [control, log])
            answer = connection.recv(1 << 16)
            return Forked(json.loads(answer)["pid"]) if answer else None
    return None


def end(folder: Path | str) -> None:
    """End the warm processes of a folder."""
    for place in Path(folder).glob("*.sock"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(str(place))
            connection.send(json.dumps({"end": True}).encode())


def _connected(place: Path) -> socket.socket | None:
    """A connection to the process that listens there; None without one."""
    if not place.exists():
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(place))
    except OSError:
        connection.close()
        place.unlink(missing_ok=True)
        return None
    return connection


def _started(place: Path, command: Sequence[str], environment: Mapping[str, str]) -> socket.socket | None:
    """A connection to a new process that imports what the command says; None where there are enough of them."""
    if len(list(place.parent.glob(f"{place.name.partition('-')[0]}-*.sock"))) >= MOST:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(place))
        listener.listen(64)
        with open(place.with_suffix(".log"), "ab") as log:
            subprocess.Popen(
                [*command, "--listen", str(listener.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        return _connected(place)


def _kept(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted((k, v) for k, v in environment.items() if not k.startswith(NO_MATTER))


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
