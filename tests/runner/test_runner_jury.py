"""Who is asked about a cell, in which dtype, about which steps; and that nothing that fails there ends a cell."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from qparity.records.trace import Trace
from qparity.runner import jury
from qparity.runner.cell import Draft, consult_jury
from qparity.runner.pool import Unavailable
from qparity.runner.reference import References
from qparity.scenario.variant import Variant
from qparity.worker.protocol import Message
from tests.runner.stand_in import StandInPool, blocks, inputs_of

STEPS = 2
TRACE = {
    "offsets": np.array([0, 2, 4]), "batch_index": np.array([0, 1, 2, 3]), "x": np.ones((4, 1)), "y": np.ones((4, 1)),
    "predictions": np.ones((4, 1)), "loss": np.ones(STEPS), "weights/0": np.ones((STEPS, 2)),
    "gradients/0": np.ones((STEPS, 2)), "new_weights/0": np.ones((STEPS, 2)),
}  # fmt: skip


def sworn(steps=(0, 1), factor=1.0):
    """The answer of a juror to whom all comes to one, times a factor at the last step."""
    count = len(steps)
    arrays = {
        "steps": np.array(steps), "predictions": np.ones((2 * count, 1)), "loss": np.ones(count),
        "gradients/0": np.ones((count, 2)), "predictions_condition": np.ones(count),
        "loss_condition": np.ones(count), "gradients_condition": np.ones((count, 1)),
    }  # fmt: skip
    arrays["gradients/0"][-1] *= factor
    body = {"steps": count, "evaluations": 5 * count, "seed": 1, "wall_s": 0.1, "precision": "float64"}
    return Message("done", body | {"waited_s": 0.0}, arrays)


def there(answer):
    return {"prepare": lambda: Message("done", {}, {}), "swear": answer}


def refusing():
    return Message("error", {"status": "failed", "reason": "so it is"})


def consulted(folder, pool, *variants, **changed):
    """A cell of a model on torch that has trained, after its jury was asked; what was told on the way."""
    (block,) = blocks(folder, *variants)
    scenario = block.scenario.model_copy(update={"model": "mine:build", "dtype": "float32"})
    block = replace(block, scenario=scenario, cells=tuple(replace(c, scenario=scenario) for c in block.cells))
    cell = next(cell for cell in block.cells if cell.variant.backend == "torch")
    known = {"reference": {"reason": "no branch for numpy"}, "resolved": {"precision": "float32"}} | changed
    draft = Draft(cell, "torch", trace=Trace(TRACE), phases={"audit_s": 1.0}, **known)
    told = []
    given = (References(pool, folder), block, cell, inputs_of(block), [0], lambda *said: told.append(said), draft)
    asyncio.run(consult_jury(*given))
    return draft, told


def test_two_others_of_the_scenario_are_asked_in_float64(tmp_path):
    pool = StandInPool(there(sworn))
    draft, told = consulted(tmp_path, pool, "tf", "torch", "jax", "jax-jit")
    assert told == [("jury", 0)]
    outcome = draft.outcome
    assert {name: (each.steps, each.of, each.precision) for name, each in outcome.jury.items()} == {
        "tensorflow": (2, 2, "float64"), "jax": (2, 2, "float64")
    }  # fmt: skip
    asked = [child.asked[0][1] for child in pool.children]
    assert [(each["variant"], each["scenario"]["dtype"], each["juror"]) for each in asked] == [
        ("tf", "float64", True), ("jax-jit", "float64", True)
    ]  # fmt: skip
    kind, body, arrays = pool.children[0].asked[1]
    assert (kind, body["dtype"], body["unit"]) == ("swear", "float32", 2.0**-24)
    assert arrays["weights/0"].shape == (2, 2)
    assert draft.trace["jury_tensorflow_gradients/0"].shape == (2, 2)
    assert outcome.seconds["jury_s"] >= 0


def test_the_cells_own_backend_is_asked_about_the_steps_where_another_is_away(tmp_path):
    pool = StandInPool(there(lambda: sworn(factor=2.0)), there(lambda: sworn((1,))))
    draft, _ = consulted(tmp_path, pool, "torch", "tf")
    assert set(draft.outcome.jury) == {"tensorflow", "torch"}
    own = pool.children[1].asked
    assert own[0][1]["variant"] == "torch"
    assert own[1][2]["reference_steps"].tolist() == [1]


def test_what_does_not_build_in_float64_is_asked_in_the_cells_own(tmp_path):
    pool = StandInPool(there(refusing), there(sworn))
    draft, _ = consulted(tmp_path, pool, "torch", "tf")
    assert [child.asked[0][1]["scenario"]["dtype"] for child in pool.children] == ["float64", "float32"]
    assert pool.children[0].ended == "killed"
    assert draft.outcome.jury["tensorflow"].reason is None


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        (StandInPool(there(refusing)), "in float64: so it is; in float32: so it is"),
        (StandInPool(refuse=Unavailable("unsupported", "not installed")), "not installed"),
    ],
)
def test_a_juror_that_cannot_says_why_and_the_cell_is_as_it_was(tmp_path, pool, reason):
    draft, _ = consulted(tmp_path, pool, "torch", "tf")
    assert draft.outcome.jury["tensorflow"].reason == reason
    assert (draft.status, set(draft.trace)) == ("ok", set(TRACE))


@pytest.mark.parametrize(
    ("variants", "changed"),
    [
        (("torch",), {}),
        (("torch", "tf"), {"reference": {"steps": 2, "of": 2}}),
        (("torch", "tf"), {"audit": {"qnodes": [{"name": "few", "shots": 10}]}}),
    ],
)
def test_nobody_is_asked_without_need(tmp_path, variants, changed):
    pool = StandInPool(there(sworn))
    draft, told = consulted(tmp_path, pool, *variants, **changed)
    assert (draft.jury, told, pool.children) == (None, [], [])


def test_a_block_of_which_cells_are_left_knows_all_its_variants(tmp_path):
    (block,) = blocks(tmp_path, "tf", "torch", "jax")
    left = replace(block, cells=block.cells[1:2])
    assert left.variants == tuple(map(Variant.parse, ("tf", "torch", "jax")))
    assert jury.jurors(left, left.cells[0]) == ["tensorflow", "jax"]


def test_jurors_together_take_as_long_as_the_audit_within_bounds():
    assert [2 * jury.seconds_each(audit_s, 2) for audit_s in (0.1, 30.0, 1e4)] == [4.0, 30.0, 120.0]
