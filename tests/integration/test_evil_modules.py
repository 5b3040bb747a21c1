"""Modules that do what no module should: each is an outcome with a sentence that names the cause, the others are right.

One sweep of them all, side by side, on a real backend. `once` keeps what they do to one of the times their function is
called; that of the reference, which reads the same function in a process of its own, is not spared.
"""

import json
from pathlib import Path

import pytest

from qparity.runner import log
from qparity.scenario.text import printable_lines
from tests.conftest import backends, variants_of

VARIANT = "torch" if "torch" in backends() else variants_of(backends()[-1])[-1]
PATIENCE_S = 25

FUNCTION = """
import ctypes, json, os, signal, socket, sys, threading, time, warnings
import keras
import numpy as np
import pennylane as qml

done = []

def once():
    done.append(1)
    return len(done) == 1

def circuit(inputs, weights):
    {body}
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(weights[0], wires=0)
    return qml.expval(qml.Z(0))
"""
# name -> (what it does, the statuses that are right for it, what its reason must say)
EVIL = {
    "well": ("pass", {"ok"}, ""),
    "forks": ("once() and os.fork()", {"ok"}, ""),
    "forks-and-exits": ("once() and os.fork() == 0 and sys.exit(5)", {"ok"}, ""),
    "exits": ("sys.exit(3)", {"failed"}, "SystemExit: the code under test ended the program with 3"),
    "dies": ("os._exit(7)", {"crashed"}, "the process ended with exit code 7"),
    "kills-itself": ("os.kill(os.getpid(), signal.SIGKILL)", {"crashed"}, "killed by SIGKILL"),
    "segfaults": ("ctypes.string_at(0)", {"crashed"}, "killed by SIGSEGV"),
    "aborts": ("os.abort()", {"crashed"}, "killed by SIGABRT"),
    "interrupts": ("raise KeyboardInterrupt", {"failed"}, "KeyboardInterrupt"),
    "leaves-threads": ("once() and threading.Thread(target=time.sleep, args=(999,)).start()", {"ok"}, ""),
    "prints-a-lot": ("once() and [os.write(1, bytes(2**20)) for _ in range(80)]", {"ok"}, ""),
    "steers-numpy": ("np.seterr(all='raise'); np.set_printoptions(threshold=0); np.random.seed(0)", {"ok"}, ""),
    "steers-keras": ("keras.config.set_floatx('float32'); keras.config.set_epsilon(0.5)", {"ok"}, ""),
    "takes-memory": ("np.ones(30 * 2**27)", {"failed"}, "30.0 GiB"),
    "recurses": ("(f := lambda: f()) and f()", {"failed"}, "RecursionError"),
    "is-deaf": ("[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 3, 13, 14, 15, 17)]", {"ok"}, ""),
    "raises-in-a-signal": ("signal.raise_signal(signal.SIGINT)", {"failed"}, "KeyboardInterrupt"),
    "closes-its-output": ("once() and (os.close(1), os.close(2), sys.stdout.close())", {"ok"}, ""),
    "fails-without-output": ("once() and (os.close(1), os.close(2)); sys.stderr = None; 1 / 0", {"failed"}, "ZeroD"),
    "goes-away": ("os.chdir('/')", {"ok"}, ""),
    "deletes-itself": ("os.path.exists(__file__) and os.unlink(__file__)", {"ok"}, ""),
    "empties-the-path": ("sys.path.clear(); import no_such_module", {"failed"}, "no_such_module"),
    "empties-the-environment": ("os.environ.clear()", {"ok"}, ""),
    "patches": ("json.dumps = json.loads = np.save = np.load = time.sleep = None", {"ok"}, ""),
    "never-ends": ("[time.sleep(0.1) for _ in iter(int, 1)]", {"timeout"}, f"no end after {PATIENCE_S} s"),
    "returns-a-number": ("return 5", {"failed"}, "expected measurements returned, got int"),
    "turns-the-line": ("print('\\u202e\\x1b[31m'); raise ValueError('a\\u202eb\\x1b]0')", {"failed"}, "a\\u202eb"),
    "raises-its-own": ("raise type('Doom', (BaseException,), {})('is here')", {"failed"}, "Doom: is here"),
    "has-no-message": ("raise type('Mute', (Exception,), {'__str__': lambda _: 1 / 0})", {"failed"}, "ZeroDivision"),
    "warns-without-end": ("[warnings.warn('x' * 999) for _ in range(999)]", {"ok"}, ""),
    "scribbles": ("[os.write(n, b'x' * 99) for n in range(3, 99) if _is_socket(n)]", {"crashed", "failed"}, ""),
}  # fmt: skip
# What is said of those that end well, but compute something else, or cannot be read a second time.
VERDICTS = {"steers-keras": "SETUP-FAULT", "deletes-itself": "NOT-COMPARED"}
MODULES = {
    "fails-on-import": ("raise RuntimeError('at import')", {"failed"}, "RuntimeError: at import"),
    "exits-on-import": ("import sys; sys.exit('no licence')", {"failed"}, "ended the program with 'no licence'"),
}
SOCKETS = """
def _is_socket(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket")
    except OSError:
        return False
"""
COMMON = """
data = { samples = 4 }
training = { batch_size = 2, epochs = 1 }
weight_shapes = { weights = [1] }
"""
# Too large to be tried beforehand: PennyLane refuses it where it is differentiated.
REFUSED = """
import pennylane as qml

class Odd(qml.operation.Operation):
    num_wires, num_params, grad_method = 1, 1, None
    compute_matrix = staticmethod(qml.RY.compute_matrix)

def circuit(inputs, weights):
    qml.RX(inputs[..., 0], wires=0)
    Odd(weights[0], wires=0)
    return qml.expval(qml.Z(0))
"""
TRACER = """
import numpy as np
import pennylane as qml

def circuit(inputs, weights):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(weights[0] if isinstance(weights, np.ndarray) and weights.dtype != object else float(weights[0]), wires=0)
    return qml.expval(qml.Z(0))
"""


