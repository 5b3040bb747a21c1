"""What runs: cells that cover every pair of device, method, variant, wires and batch size, each really trained.

The whole matrix: `python benchmarks/capability_matrix.py`, its table in docs/capabilities.md.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, product

import pytest

from qparity.runner.probe import DEVICES, METHODS, Combination, probe
from qparity.scenario.variant import Variant
from qparity.summary.doctor import mark, matrix_text
from tests.conftest import backends

VARIANTS = ("tf", "tf-graph", "torch", "jax-jit")
TRIED = [device for device in DEVICES if device != "reference.qubit"]  # the slowest, and the least used
AXES = (TRIED, METHODS, VARIANTS, (1, 2), (1, 3))
REFUSED = {
    "default.qubit": (),
    "lightning.qubit": ("backprop",),
    "default.mixed": ("adjoint",),
}
SAMPLED = ("spsa",)


def runs(cell):
    """What PennyLane itself supports, and XLA: the simulation that TensorFlow can trace."""
    if cell.variant == "tf-xla":
        return cell.device == "default.qubit" and cell.diff_method in ("backprop", "best")
    return cell.diff_method not in REFUSED[cell.device]


def pairwise():
    """Greedy: the cell that covers most pairs not yet covered, until all are; then a cell of each other variant."""
    cells = [Combination(*values) for values in product(*AXES)]
    pairs = {cell: set(combinations(enumerate(values), 2)) for cell, values in zip(cells, product(*AXES), strict=True)}
    left, chosen = set.union(*pairs.values()), []
    while left:
        best = max(cells, key=lambda cell: len(pairs[cell] & left))
        chosen.append(best)
        left -= pairs[best]
    others = [Combination("default.qubit", "backprop", variant, 2, 3) for variant in ("tf-xla", "jax")]
    return [cell for cell in dict.fromkeys([*chosen, *others]) if Variant.parse(cell.variant).backend in backends()]


CELLS = pairwise()


@pytest.fixture(scope="module")
def probed():
    """All of them, in one pool of workers; in a thread, since Playwright leaves its event loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return dict(zip(CELLS, thread.submit(probe, CELLS, {}).result(), strict=True))


@pytest.mark.backend("tensorflow", "torch", "jax")
def test_the_choice_covers_every_pair():
    cells = [cell for cell in CELLS if cell.variant in VARIANTS]
    assert 21 <= len(cells) < len(CELLS) <= 40
    for first, second in combinations(("device", "diff_method", "variant", "wires", "batch_size"), 2):
        seen = {(getattr(cell, first), getattr(cell, second)) for cell in cells}
        assert len(seen) == len({a for a, _ in seen}) * len({b for _, b in seen})


@pytest.mark.parametrize(
    "cell", CELLS, ids=lambda c: "-".join(map(str, (c.variant, c.device, c.diff_method, c.wires, c.batch_size)))
)
def test_what_pennylane_supports_trains_and_is_right(cell, probed):
    found = probed[cell]
    if not runs(cell):
        assert found.status == "unsupported", found.reason
        assert found.reason
        assert " at 0x" not in found.reason
        return
    assert found.status == "ok", found.reason
    assert found.verdict == ("NOT-COMPARED" if cell.diff_method in SAMPLED else "ROUNDING"), found.reason
    if cell.diff_method != "best":
        assert found.resolved == cell.diff_method


def test_the_table_has_a_sign_for_every_cell(probed):
    text = matrix_text(list(probed.values()))
    for cell, found in probed.items():
        assert mark(found) == ("✓" if runs(cell) else "–")
        assert f"{cell.device} {cell.diff_method}" in text
    refused = any(cell.device == "lightning.qubit" and cell.diff_method == "backprop" for cell in CELLS)
    assert refused == ("lightning.qubit has no backprop" in text)
