"""Ordinary models are judged as wholes: no sound backend is accused, and no pass is a matter of company."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qparity.diagnose import find
from qparity.diagnose.walk import walk
from qparity.runner.pool import Pool
from qparity.store import Run, resolve
from tests.conftest import variants

SOUND = ["skip", "shared", "patches", "added", "ownloss", "spare", "subclassed", "bfloat16", "dropout", "bare", "setup"]
IN_GRAPHS = ["skip", "dropout"]
KINDS = [*SOUND, "ownstep", "compiled", "pool", "entry", "unnamed", "sampling", "shots", "estimated"]
FILE = """
model = "models:build"
wires = 2
dtype = "float32"
data = {{ name = "random", features = 3, samples = 4 }}
training = {{ batch_size = 2, epochs = 1 }}
[matrix]
circuit_options = [{}]
"""
DRAWS = """
model = "models:build"
wires = 2
dtype = "float32"
circuit_options = { kind = "dropout" }
data = { name = "random", features = 3, samples = 2 }
training = { batch_size = 2, epochs = 1, draws = "backend" }
"""
LEAKS = """
model = "models:build"
wires = 2
dtype = "float64"
data = { name = "random", features = 3, samples = 4 }
training = { batch_size = 2, epochs = 1 }
[matrix]
circuit_options = [{ kind = "mean" }, { kind = "steps" }]
"""
CLASSICAL = """
model = "models:build"
dtype = "float64"
data = {{ name = "random", features = 3, samples = 4 }}
training = {{ batch_size = 2, epochs = 1 }}
[matrix]
circuit_options = [{}]
"""
HOW = [("angle", "torch"), ("noise", "torch"), ("cast", "torch"), ("wires", "jax"), ("sign", "tensorflow")]
TRACED = f"""
circuit = "models:read"
wires = 2
weight_shapes = {{ weights = [2] }}
data = {{ name = "random", features = 2, outputs = 2, samples = 4 }}
training = {{ batch_size = 2, epochs = 1 }}
[matrix]
circuit_options = [{", ".join(f'{{ how = "{how}", where = "{where}" }}' for how, where in HOW)}]
"""
BRANCHING = """
circuit = "models:branching"
wires = 2
weight_shapes = { weights = [2] }
data = { name = "random", features = 2, outputs = 3, samples = 6 }
training = { batch_size = 3, epochs = 1 }
"""
BACKEND = {"tf": "tensorflow", "tf-graph": "tensorflow", "torch": "torch", "jax-jit": "jax"}
# the reference judges, so one eager backend is enough; compiling costs most: in graphs some models alone
EAGER = ("torch",) if "torch" in variants() else ("tf",)
GRAPHS = ("tf-graph", "jax-jit")
ON = {
    "kinds": EAGER, "graphs": GRAPHS, "draws": ("tf-graph", "torch"), "leaks": ("tf", "torch", "jax-jit"),
    "branching": EAGER, "traced": ("tf", "torch", "jax-jit"), "two": ("torch", "jax-jit"),
    "three": ("tf", "torch", "jax-jit"),
}  # fmt: skip
CHOSEN = {name: [variant for variant in wanted if variant in variants()] for name, wanted in ON.items()}


CLASSICAL_KINDS = '{ kind = "classical" }, { kind = "matmul" }'


@pytest.fixture(scope="module")
def checked(tmp_path_factory, qparity):
    """The cells of one sweep of everything, by (kind or how-where, variant); and where the run is."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(Path(__file__).parent / "models.py", folder)
    texts = {name: FILE.format(", ".join(f'{{ kind = "{kind}" }}' for kind in kinds))
             for name, kinds in (("kinds", KINDS), ("graphs", IN_GRAPHS))}  # fmt: skip
    texts |= {"draws": DRAWS, "leaks": LEAKS, "traced": TRACED, "branching": BRANCHING}
    texts |= {"two": CLASSICAL.format(CLASSICAL_KINDS), "three": CLASSICAL.format('{ kind = "classical" }')}
    files = [folder / f"{name}.toml" for name, chosen in CHOSEN.items() if chosen]
    for file in files:
        seed = list(CHOSEN).index(file.stem)  # a model in two files is an experiment in each
        file.write_text(f"variants = {json.dumps(CHOSEN[file.stem])}\nseed = {seed}\n{texts[file.stem]}")
    ran = qparity("run", *files, "--no-timing", "--no-diagnose", cwd=folder, timeout=1200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(qparity("check", "--json", cwd=folder).stdout)["cells"]
    return {(cell["scenario"], cell["variant"]): cell for cell in found}, folder


def cells(checked, scenario):
    """Of a scenario, by variant."""
    found = {variant: cell for (name, variant), cell in checked[0].items() if name == scenario}
    chosen = CHOSEN[scenario.partition("-")[0]]
    assert set(found) == set(chosen), (scenario, sorted({name for name, _ in checked[0]}))
    if not chosen:
        pytest.skip("runs on other backends")
    return found


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_model_passes_and_is_judged_as_a_whole(checked, kind):
    graphs = cells(checked, f"graphs-{kind}") if kind in IN_GRAPHS and CHOSEN["graphs"] else {}
    eager = cells(checked, f"kinds-{kind}") if CHOSEN["kinds"] or not graphs else {}
    for variant, cell in (eager | graphs).items():
        assert cell["verdict"] == "ROUNDING", (variant, cell["reason"])
        assert cell["judged"] > 0.5 * cell["judgeable"]
        assert any("reference" in note for note in cell["annotations"])


def test_a_leak_is_on_the_less_precise_side_whoever_is_the_majority(checked):
    """A float64 mean is computed in float32 on torch and JAX, and in float64 on TensorFlow."""
    for variant, cell in cells(checked, "leaks-mean").items():
        assert cell["verdict"] == ("ROUNDING" if variant == "tf" else "PRECISION-LEAK"), cell["reason"]


def test_each_circuit_of_a_model_is_judged_by_its_own_differentiation_method(checked):
    """Finite differences of a layer's own step, and of a QNode that no scenario knows, are no fault; Dense leaks."""
    for variant, cell in cells(checked, "leaks-steps").items():
        assert cell["verdict"] == ("PRECISION-LEAK" if variant == "torch" else "ROUNDING"), cell["reason"]
        assert variant != "torch" or cell["stage"] == "forward"


@pytest.mark.backend("tensorflow", "torch", "jax")
@pytest.mark.parametrize(
    ("cell", "layer"),
    [("two-classical", "dense (Dense)"), ("two-matmul", "product (Product)"), ("three-classical", "dense (Dense)")],
)
def test_keras_leak_on_torch_is_named_at_its_layer_with_two_backends_and_with_three(checked, cell, layer):
    """keras#23704: matrix products of float64 in float32, in models without a circuit."""
    for variant, found in cells(checked, cell).items():
        assert found["verdict"] == ("PRECISION-LEAK" if variant == "torch" else "ROUNDING"), (variant, found["reason"])
    run = Run.load(resolve(checked[1] / "results", "latest"))

    async def walked():
        async with Pool(run.logs(), 1, {}) as pool:
            return await walk(pool, run, find(run, f"{cell}/torch", trust=True))

    assert f"{layer}, forward: by itself" in asyncio.run(walked()).reason


def test_masks_of_a_training_are_the_same_and_predictions_agree_to_rounding(checked):
    """Compiled: the generator's state is the same bits after each step, and no prediction is further away than that."""
    cells(checked, "graphs-dropout")
    run = Run.load(resolve(checked[1] / "results", "latest"))
    traces = [run.trace(p.cell_id) for p in run.planned() if p.scenario.name == "graphs-dropout"]
    for trace in traces:
        assert trace["state/0"].dtype.kind in "iu"
        assert len(np.unique(trace["state/0"], axis=0)) == len(trace["offsets"])
        np.testing.assert_array_equal(trace["state/0"], traces[0]["state/0"])
        np.testing.assert_allclose(trace["predictions"][:2], traces[0]["predictions"][:2], rtol=1e-5, atol=1e-6)


def test_a_train_step_of_ones_own_is_noticed(checked):
    for cell in cells(checked, "kinds-ownstep").values():
        assert cell["verdict"] == "SETUP-FAULT"
        assert "train_step" in cell["reason"]


def test_a_compiled_model_is_refused_in_a_line(checked):
    for cell in cells(checked, "kinds-compiled").values():
        assert cell["status"] == "unsupported"
        assert "returns a compiled model" in cell["reason"]


def test_a_backends_own_draws_are_not_compared_by_design(checked):
    for cell in cells(checked, "draws").values():
        assert (cell["verdict"], cell["by_design"]) == ("NOT-COMPARED", True)
        assert "random numbers of the model's layers are other ones on every backend" in cell["reason"]
        assert cell["judged"] > 0


def test_a_layer_that_names_no_numpy_backend_is_judged_as_it_is_on_another(checked):
    for cell in cells(checked, "kinds-bare").values():
        assert any("its code was told that it is on tensorflow" in note for note in cell["annotations"])


def test_a_layer_that_imports_its_framework_to_set_it_up_is_judged_and_the_oracle_simulates_its_qnode(checked):
    for cell in cells(checked, "kinds-setup").values():
        assert cell["judged"] == cell["judgeable"], cell["annotations"]
        assert "circuits that the reference ran tape by tape: run by the oracle" in cell["annotations"]
        assert any("was told that it is on torch" in note for note in cell["annotations"])
        assert "judged at the quantum layers' boundaries" not in cell["annotations"]


def test_a_circuit_of_other_gates_for_other_samples_is_judged_and_the_oracle_simulates_each(checked):
    for cell in cells(checked, "branching").values():
        assert (cell["verdict"], cell["judged"]) == ("ROUNDING", cell["judgeable"]), cell["reason"]
        assert "not covered by the oracle: gate list depends on the values of the inputs" in cell["annotations"]
        assert "circuits that the reference ran tape by tape: quantum by the oracle" in cell["annotations"]


def test_shots_of_a_layer_and_directions_of_spsa_that_no_scenario_knows_accuse_nobody(checked):
    for kind in ("shots", "estimated"):
        for cell in cells(checked, f"kinds-{kind}").values():
            assert cell["verdict"] == "NOT-COMPARED", cell["reason"]
            assert kind == "estimated" or "samples of few are other ones on every backend" in cell["reason"]
            notes = " ".join(cell["annotations"])
            assert kind == "shots" or "gradients that come back through SPSA are other ones in each pass" in notes


def test_a_qnode_with_shots_in_a_layer_of_ones_own_accuses_nobody(checked):
    for cell in cells(checked, "kinds-sampling").values():
        assert (cell["verdict"], cell["by_design"]) == ("NOT-COMPARED", True), cell["reason"]
        assert "samples of run are other ones on every backend" in cell["reason"]
        assert "no reference: the QNode run samples, so it has no exact reference" in cell["annotations"]


def test_a_model_that_cannot_be_built_on_numpy_is_told_what_it_lacks(checked):
    for cell in cells(checked, "kinds-unnamed").values():
        assert cell["verdict"] == "NOT-COMPARED"
        notes = " ".join(cell["annotations"])
        assert "the model names no NumPy backend (KeyError: 'numpy'), so the reference cannot build it" in notes
        assert """an entry for "numpy", with PennyLane's interface "auto", lets the whole model be judged""" in notes


def test_the_entry_of_a_kernel_whose_gradient_is_wrong_is_named(checked, qparity):
    found = cells(checked, "kinds-entry")
    for variant, cell in found.items():
        assert cell["verdict"] == ("LOCAL-FAULT" if variant == "torch" else "ROUNDING"), cell["reason"]
    if "torch" not in found:
        pytest.skip("needs torch")
    told = qparity("diagnose", "latest", "kinds-entry/torch", "--trust", cwd=checked[1]).stdout
    (line,) = [line for line in told.splitlines() if line.startswith("layers: ")]
    got, expected = map(
        float, re.findall(r"its gradient of kernel\[2,1\] is wrong \(got (.+), expected (.+); r", line)[0]
    )
    assert line.startswith("layers: entry (OneEntry), backward: by itself, on what entered it")
    assert got / expected == pytest.approx(1.5, rel=1e-4)


def test_a_layer_that_one_backend_has_wrong_is_found_and_shown_alone(checked, qparity):
    """AveragePooling with padding "same" on torch: Keras pads there with copies of the edge."""
    found = cells(checked, "kinds-pool")
    for variant, cell in found.items():
        assert cell["verdict"] == ("LOCAL-FAULT" if variant == "torch" else "ROUNDING"), cell["reason"]
    if "torch" not in found:
        pytest.skip("needs torch")
    folder = checked[1]
    told = qparity("diagnose", "latest", "kinds-pool/torch", "--trust", cwd=folder)
    assert "average_pooling1d (AveragePooling1D), forward: by itself" in told.stdout, told.stdout + told.stderr
    written = Run.load(resolve(folder / "results", "latest")).path / "diagnosis" / f"{found['torch']['id']}.json"
    assert '"layer": "average_pooling1d"' in written.read_text()
    qparity("reproduce", "latest", "kinds-pool/torch", "--trust", "-o", folder / "repro.py", cwd=folder)
    shown = subprocess.run(
        [sys.executable, folder / "repro.py"], capture_output=True, text=True, cwd=folder, timeout=300
    )
    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert re.search(r"output 0\[\d,\d,0\] of average_pooling1d", shown.stdout)
    source = (folder / "repro.py").read_text()
    assert not re.search(r"(from|import) qparity", source)
    assert "pennylane as qml" not in source.partition("import json")[2]


@pytest.mark.parametrize(("how", "where"), HOW)
def test_a_function_that_is_another_one_on_one_backend_accuses_no_other(checked, how, where):
    for variant, cell in cells(checked, f"traced-{how}-{where}").items():
        guilty = BACKEND[variant] == where
        if len(CHOSEN["traced"]) == 3:
            assert (cell["verdict"] != "ROUNDING") == guilty, (variant, cell["reason"])
        assert cell["verdict"] in (
            ("SETUP-FAULT", "LOCAL-FAULT", "NOT-COMPARED") if guilty else ("ROUNDING", "NOT-COMPARED")
        )
