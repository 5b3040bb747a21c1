"""The table of tolerances, number by number, and the words of the expectation."""

import numpy as np
import pytest

from qparity.oracle.probes import sampled_steps
from qparity.parity import Judgement, Verdict, as_expected, expected_verdict
from qparity.parity import tolerances as tol

U = 2.0**-24


def test_units_and_the_class_below():
    assert tol.unit("float32") == U
    assert tol.lower_unit("float64", {}) == U
    assert tol.lower_unit("float32", {}) is None
    assert tol.lower_unit("float32", {"tf32": True}) == 2.0**-11


def test_forward_loss_and_gradient():
    assert tol.forward(U, 16, 3.0) == 72 * U
    assert tol.loss(U, 32, 0.5) == 10 * U
    assert tol.loss(U, 1, 0.5) == 2 * U  # a single sample still rounds
    assert tol.gradient(U, 16, 2.0, "backprop") == 48 * U


def test_methods_with_an_error_of_their_own():
    plain = tol.gradient(U, 16, 2.0, "adjoint")
    assert tol.gradient(U, 16, 2.0, "parameter-shift") - plain == pytest.approx(2 * U * np.pi)
    h = 1e-3
    extra = tol.gradient(U, 16, 2.0, "finite-diff", {"h": h}) - plain
    assert extra == pytest.approx(2 * (2 * 6 * U * 4 / h + h / 2))
    assert tol.gradient(U, 16, 2.0, "finite-diff") == tol.gradient(U, 16, 2.0, "finite-diff", {"h": 1e-7})


def test_steps_of_wide_circuits_are_chosen_at_random_with_every_batch_size():
    sizes = [4, 4, 2] * 10
    assert sampled_steps(sizes, 30, 0).tolist() == list(range(30))
    chosen = [sampled_steps(sizes, 8, seed) for seed in range(40)]
    assert all(len(steps) == 8 and {0, 29} <= set(steps) for steps in chosen)
    assert all({sizes[t] for t in steps} == {4, 2} for steps in chosen)
    assert set(np.concatenate(chosen)) == set(range(30))  # no step is safe from being looked at
    assert sampled_steps(sizes, 8, 7).tolist() == sampled_steps(sizes, 8, 7).tolist()


def test_expectations():
    assert expected_verdict(None, "tf") == Verdict.ROUNDING
    table = {"tf": "SETUP-FAULT", "default": "PRECISION-LEAK"}
    assert expected_verdict(table, "tf") == Verdict.SETUP_FAULT
    assert as_expected(Judgement(Verdict.PRECISION_LEAK, ""), table, "jax")
    assert not as_expected(Judgement(Verdict.LOCAL_FAULT, ""), table, "jax")
    with pytest.raises(ValueError, match="WRONG"):
        expected_verdict("WRONG", "tf")
