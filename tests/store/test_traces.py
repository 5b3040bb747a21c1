"""What a trace may look like, in shape alone."""

import numpy as np

from qparity.records.trace import Trace
from qparity.store.traces import from_bytes, odd, to_bytes


def trace(**more):
    steps = {"offsets": np.array([0, 2, 4]), "loss": np.zeros(2), "batch_index": np.array([0, 1, 0, 1])}
    return Trace(steps | {"x": np.zeros((2, 1)), "y": np.zeros((2, 1))} | more)


def test_a_weight_may_be_a_single_number():
    one = {"weights/0": np.zeros(2), "gradients/0": np.zeros(2), "new_weights/0": np.zeros(2)}
    kept = trace(**one, **{"final_weights/0": np.array(1.0), "fit_spread/0": np.array(0.0)})
    assert odd(kept) is None
    assert set(from_bytes(to_bytes(kept))) == set(kept)
    assert odd(trace(predictions=np.array(1.0))) == "predictions is a single number"


def test_weights_are_a_number_a_sample():
    assert odd(trace(sample_weight=np.zeros(2))) is None
    assert "sample_weight" in str(odd(trace(sample_weight=np.zeros((2, 1)))))
    assert odd(trace(sample_weight=np.zeros(3))) == "x and y have not as many rows"


def test_what_a_whole_model_records_has_its_shapes():
    good = {
        "state/0": np.zeros((1, 3)), "state/1": np.zeros((3, 2)), "layer_offsets/0": np.array([0, 4, 8]),
        "reference_steps": np.array([0, 1]), "reference_state/1": np.zeros((2, 2)),
        "reference_state_condition/1": np.zeros(2), "extra_gradients/0": np.zeros((2, 3)),
        "jury_torch_steps": np.array([1]), "jury_torch_gradients/0": np.zeros((1, 3)),
    }  # fmt: skip
    assert odd(trace(**good)) is None
    assert set(from_bytes(to_bytes(trace(**good)))) == set(trace(**good))
    for name, wrong in (
        ("state/0", np.zeros((2, 3))), ("layer_offsets/0", np.array([0, 4])), ("layer_offsets/0", np.array([0, 4, 3])),
        ("reference_steps", np.array([0, 2])), ("reference_steps", np.array([0.0, 1.0])),
        ("jury_torch_steps", np.array([2])), ("jury_torch_steps", np.array(0)),
    ):  # fmt: skip
        assert name in str(odd(trace(**good | {name: wrong})))
