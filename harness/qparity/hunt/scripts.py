"""What is written of a find beside the run: its script, and its scenario as a file that `qparity run` takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qparity.diagnose import DiagnosisError, find, reproduce, script
from qparity.diagnose import written as code
from qparity.diagnose.reproduce import How, circuit_body, head
from qparity.diagnose.snippets import SNIPPETS
from qparity.hunt.bench import REWRITTEN, block_of
from qparity.hunt.kept import Find
from qparity.records import Variable
from qparity.runner.inputs import WEIGHT_STREAM, make_inputs, starting_values
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.scenario.written import WEIGHTS, Measurement, Written, read
from qparity.store import Run, atomic

REWRITE = '''"""{what}"""

# {source}
# Two circuits that are one function of weights and x. Exit code 1: they give other numbers; 0: the same.

import sys

import numpy as np
import pennylane as qml

weights = {weights}
x = {x}


{before}


{after}


def outputs(function):
    device = qml.device({device!r}, wires={wires})
    qnode = qml.QNode(function, device, interface="numpy", diff_method=None)
    return np.concatenate([np.ravel(result) for row in x for result in qnode(weights, row)])


one, other = outputs(circuit), outputs(rewritten)
difference = np.abs(one - other).max()
print("the circuit  ", one)
print("the rewritten", other)
print(f"largest difference {{difference:.3g}}")
sys.exit(int(not difference < {allowed!r}))
'''

ENDED = """

def loss_of(predictions):
    return ops.sum(predictions)


{gradient}

try:
    found = [to_numpy(value) for value in run()]
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")
    print("it fails")
    sys.exit(1)
wrong = any(not np.isfinite(value).all() for value in found)
for value in found:
    print(value)
print("not finite" if wrong else "all is finite")
sys.exit(int(wrong))
"""
ALLOWED = 1e-6
"""Of a rewrite's numbers in float64."""


def write_script(run: Run, found: Find, scenarios: Sequence[Scenario], folder: Path) -> tuple[str | None, str]:
    """Write script and scenario of a find into a folder; the script's path, or why there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in scenarios:
        atomic.write_bytes(folder / f"{scenario.name}.toml", toml(scenario, found.where).encode())
    variant = Variant.parse(found.variant)
    try:
        if found.fault.stage == REWRITTEN:
            text = _rewrite(run, found, scenarios[0], scenarios[1])
        elif found.fault.status == "ok":
            (cell,) = block_of(scenarios[0], [variant]).cells
            text = reproduce(run, find(run, cell.id))
        else:
            text = _ended(run, found, scenarios[0], variant)
    except DiagnosisError as error:
        return None, str(error)
    path = folder / f"{scenarios[-1].name}-{variant}.py"
    atomic.write_bytes(path, text.encode())
    return str(path), ""


def toml(scenario: Scenario, variants: Sequence[str]) -> str:
    """A scenario file of one scenario on these variants."""
    table = scenario.model_dump(mode="json", exclude_defaults=True)
    lines = [f"variants = {_value(list(variants))}"]
    return "\n".join([*lines, *(f"{key} = {_value(value)}" for key, value in table.items() if value is not None), ""])


def _value(value: Any) -> str:
    """A value of TOML, on one line; JSON writes numbers, texts and lists as TOML does."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_value(each)}' for key, each in value.items() if each is not None)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


def started(scenario: Scenario) -> tuple[np.ndarray, np.ndarray]:
    """What the first step starts from: weights (W,), and its features (rows, features)."""
    inputs = make_inputs(scenario)
    shape = tuple((scenario.weight_shapes or {})[WEIGHTS])
    about = Variable(WEIGHTS, shape, scenario.dtype, layer="circuit", random=True)
    (weights,) = starting_values([about], [np.zeros(shape, scenario.dtype)], scenario, WEIGHT_STREAM)
    return weights, inputs.x[inputs.order[0][: scenario.training.batch_size]]


def _rewrite(run: Run, found: Find, before: Scenario, after: Scenario) -> str:
    weights, x = started(before)
    one, other = read(before.circuit_options), read(after.circuit_options)
    helper = code.helper(other)
    return REWRITE.format(
        what=script.comment(found.reason)[2:].replace('"""', "'''").replace("\\", "/"),
        source=f"Written by qparity from run {script.comment(run.id)[2:]}: {', '.join(found.rules)}.",
        weights=f"[{script.literal(weights.astype(np.float64))}]",
        x=script.literal(x.astype(np.float64)),
        before=code.circuit(one),
        after=helper + code.circuit(other, "rewritten").removeprefix(helper),
        device=before.device,
        wires=before.wires,
        allowed=ALLOWED,
    )


def _ended(run: Run, found: Find, scenario: Scenario, variant: Variant) -> str:
    """The first step of a cell that fails or leaves the finite numbers: outputs and gradients."""
    if variant.backend not in SNIPPETS:
        raise DiagnosisError(f"there is no script for {variant.backend}")
    circuit = read(scenario.circuit_options)
    weights, x = started(scenario)
    meets = any({name[0] for _, names in angle for name in names} == {"w", "x"} for angle in circuit.parameters)
    outcome = run.outcome(block_of(scenario, [variant]).cells[0].id)
    layers = outcome.resolved.quantum_layers if outcome else ()
    expanded = any(layer.expanded for layer in layers)
    how = How(variant, scenario.device, scenario.diff_method, scenario.diff_options, scenario.wires, meets, expanded)
    told = head(
        f"{found.cells[0]}: {found.reason}",
        f"Written by qparity from run {run.id}.",
        _size(scenario),
        variant,
        scenario,
    )
    body = circuit_body(code.circuit(circuit), sizes(circuit), how, x, [weights])
    snippet = SNIPPETS[variant.backend]
    gradient = snippet.gradient.split("\n\n\ncompute = ")[0].replace("loss_of(y, ", "loss_of(").strip("\n")
    compiled = snippet.compiled.get(variant.mode, "{}") if how.traceable else "{}"
    call = f"{compiled.format('gradients_of')}({snippet.weights}tensor(x), None)"
    return told + "\n" + body + ENDED.format(gradient=f"{gradient}\n\n\ndef run():\n    return {call}\n")


def _size(scenario: Scenario) -> str:
    samples = scenario.training.batch_size
    counts = {"wire": scenario.wires, "sample": samples}
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items())


def sizes(circuit: Written) -> list[int]:
    """Number of outputs of each measurement."""
    return [_outputs(each) for each in circuit.measured]


def _outputs(m: Measurement) -> int:
    if m.kind != "probs":
        return 1
    wires = m.terms[0][2] if m.terms else m.wires
    return int(2 ** len(wires))
