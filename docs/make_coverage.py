"""Writes docs/coverage.md: who judges each operation and measurement of PennyLane, measured one by one.

    python docs/make_coverage.py [NAME ...]

With names: prints what becomes of these and writes nothing.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml

from qparity import oracle, records
from qparity.circuit.definition import BoundCircuit, bind, output_size
from qparity.circuit.errors import CircuitError, UnsupportedError, one_line
from qparity.circuit.measured import as_list
from qparity.circuit.program import gate_program
from qparity.circuit.trial import simulate, try_one_sample

sys.path.insert(0, str(Path(__file__).parent))
from coverage_probes import FEATURES, WEIGHTS, Probe, probes

PAGE = Path(__file__).with_name("coverage.md")
TOLERANCE = 1e-12
POINTS = 2
ORACLE, REFERENCE, REFUSED = "oracle", "reference", "refused"


@dataclass(frozen=True)
class Entry:
    """Who judges a probe, why nobody better does, and how far oracle and PennyLane are apart."""

    judge: str
    reason: str = ""
    values: float = 0.0
    gradients: float = 0.0


def measured(probe: Probe) -> Entry:
    """Who judges a circuit with this operation."""
    device = "default.mixed" if probe.group == "channel" else "default.qubit"

    def function(weights: Any, inputs: Any) -> Any:
        return probe(weights, inputs)

    bound = bind(function, probe.wires + probe.spare, 1, {}, {"weights": [WEIGHTS]}, FEATURES)
    try:
        output_size(bound, None, "parts")
        if bound.tape().operations[0].name == "QubitDensityMatrix":
            device = "default.mixed"
        try_one_sample(bound, device, None)
    except (CircuitError, UnsupportedError) as error:
        return Entry(REFUSED, one_line(error))
    program = gate_program(bound)
    if program["not_covered"]:
        try:
            simulate(bound, device, None, bound.tape())
        except Exception as error:
            return Entry(REFUSED, one_line(error))
        return Entry(REFERENCE, program["not_covered"])
    return compared(bound, device, records.read(records.Program, program).simulated)


def compared(bound: BoundCircuit, device: str, program: oracle.GateProgram) -> Entry:
    """The oracle against PennyLane on NumPy and autograd, values and gradients, at generic points."""
    of_values, of_gradients = 0.0, 0.0
    for seed in range(POINTS):
        rng = np.random.default_rng([seed, 5])
        # a point of its own for each number: those of `bound.example` are what the program was read at
        w, x = rng.uniform(0.1, 0.9, WEIGHTS), rng.uniform(0.1, 0.9, FEATURES)
        bars = rng.uniform(0.5, 1.5, program.outputs)
        value, slopes = by_pennylane(bound, device, w, x, bars)
        expected, by_weight, by_input = oracle.vjp(program, [w], x[None], bars[None], dtype=np.clongdouble)
        of_values = max(of_values, float(np.abs(value - expected[0]).max()))
        ours = np.concatenate([by_weight[0].ravel(), by_input[0]])
        of_gradients = max(of_gradients, float(np.abs(slopes - ours).max()))
    if not (of_values < TOLERANCE and of_gradients < TOLERANCE):
        told = f"the oracle differs from PennyLane by {of_values:.1e} in values, {of_gradients:.1e} in gradients"
        return Entry(REFERENCE, told, of_values, of_gradients)
    return Entry(ORACLE, "", of_values, of_gradients)


def by_pennylane(
    bound: BoundCircuit, device: str, w: np.ndarray, x: np.ndarray, bars: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (outputs,), and the derivatives of their sum times `bars` in weights and features."""

    def total(w: Any, x: Any, method: str) -> Any:
        return qml.math.sum(outputs(w, x, method) * bars)

    def outputs(w: Any, x: Any, method: str) -> Any:
        simulator = qml.device(device, wires=bound.wires)
        qnode = qml.QNode(lambda w, x: bound.function({"weights": w}, x), simulator, "autograd", method)
        parts = []
        for result in as_list(qnode(w, x)):
            result = qml.math.reshape(result, (-1,))
            is_complex = "complex" in str(qml.math.get_dtype_name(result))
            parts += [qml.math.real(result), qml.math.imag(result)] if is_complex else [result]
        return qml.math.hstack(parts)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = np.asarray(outputs(w, x, "backprop"), np.float64)
        point = qml.numpy.array(w), qml.numpy.array(x)
        try:
            slopes = qml.grad(total, argnums=[0, 1])(*point, "backprop")
        except (NotImplementedError, ValueError):  # autograd has no derivative of what the simulator does
            slopes = qml.grad(total, argnums=[0, 1])(*point, "parameter-shift")
    return value, np.concatenate([np.asarray(s, np.float64).ravel() for s in slopes])


