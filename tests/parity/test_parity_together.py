"""What is computed of a block's cells side by side is bit for bit what is computed of each alone."""

from dataclasses import fields, replace

import numpy as np
import pytest

from qparity.parity.audit import audit
from qparity.parity.comparison import Comparison, look_together
from qparity.parity.pairs import pair_differences, pair_series
from qparity.parity.simulated import simulated_together
from qparity.parity.update import moved_together
from tests.parity.fake import Setting, observe

VARIANTS = ("torch", "tf", "jax", "jax-jit")
SETTINGS = [
    Setting(),
    Setting(dtype="float32"),
    Setting(probs=True, weighted=True, samples=7, batch=3),
    Setting(wires=1, layers=1, samples=4, batch=2, epochs=1),
    Setting(wires=3, layers=3, samples=9, batch=8, optimizer="sgd"),
]


def block(setting, fault=""):
    """Four variants that did not record the same numbers: other weights and another data set each."""
    cells = [observe(replace(setting, variant=v, seed=k)) for k, v in enumerate(VARIANTS)]
    return [*cells, observe(replace(setting, variant="tf-graph", fault=fault))] if fault else cells


def bits(value):
    """All numbers of a record, down to their bits."""
    if isinstance(value, np.ndarray):
        numbers = [float(x).hex() + repr(x) for x in value.ravel()] if value.dtype.kind == "f" else value.tolist()
        return str(value.dtype), value.shape, numbers
    if isinstance(value, tuple):
        return [bits(each) for each in value]
    return repr(value)


def looked_at(c):
    own = {each.name: bits(getattr(c, each.name)) for each in fields(c)}
    return own | {name: bits(getattr(c, name)) for name in ("residual", "r", "worst", "worst_of_class_below")} | {
        "fewest_bits": bits(c.fewest_bits)
    }  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_simulated_and_looked_at_together(setting):
    cells = block(setting, fault="gradient x2")
    prepared, moved = simulated_together(cells), moved_together(cells)
    assert prepared.keys() == {o.cell for o in cells}
    together = [audit(o, moved.get(o.cell), prepared[o.cell]) for o in cells]
    look_together(c for found in together for c in found.comparisons)
    for o, found in zip(cells, together, strict=True):
        alone = audit(o)
        assert len(alone.comparisons) == len(found.comparisons) >= 6
        assert all({"residual", "worst", "fewest_bits"} <= c.__dict__.keys() for c in found.comparisons)
        for mine, its in zip(alone.comparisons, found.comparisons, strict=True):
            assert looked_at(mine) == looked_at(its)


def test_what_is_no_number_is_looked_at_together():
    rng = np.random.default_rng(0)
    made = []
    for k in range(3):
        got, expected, tolerance, lower, scale = rng.uniform(0, 1, (5, 6, 4))
        got[k, 0], got[5, 3], expected[2, 1], tolerance[3, 2] = np.nan, np.inf, np.nan, 0.0
        got[1], expected[1] = 0.5, 0.5
        offsets = np.array([0, 2, 3, 6])
        made.append(Comparison("loss", "a", got, expected, tolerance, lower, scale, np.arange(3), offsets, (4,)))
    alone = [looked_at(replace(c)) for c in made]
    look_together(made)
    assert [looked_at(c) for c in made] == alone
    assert len({str(each["worst"]) for each in alone}) == 3


def test_a_circuit_of_another_shape_is_simulated_alone():
    cells = block(Setting())
    other = observe(Setting(layers=3, variant="tf-graph"))
    assert simulated_together([*cells, other]).keys() == {o.cell for o in cells}
    assert not simulated_together(cells[:1])


def test_every_cell_beside_every_other():
    cells = block(Setting(), fault="sign of RY")
    found = pair_differences(cells)
    for number, a in enumerate(cells):
        for b in cells[number + 1 :]:
            worst = {}
            for s in pair_series(a, b):
                r = s.difference / s.tolerance
                t = int(r.argmax())
                if s.stage not in worst or r[t] > worst[s.stage][0]:
                    worst[s.stage] = float(r[t]), (t, s.tensor, float(s.difference[t]), float(s.tolerance[t]))
            for mine, its in ((a, b), (b, a)):
                told = [p for p in found[mine.cell] if p.other == its.variant]
                assert {p.stage: (p.step, p.tensor, p.difference, p.tolerance) for p in told} == {
                    stage: where for stage, (_, where) in worst.items()
                }
                assert len(told) == 4
