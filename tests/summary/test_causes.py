"""Red cells are counted by what they have in common."""

from dataclasses import replace

import pytest

from qparity.summary.causes import causes
from tests.reporting.run_builder import build_view

NAMES = ("a", "b", "c", "d")
LIGHTNING = {name: {"device": "lightning.qubit", "diff_method": "adjoint"} for name in ("c", "d")}
VARIANTS = ("torch", "jax", "jax-jit")


def found(folder, faults, **options):
    view = build_view(folder, scenarios=NAMES, variants=VARIANTS, settings=LIGHTNING, faults=faults, **options)
    cells = [
        cell if cell.scenario in ("a", "b") else on_lightning(cell) for cell in view.cells
    ]  # the builder's outcomes all say default.qubit
    return causes(cells, view.groups)


def on_lightning(cell):
    return replace(cell, resolved=replace(cell.resolved, device="lightning.qubit"))


@pytest.mark.parametrize(
    ("faults", "names"),
    [
        ({(2, "torch"): "fault", (3, "torch"): "fault"}, ["torch, gradient, lightning.qubit"]),
        ({(0, "torch"): "fault", (3, "torch"): "fault"}, ["torch, gradient, every device"]),
        ({(2, "jax"): "fault", (2, "jax-jit"): "fault"}, ["jax and jax-jit, gradient, lightning.qubit"]),
        ({(2, v): "fault" for v in VARIANTS}, ["every variant, gradient, lightning.qubit"]),
        ({(0, "torch"): "fault", (1, "torch"): "leak"}, ["torch, gradient, default.qubit"] * 2),
        ({(0, "torch"): "fault", (2, "jax"): "fault"},
         ["torch, gradient, default.qubit", "jax, gradient, lightning.qubit"]),
        # two backends, each wrong where the other is right, are two causes
        ({(0, "torch"): "fault", (1, "jax"): "fault", (1, "jax-jit"): "fault"},
         ["torch, gradient, default.qubit", "jax and jax-jit, gradient, default.qubit"]),
        ({(0, "torch"): "fault", (1, "torch"): "fault", (1, "jax"): "fault", (1, "jax-jit"): "fault"},
         ["torch, gradient, default.qubit", "every variant, gradient, default.qubit"]),
        ({(0, "torch"): "setup"}, ["torch, setup of beta_1, default.qubit"]),
        ({(0, "torch"): "timeout", (1, "jax"): "timeout", (2, "torch"): "failed"},
         ["torch and jax, timeout: no answer within 600 s",
          "torch, failed: ValueError: Input to reshape is a tensor with 64 values"]),
        ({(0, "torch"): "uncompared", (1, "jax"): "unsupported"}, []),
    ],
)  # fmt: skip
def test_alike_cells_are_one_cause(tmp_path, faults, names):
    told = found(tmp_path, faults)
    assert sorted(cause.name for cause in told) == sorted(names)
    assert sum(len(cause.cells) for cause in told) == (len(faults) if names else 0)


def test_the_largest_cause_comes_first_and_begins_where_it_shows_first(tmp_path):
    told = found(tmp_path, {(0, "jax"): "fault", (2, "torch"): "leak", (3, "torch"): "leak"})
    assert [(cause.verdict, cause.count) for cause in told] == [
        ("PRECISION-LEAK", "2 cells"),
        ("LOCAL-FAULT", "1 cell"),
    ]
    assert told[0].first.name == "c · torch"


def test_an_expected_fault_is_no_cause(tmp_path):
    expect = {name: {"torch": "LOCAL-FAULT"} for name in NAMES}
    faults = {(i, "torch"): "fault" for i in range(4)}
    assert found(tmp_path / "a", faults, expect=expect) == ()
    (cause,) = found(tmp_path / "b", {**faults, (0, "jax"): "fault"}, expect=expect)
    assert cause.name == "jax, gradient, default.qubit"
