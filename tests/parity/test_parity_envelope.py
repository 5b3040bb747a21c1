"""The envelope: clean trainings lie inside, faulty ones outside, and dead weights are named."""

import re
from dataclasses import replace

import numpy as np
import pytest

from qparity import oracle
from qparity.circuit.definition import bind
from qparity.circuit.library.hardware_efficient import dead_weights, hardware_efficient
from qparity.circuit.program import gate_program
from qparity.oracle.adjoint import vjp
from qparity.parity import Observation, judge
from qparity.parity.envelope import envelope
from qparity.parity.tolerances import UNITS
from qparity.records import Outcome, Program, read
from tests.oracle.programs import read as simulated
from tests.parity.fake import Setting, observe

WIRES, LAYERS, STEPS, ROWS = 3, 2, 12, 4
OPTIMIZER = {"name": "adam", "learning_rate": 0.03, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False}


def trained(noise: int, dtype: str = "float32") -> Observation:
    """Adam on the ansatz with a dead light cone; a backend's rounding is random noise of the size it has in `dtype`."""
    raw = gate_program(bind(hardware_efficient, WIRES, LAYERS, {}, None, 1))
    program = simulated(raw)
    rng = np.random.default_rng(noise)
    x = np.linspace(-2, 2, ROWS, dtype=np.float32)[:, None].astype(dtype)
    y = np.sin(x)
    optimizer = oracle.law_of(OPTIMIZER, dtype, np.float64, UNITS[dtype])
    w = np.random.default_rng(7).uniform(0, 6, (LAYERS, WIRES, 2)).astype(np.float32).astype(dtype)
    state = optimizer.start([w.astype(np.float64)])
    columns: dict[str, list[np.ndarray]] = {}
    stops = np.array([0, ROWS])
    u = UNITS[dtype]
    for _ in range(STEPS):
        f = oracle.predict(program, [w], x.astype(np.float64)).astype(dtype)
        loss = oracle.evaluate_loss("mse", f.astype(np.float64), y.astype(np.float64), stops)
        _, (g,), _ = vjp(program, [w.astype(np.float64)], x, loss.cotangents)
        g = (g + u * rng.normal(size=g.shape)).astype(dtype)
        state, (bounded,) = optimizer.step(state, [w.astype(np.float64)], [g.astype(np.float64)])
        new = bounded.value
        step = {"weights/0": w, "gradients/0": g, "new_weights/0": new.astype(dtype), "predictions": f,
                "loss": loss.steps[0].astype(dtype)}  # fmt: skip
        for name, value in step.items():
            columns.setdefault(name, []).append(np.asarray(value))
        w = new.astype(dtype)
    trace = {n: np.concatenate(v) if n == "predictions" else np.stack(v) for n, v in columns.items()}
    trace |= {"offsets": np.arange(STEPS + 1) * ROWS, "batch_index": np.tile(np.arange(ROWS), STEPS), "x": x, "y": y}
    training = {"batch_size": ROWS, "epochs": STEPS, "loss": "mse", "numerics": "exact", "optimizer": OPTIMIZER}
    scenario = {"name": "dead", "dtype": dtype, "diff_method": "backprop", "training": training}
    outcome = {"id": str(noise), "variant": "torch", "status": "ok", "scenario": scenario, "resolved": {}, "audit": {}}
    return Observation(Outcome(outcome), trace, program=read(Program, raw))


def test_dead_weights_are_null_and_weights_uninformative():
    o = trained(1)
    found = envelope(o)
    dead = {(0, tuple(int(i) for i in index)) for index in np.argwhere(dead_weights(WIRES, LAYERS))}
    assert set(found.null) == dead
    assert found.uninformative_from == 0
    assert found.moves.weights.max() > 0.01
    assert found.function < 1e-5
    assert found.moves.predictions.max() < 1e-5
    text = "; ".join(found.annotations())
    assert re.search(r"uninformative.*\bstep 0\b", text)
    assert "null directions" in text
    assert "weights/0[" in text


def test_two_correct_backends_far_apart_in_weights_are_both_inside():
    pair = [trained(1), trained(2)]
    apart = np.abs(pair[0].trace["new_weights/0"][-1] - pair[1].trace["new_weights/0"][-1]).max()
    assert apart > 1e-2
    for o in pair:
        assert envelope(o).outside() == {}
        assert judge([o])[o.cell].verdict == "ROUNDING"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("seed", range(4))
def test_clean_trainings_are_inside(dtype, optimizer, seed):
    found = envelope(observe(Setting(dtype=dtype, optimizer=optimizer, seed=seed, epochs=4)))
    assert found.outside() == {}
    assert found.uninformative_from is None
    assert found.annotations() == ()


def test_a_fault_leaves_the_envelope_at_its_step():
    found = envelope(observe(Setting(fault="gradient x2", at=2)))
    assert found.outside()["gradients"] == 2
    assert any(re.search(r"outside.*\bgradients\b.*\b2\b", line) for line in found.annotations())
    assert not any(np.isnan(v).any() for v in found.distances)


def test_what_the_oracle_cannot_train_is_refused():
    o = observe(Setting())
    with pytest.raises(oracle.NotCovered):
        envelope(replace(o, program=None))
    with pytest.raises(oracle.NotCovered, match="no such thing"):
        envelope(replace(o, program=replace(o.program, not_covered="no such thing")))