@cache
def exported() -> dict[str, str]:
    """PennyLane's own operators by name, each with what speaks against a probe ("" if nothing does)."""
    found = {}
    for name in dir(qml):
        kind = getattr(qml, name)
        if not inspect.isclass(kind) or not issubclass(kind, qml.operation.Operator):
            continue
        module = kind.__module__
        if "qutrit" in module.lower() or name.startswith("Qutrit") or name in ("THermitian", "GellMann"):
            found[name] = "of qutrits"
        elif module.endswith(".cv") or issubclass(kind, qml.operation.CVOperation | qml.operation.CVObservable):
            found[name] = "of continuous variables"
        else:
            found[name] = ""
    return found


def main(names: list[str]) -> None:
    """Print entries, or write the page."""
    known = probes()
    if names:
        for name in names:
            print(name, known[name].group, attempt(known[name]), flush=True)
        return
    PAGE.write_text(page({name: attempt(probe) for name, probe in known.items()}), encoding="utf-8")


def _plain(reason: str) -> str:
    """A reason as a table takes it, without the addresses of objects, which are others each time."""
    return re.sub(r" at 0x[0-9a-f]+", "", reason).replace("|", "/")


def page(found: dict[str, Entry]) -> str:
    """The whole page as Markdown."""
    known = probes()
    groups = list(dict.fromkeys(probe.group for probe in known.values()))
    rows, sections = [], []
    for group in groups:
        here = {name: entry for name, entry in found.items() if known[name].group == group}
        rows.append(_row(f"{group}s", list(here.values())))
        lines = [f"| `{name}` | {e.judge} | {_plain(e.reason)} |" for name, e in here.items()]
        head = f"## {group.capitalize()}s\n\n| | judged by | because |\n|---|---|---|"
        sections.append("\n".join([head, *lines]))
    rows.append(_row("all", list(found.values())))
    others: dict[str, list[str]] = {}
    for name, reason in exported().items():
        if name not in known and name not in OBSERVABLES:
            others.setdefault(reason or "no probe", []).append(f"`{name}`")
    left = "\n".join(f"- {reason}: {', '.join(names)}" for reason, names in others.items())
    judged = [e for e in found.values() if e.judge == ORACLE]
    worst = f"{max(e.values for e in judged):.0e} in values, {max(e.gradients for e in judged):.0e} in gradients"
    return TEXT.format(
        version=qml.__version__, tolerance=f"{TOLERANCE:g}", worst=worst, rows="\n".join(rows),
        sections="\n\n".join(sections), left=left,
    )  # fmt: skip


def _row(what: str, entries: list[Entry]) -> str:
    counts = Counter(entry.judge for entry in entries)
    share = round(100 * counts[ORACLE] / len(entries))
    return f"| {what} | {counts[ORACLE]} of {len(entries)} ({share}%) | {counts[REFERENCE]} | {counts[REFUSED]} |"


OBSERVABLES = ("Hamiltonian", "Hermitian", "Projector", "SparseHamiltonian")
"""Operators that are measured and not applied: among the measurements."""
TEXT = """# What the oracle covers

Made by `python docs/make_coverage.py` with PennyLane {version} (do not edit by hand). For each operation and
measurement a small circuit with trained weights and features is made and read as a gate program
(docs/coverage_probes.py). "oracle" stands only where its values and its gradients in weights and features agree with
PennyLane on NumPy and autograd (default.qubit, with noise default.mixed) to {tolerance}; the largest difference was
{worst} (PennyLane adds 1e-14 to the probabilities of its channels).
What the oracle does not cover the reference judges: the circuit on PennyLane's NumPy interface, differentiated by
central differences. "refused" is what PennyLane or the layer refuses, with its line.

| | oracle | reference | refused |
|---|---|---|---|
{rows}

Noise is simulated as a density matrix, up to 6 wires; constant matrices and observables that are no Pauli sums up to 5
wires of their own, and so are entropies; mid-circuit measurements are put off, and take a wire each. Angles,
amplitudes, strengths and coefficients may be quadratic forms of weights and features, or computed from them by NumPy's
or PennyLane's arithmetic and elementary functions (`RX(arctan(x))`); what compares numbers (`where`, `clip`,
`maximum`, a branch) goes to the reference, whatever the gate (see [circuits](circuits.md)).

{sections}

## Without a probe

{left}
"""


def attempt(probe: Probe) -> Entry:
    """`measured`, where a probe that itself breaks is an entry that says so."""
    try:
        return measured(probe)
    except Exception as error:
        return Entry(REFERENCE, f"PennyLane has no gradient on autograd to compare with ({one_line(error)})")


if __name__ == "__main__":
    main(sys.argv[1:])