def write(folder: Path) -> list[Path]:
    """A module and an entry of a scenario file for each; a file of its own for what only JAX has."""
    entries = []
    for name, (body, *_) in {**EVIL, **MODULES}.items():
        module = name.replace("-", "_")
        source = f"{body}\n{FUNCTION.format(body='pass')}" if name in MODULES else FUNCTION.format(body=body)
        (folder / f"{module}.py").write_text(source + SOCKETS)
        entries.append(f'[[scenarios]]\nname = "{name}"\ncircuit = "{module}:circuit"\n')
    entries.append('[[scenarios]]\nname = "refused"\ncircuit = "refused:circuit"\n')
    entries.append('wires = 11\ndiff_method = "parameter-shift"\n')
    (folder / "refused.py").write_text(REFUSED)
    (folder / "evil.toml").write_text(f'variants = ["{VARIANT}"]{COMMON}' + "".join(entries))
    (folder / "tracer.py").write_text(TRACER)
    (folder / "tracer.toml").write_text(f'variants = ["jax-jit"]\ncircuit = "tracer:circuit"{COMMON}')
    return [folder / "evil.toml", *([folder / "tracer.toml"] if "jax" in backends() else [])]


@pytest.fixture(scope="module")
def swept(tmp_path_factory, qparity):
    folder = tmp_path_factory.mktemp("evil")
    files, results = write(folder), folder / "results"
    run = qparity("run", *files, "--results", results, "--timeout", PATIENCE_S, "--max-memory", "8G", "--no-timing")
    assert run.returncode == 3, run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert printable_lines(run.stdout) == run.stdout
    shown = qparity("show", "--json", "--results", results)
    cells = {cell["scenario"]: cell for cell in json.loads(shown.stdout)["cells"]}
    return next(results.glob("*/run.json")).parent, cells


@pytest.mark.parametrize("name", [*EVIL, *MODULES])
def test_what_a_module_does_is_its_own_outcome(swept, name):
    _, statuses, said = {**EVIL, **MODULES}[name]
    cell = swept[1][name]
    assert cell["status"] in statuses, cell["reason"]
    assert cell["reason"], "every end has its reason"
    assert said in cell["reason"]
    assert printable_lines(cell["reason"]) == cell["reason"]
    if cell["status"] == "ok":
        assert cell["verdict"] == VERDICTS.get(name, "ROUNDING"), cell["reason"]


def test_what_pennylane_refuses_to_differentiate_is_unsupported(swept):
    cell = swept[1]["refused"]
    assert (cell["status"], cell["mark"]) == ("unsupported", "unsupported")
    if cell["variant"] == "tf-xla":  # what it does not compile is refused before
        assert cell["reason"].startswith("XLA compiles only")
        return
    assert cell["reason"].startswith("audit: ValueError: ")
    assert "Cannot differentiate with respect to parameter(s)" in cell["reason"]


def test_what_is_printed_goes_to_the_log_as_far_as_that_goes(swept):
    folder, cells = swept
    assert (folder / cells["prints-a-lot"]["log"]).stat().st_size < log.MOST_BYTES + 2**20
    assert "\u202e" in (folder / cells["turns-the-line"]["log"]).read_text()
    assert "Traceback" in (folder / cells["raises-its-own"]["log"]).read_text()


@pytest.mark.backend("jax")
def test_an_error_that_takes_more_than_a_message_is_still_the_error(swept):
    """Keras' filter makes new errors of old ones from the message alone, which JAX's cannot be made of."""
    cell = swept[1]["tracer"]
    assert "_error_repr" not in cell["reason"]
    assert "tracer" in cell["reason"].lower()
