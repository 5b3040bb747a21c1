"""The gate is tested on the real libraries: every injected fault is found at its exact variant, step and stage."""

import json
from pathlib import Path

import pytest

from qparity.records.outcome import Fault
from qparity.runner.cell import CellEnded, injected_fault
from qparity.runner.local import Options
from qparity.runner.plan import Cell, make_blocks, to_plan
from qparity.runner.sweep import sweep
from qparity.scenario.load import Block
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.store import Run
from qparity.summary import summarise
from tests.conftest import backends

STEP = 2
LOCAL, LEAK, SETUP, PASS = "LOCAL-FAULT", "PRECISION-LEAK", "SETUP-FAULT", "ROUNDING"

# fault: stage, verdict in float64, verdict in float32, step where it shows
FAULTS = {
    "wrong-wire": ("forward", LOCAL, LOCAL, STEP),
    "wrong-axis": ("forward", LOCAL, LOCAL, STEP),
    "cnot-reversed": ("forward", LOCAL, LOCAL, STEP),
    "cnot-missing": ("forward", LOCAL, LOCAL, STEP),
    "angle-modulus": ("forward", LOCAL, LOCAL, STEP),
    "angle-float32": ("forward", LEAK, PASS, STEP),
    "angle-gradient-sign": ("gradient", LOCAL, LOCAL, STEP),
    "measured-wire": ("forward", LOCAL, LOCAL, STEP),
    "off-by-one": ("forward", LOCAL, LOCAL, STEP),
    "stale-weights": ("forward", LOCAL, LOCAL, STEP),
    "shuffled-inputs": ("forward", LOCAL, LOCAL, STEP),
    "forward-scaled": ("forward", LOCAL, LOCAL, STEP),
    "forward-tf32": ("forward", LOCAL, LOCAL, STEP),
    "float32-weights": ("forward", LEAK, PASS, STEP),
    "forward-float32": ("forward", LEAK, PASS, STEP),
    "sum-for-mean": ("loss", LOCAL, LOCAL, STEP),
    "dropped-sample": ("loss", LOCAL, LOCAL, STEP),
    "loss-scaled": ("loss", LOCAL, LOCAL, STEP),
    "loss-float32": ("loss", LEAK, PASS, STEP),
    "gradient-double": ("gradient", LOCAL, LOCAL, STEP),
    "gradient-sign": ("gradient", LOCAL, LOCAL, STEP),
    "gradient-zero": ("gradient", LOCAL, LOCAL, STEP),
    "gradient-scaled": ("gradient", LOCAL, LOCAL, STEP),
    "gradient-one-scaled": ("gradient", LOCAL, LOCAL, STEP),
    "gradient-rolled": ("gradient", LOCAL, LOCAL, STEP),
    "gradient-tf32": ("gradient", LOCAL, LOCAL, STEP),
    "gradient-float32": ("gradient", LEAK, PASS, STEP),
    "adam-epsilon": ("update", LOCAL, LOCAL, STEP),
    "adam-beta-2": ("update", LOCAL, LOCAL, STEP),
    "learning-rate": ("update", LOCAL, LOCAL, STEP),
    "counter-ahead": ("update", LOCAL, LOCAL, STEP),
    "moments-forgotten": ("update", LOCAL, LOCAL, STEP),
    "update-lost": ("update", LOCAL, LOCAL, STEP),
    "update-float32": ("update", LEAK, PASS, STEP),
    "batch-reversed": ("setup", SETUP, SETUP, STEP),
    "sample-left-out": ("setup", SETUP, SETUP, STEP),
    "last-batch-dropped": ("setup", SETUP, SETUP, STEP),
    "counter-stuck": ("setup", SETUP, SETUP, STEP + 1),
    "start-exchanged": ("setup", SETUP, SETUP, 0),
    "start-nudged": ("setup", SETUP, SETUP, 0),
    "beta-2-declared": ("setup", SETUP, SETUP, 0),
}
# how a fault is put in hardly depends on the backend: all of them on one, and one of each kind of injection elsewhere
SAMPLE = ("cnot-reversed", "off-by-one", "loss-float32", "gradient-tf32", "adam-beta-2", "sample-left-out")
VARIANTS = {"torch": "torch", "tensorflow": "tf", "jax": "jax-jit"}


def scenario(name: str, dtype: str, seed: int) -> Scenario:
    """Four steps of two wires; a seed of its own makes each cell one."""
    return Scenario.model_validate(
        {
            "name": f"{name}-{dtype}", "wires": 2, "dtype": dtype, "seed": seed, "data": {"samples": 6},
            "training": {"batch_size": 3, "epochs": 2},
        }
    )  # fmt: skip


