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
from pathlib import Path


def main() -> None:
    """Serve cells of one backend until the parent closes the socket."""
    parser = argparse.ArgumentParser(prog="qparity.worker")
    parser.add_argument("--backend", required=True, help="as Keras writes it")
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--simulator", default="", help="a PennyLane device that needs the GPU, such as lightning.gpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--isolation", choices=("fork", "spawn"), default="fork")
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args()
    load_own_package()

    from qparity.scenario.backends import REFERENCE
    from qparity.worker import backends, control, old_name

    old_name.accept()
    control.die_with(options.parent)
    parent = socket.socket(fileno=options.fd)
    if options.backend == REFERENCE:
        serve_reference(parent, options.isolation)
        return
    if missing := backends.missing(options.backend, options.accelerator, options.simulator):
        control.tell(parent, "unavailable", reason=missing)
        return
    os.environ.update(backends.environment(options.backend, options.accelerator, options.threads, options.simulator))
    start = time.perf_counter()
    try:
        backend = backends.load(options.backend, options.accelerator, options.threads)
        from qparity.worker import server
        from qparity.worker.child import serve_cell

        blind = backends.blind(backend, options.simulator)  # starts the GPU: no cell pays for that again
    except Exception as error:
        import traceback

        traceback.print_exc()
        reason = f"{options.backend} did not start: {type(error).__name__}: {' '.join(str(error).split())}"
        control.tell(parent, "broken", reason=reason[:600])
        return
    import_s = time.perf_counter() - start
    if blind:
        control.tell(parent, "unavailable", reason=blind)
        return
    control.tell(parent, "ready", import_s=import_s, **backends.description(backend))
    serve = server.serve if options.isolation == "fork" else server.serve_one
    serve(parent, lambda channel: serve_cell(channel, backend))


def serve_reference(parent: socket.socket, isolation: str) -> None:
    """The reference in place of a backend: Keras on NumPy."""
    from qparity.scenario.backends import REFERENCE
    from qparity.worker import backends, control

    if missing := backends.missing(REFERENCE, "cpu"):
        control.tell(parent, "unavailable", reason=missing)
        return
    start = time.perf_counter()
    try:
        from qparity.worker.reference import keras_on_numpy

        keras_on_numpy.load()
        from qparity.worker import server
        from qparity.worker.reference import serve
    except Exception as error:
        import traceback

        traceback.print_exc()
        reason = f"the reference did not start: {type(error).__name__}: {' '.join(str(error).split())}"
        control.tell(parent, "broken", reason=reason[:600])
        return
    control.tell(parent, "ready", import_s=time.perf_counter() - start, **backends.about_packages(1))
    (server.serve if isolation == "fork" else server.serve_one)(parent, serve.serve_reference)


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
