"""Second derivatives: judged against those that two shifts of every weight give, at their own stage."""

from dataclasses import replace

import numpy as np
import pytest

from qparity.oracle.probes import direction
from qparity.oracle.second import derivative
from qparity.parity import Stage, Verdict, judge
from qparity.records import Outcome
from qparity.records.program import Measurement

from .fake import Setting, _forward, circuit, observe

STEPS = np.array([0, 3], np.int64)


def products(s, o):
    """The Hessian of the mean squared error times the direction at `STEPS`, by the parameter-shift rule twice."""
    t, found = o.trace, ([], [])
    for step in STEPS:
        rows = t["batch_index"][t["offsets"][step] : t["offsets"][step + 1]]
        x, y = t["x"][rows], t["y"][rows]
        w = np.concatenate([t["weights/0"][step], t["weights/1"][step]])
        size, eye = len(w), np.eye(len(w)) * np.pi / 2

        def f(move, w=w, x=x):
            return _forward(s, circuit(s), w + move, x)

        slopes = [(f(eye[j]) - f(-eye[j])) / 2 for j in range(size)]
        cotangents = 2 * (f(0) - y) / y.size
        hessian = np.zeros((size, size))
        for j in range(size):
            for k in range(size):
                plus, minus = eye[j] + eye[k], eye[j] - eye[k]
                bent = (f(plus) - f(minus) - f(-minus) + f(-plus)) / 4
                hessian[j, k] = (cotangents * bent).sum() + 2 * (slopes[j] * slopes[k]).sum() / y.size
        half = size // 2
        along = np.concatenate([direction((half,), o.scenario.seed, int(step), k) for k in (0, 1)])
        for part, got in zip(found, np.split(hessian @ along, 2), strict=True):
            part.append(got)
    return {f"hessian_products/{k}": np.stack(part) for k, part in enumerate(found)}


def asked(spoil=None, **told):
    """A sound training on a NumPy backend with second derivatives beside it, `spoil`ed."""
    s = Setting(wires=2, layers=1)
    o = observe(s)
    raw = o.outcome.raw
    changed = {"scenario": raw["scenario"] | {"judge": ["hessian"]}, "audit": raw["audit"] | told}
    o = replace(o, outcome=Outcome(raw | changed))
    if told:
        return o
    arrays = products(s, o)
    if spoil:
        arrays["hessian_products/1"] = spoil(arrays["hessian_products/1"])
    return replace(o, trace={**o.trace, "hessian_steps": STEPS, **arrays})


def test_right_second_derivatives_are_within_rounding():
    judged = judge([o := asked()])[o.cell]
    assert judged.verdict == Verdict.ROUNDING
    assert set(judged.stages) == {"forward", "loss", "gradient", "hessian", "update"}
    assert list(np.flatnonzero(np.isfinite(judged.stages["hessian"].r))) == list(STEPS)
    assert 0 < np.nanmax(judged.stages["hessian"].r) < 1


def one_part_in_a_thousand(h):
    h = h.copy()
    h[1, np.argmax(np.abs(h[1]))] *= 1 + 1e-3
    return h


@pytest.mark.parametrize(
    ("spoil", "step", "verdict"),
    [
        (np.zeros_like, 0, Verdict.LOCAL_FAULT),
        (lambda h: -h, 0, Verdict.LOCAL_FAULT),
        (lambda h: h.astype(np.float32).astype(np.float64), 0, Verdict.PRECISION_LEAK),
        (one_part_in_a_thousand, 3, Verdict.LOCAL_FAULT),
    ],
)
def test_wrong_ones_are_found_at_their_stage_and_step(spoil, step, verdict):
    judged = judge([o := asked(spoil)])[o.cell]
    assert (judged.verdict, judged.stage, judged.step) == (verdict, Stage.HESSIAN, step)
    assert judged.tensor == "hessian/1"


def test_those_that_are_not_there_are_told_and_cost_nothing():
    judged = judge([o := asked(no_hessian="ValueError: Pure callbacks do not support JVP.")])[o.cell]
    assert judged.verdict == Verdict.ROUNDING
    told = "second derivatives are not judged: ValueError: Pure callbacks do not support JVP."
    assert told in judged.annotations


def test_those_of_an_entropy_are_not_judged():
    o = asked()
    entropies = tuple(Measurement("entropy", parts=((1.0, (wire,)),)) for wire in (0, 1))
    judged = judge([replace(o, program=replace(o.program, measurements=entropies))])[o.cell]
    assert "second derivatives are not judged: those of an entropy are not judged" in judged.annotations


def test_a_derivative_by_differences_is_exact_to_the_precision_it_is_asked_in():
    def values(t):
        return [np.array([np.sin(7 * t), np.cos(3 * t + np.longdouble(1))])]

    (found,), (error,) = derivative(values, 7.0, np.longdouble)
    expected = np.array([np.longdouble(7), -3 * np.sin(np.longdouble(1))])
    assert (np.abs(found - expected) < 1e-16).all()
    assert (error < 1e-15).all()