ONE = list(VARIANTS.values()) if len(backends()) == 3 else []
FIRST = ("wrong-wire", "cnot-reversed", "gradient-double", "no-such-fault", "measured-wire", "gradient-sign")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """One sweep, judged from the run folder.

    Every fault on one backend in float64, leaks in float32 too; one of each kind on the other backends; faults in any
    one variant of a block; and faults without a step.
    """
    names = {backend: VARIANTS[backend] for backend in backends()}
    first = "torch" if "torch" in names else next(iter(names))
    blocks, faults = [], []
    for seed, name in enumerate(FAULTS, start=1):
        everywhere = name in SAMPLE
        high = [v for b, v in names.items() if everywhere or (b == first and b != "jax")]
        low = [v for b, v in names.items() if b == first and (everywhere or PASS in FAULTS[name]) and b != "jax"]
        for dtype, variants in (("float64", high), ("float32", low)):
            if variants:
                blocks.append((scenario(name, dtype, seed), variants))
                faults.append({"name": name, "step": STEP, "scenario": blocks[-1][0].name})
    for k, guilty in enumerate(ONE):
        blocks.append((scenario(f"one-{guilty}", "float64", 100 + k), ONE))
        faults.append({"name": "gradient-double", "step": 1, "scenario": f"one-{guilty}-*", "variant": guilty})
    if first == "torch":
        sampled = {"shots": 10_000, "diff_method": "parameter-shift", "device": "lightning.qubit"}
        for k, name in enumerate(FIRST):
            at_once = scenario(f"first-{name}", "float64", 200 + k)
            blocks.append((at_once.model_copy(update=sampled if k >= 4 else {}), ["torch"]))
            faults.append({"name": name, "scenario": f"first-{name}-*"})
    loaded = [Block(s, tuple(map(Variant.parse, variants)), Path("faults.toml")) for s, variants in blocks]
    planned = make_blocks(loaded)
    started = Run.create(tmp_path_factory.mktemp("faults"), to_plan(planned).to_dict(), {}, [])
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("QPARITY_FAULT", json.dumps(faults))
        assert sweep(started, planned, Options(timeout=600))
    return summarise(Run.load(started.path))


def cells(swept, prefix):
    return [cell for cell in swept.cells if cell.scenario.startswith(prefix)]


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found_at_its_variant_step_and_stage(swept, fault):
    stage, high, low, step = FAULTS[fault]
    cells = [cell for cell in swept.cells if cell.scenario.rpartition("-")[0] == fault]
    assert cells or backends() == ["jax"]
    for cell in cells:
        verdict = high if cell.scenario.endswith("float64") else low
        assert (cell.status, cell.verdict) == ("ok", verdict), (cell.name, cell.reason)
        if verdict != PASS:
            assert (cell.step, cell.stage) == (step, stage), (cell.name, cell.reason)


def test_an_injected_fault_is_never_silent(swept):
    for cell in swept.cells:
        if cell.status == "ok":
            injected = not cell.scenario.startswith("one-") or cell.scenario == f"one-{cell.variant}-float64"
            assert cell.line.startswith("[injected fault: ") == injected
            assert ("injected" in " ".join(cell.annotations[:1])) == injected


def test_every_fault_of_the_workers_is_in_the_table():
    source = (Path(__file__).parents[2] / "harness/qparity/worker/faults.py").read_text()
    table = source.partition("FAULTS: dict")[2]
    assert all(f'"{name}": Injection(' in table for name in FAULTS)
    assert table.count(": Injection(") == len(FAULTS) >= 20


@pytest.mark.backend("tensorflow", "torch", "jax")
def test_a_fault_in_any_one_variant_blames_that_variant_alone(swept):
    assert len(cells(swept, "one-")) == len(ONE) ** 2
    for cell in cells(swept, "one-"):
        guilty = cell.scenario == f"one-{cell.variant}-float64"
        assert cell.verdict == (LOCAL if guilty else PASS), cell.name
        assert (cell.stage, cell.step) == ("gradient", 1) or not guilty


@pytest.mark.backend("torch")
def test_circuit_faults_show_at_the_first_step_and_unknown_ones_fail(swept):
    tried = cells(swept, "first-")
    found = [(cell.status, cell.stage, cell.step) for cell in tried]
    assert found[:3] == [("ok", "forward", 0), ("ok", "forward", 0), ("ok", "gradient", 0)]
    assert found[3][0] == "failed"
    assert "fault 'no-such-fault': expected one of wrong-wire," in tried[3].reason
    assert found[4:] == [("ok", "forward", 0), ("ok", "gradient", 0)]
    assert tried[5].verdict == LOCAL
    assert "statistical tests" in " ".join(tried[5].annotations)


def test_the_variable_names_the_cell_it_is_for(monkeypatch):
    cell = Cell("0" * 16, scenario("a", "float64", 0), Variant.parse("torch"))
    cases = {
        '{"name": "x"}': Fault("x"),
        '[{"name": "x", "variant": "jax*"}, {"name": "y", "scenario": "a-*", "step": 1}]': Fault("y", 1),
        '[{"name": "x", "scenario": "b"}]': None,
    }
    for text, expected in cases.items():
        monkeypatch.setenv("QPARITY_FAULT", text)
        assert injected_fault(cell) == expected
    for text in ("not JSON", "3"):
        monkeypatch.setenv("QPARITY_FAULT", text)
        with pytest.raises(CellEnded, match="QPARITY_FAULT"):
            injected_fault(cell)
    monkeypatch.delenv("QPARITY_FAULT")
    assert injected_fault(cell) is None
