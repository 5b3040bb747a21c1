"""`python -P harness/qparity/worker/__main__.py --backend torch --fd 5 ...`: configure, import once, serve.

Run by path, with the interpreter of the backend's own environment if need be: it loads the parent's own `qparity`, so
both sides always speak the same protocol, and the environment needs only keras, PennyLane, pydantic and the framework.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve cells of one backend until the parent closes the socket."""
    parser = argparse.ArgumentParser(prog="qparity.worker")
    parser.add_argument("--backend", required=True, help="as Keras writes it")
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--simulator", default="", help="a PennyLane device that needs the GPU, such as lightning.gpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fd", type=int, help="the socket to the parent")
    parser.add_argument("--parent", type=int, help="its process")
    parser.add_argument("--listen", type=int, help="in their place: a socket where parents come (worker/warm.py)")
    parser.add_argument("--isolation", choices=("fork", "spawn"), default="fork")
    options = parser.parse_args()
    load_own_package()

    from qparity.scenario.backends import REFERENCE
    from qparity.worker import control, old_name

    old_name.accept()
    if options.listen is None:
        control.die_with(options.parent)
    kind, about, run_cell = reference() if options.backend == REFERENCE else framework(options)
    if options.listen is None:
        parent = socket.socket(fileno=options.fd)
    elif kind != "ready":
        return  # a server of the sweep's own says why
    else:
        from qparity.worker import warm

        parent = warm.next_parent(socket.socket(fileno=options.listen))
        os.environ.update(about.pop("environment"))
    about.pop("environment", None)
    control.tell(parent, kind, **about)
    if kind == "ready":
        from qparity.worker import server

        (server.serve if options.isolation == "fork" else server.serve_one)(parent, run_cell)


Imported = tuple[str, dict[str, Any], Callable[[Any], None]]
"""What the parent is told, what of it, and what serves a cell; `environment` is what the import has set."""


def framework(options: argparse.Namespace) -> Imported:
    """Import a backend."""
    from qparity.worker import backends

    if missing := backends.missing(options.backend, options.accelerator, options.simulator):
        return "unavailable", {"reason": missing}, nothing
    environment = backends.environment(options.backend, options.accelerator, options.threads, options.simulator)
    os.environ.update(environment)
    start = time.perf_counter()
    try:
        backend = backends.load(options.backend, options.accelerator, options.threads)
        from qparity.worker import server  # noqa: F401
        from qparity.worker.child import serve_cell

        blind = backends.blind(backend, options.simulator)  # starts the GPU: no cell pays for that again
    except Exception as error:
        return broken(options.backend, error)
    import_s = time.perf_counter() - start
    if blind:
        return "unavailable", {"reason": blind}, nothing
    about = {"import_s": import_s, "environment": environment, **backends.description(backend)}
    return "ready", about, lambda channel: serve_cell(channel, backend)


def reference() -> Imported:
    """The reference in place of a backend: Keras on NumPy."""
    from qparity.scenario.backends import REFERENCE
    from qparity.worker import backends

    if missing := backends.missing(REFERENCE, "cpu"):
        return "unavailable", {"reason": missing}, nothing
    start = time.perf_counter()
    try:
        from qparity.worker.reference import keras_on_numpy

        keras_on_numpy.load()
        from qparity.worker import server  # noqa: F401
        from qparity.worker.reference import serve
    except Exception as error:
        return broken("the reference", error)
    environment = {"KERAS_BACKEND": os.environ["KERAS_BACKEND"]}
    about = {"import_s": time.perf_counter() - start, "environment": environment, **backends.about_packages(1)}
    return "ready", about, serve.serve_reference


def broken(what: str, error: Exception) -> Imported:
    """What the parent is told of an import that failed; the traceback goes to the log."""
    import traceback

    traceback.print_exc()
    reason = f"{what} did not start: {type(error).__name__}: {' '.join(str(error).split())}"
    return "broken", {"reason": reason[:600]}, nothing


def nothing(channel: Any) -> None:
    """There is no cell to serve."""


def load_own_package() -> None:
    """Make `import qparity` find the package this file belongs to, whatever is installed in this interpreter."""
    import importlib.util

    package = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "qparity", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["qparity"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
