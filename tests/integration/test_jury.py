"""What NumPy cannot run is judged by other backends at every step: what one of them has wrong is found there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qparity.store import Run, resolve
from tests.conftest import variants

FILE = """
model = "jury_models:build"
variants = {variants}
seed = {seed}
data = {{ name = "random", features = 3, outputs = {outputs}, samples = 4 }}
training = {{ batch_size = 2, epochs = 3 }}
circuit_options = {options}
[matrix]
dtype = {dtypes}
"""
THREE = ["tf", "torch", "jax-jit"]
STEPS, AT = 6, 3
FILES = {
    "clean": (THREE, 3, "{}", ["float32", "float64"]),
    "leak": (THREE, 1, "{ dense = true }", ["float64"]),
    "late": (THREE, 3, f"{{ at = {AT} }}", ["float32"]),
    "two": (THREE[:2], 3, f"{{ at = {AT} }}", ["float32"]),
}
pytestmark = pytest.mark.skipif(not {*THREE} <= {*variants()}, reason="a jury needs three backends")


@pytest.fixture(scope="module")
def checked(tmp_path_factory, qparity):
    """The cells of one sweep of everything, by scenario and variant; and where the run is."""
    folder = tmp_path_factory.mktemp("jury")
    shutil.copy(Path(__file__).parent / "jury_models.py", folder)
    for seed, (name, (chosen, outputs, options, dtypes)) in enumerate(FILES.items()):
        text = FILE.format(
            variants=json.dumps(chosen), seed=seed, outputs=outputs, options=options, dtypes=json.dumps(dtypes)
        )
        (folder / f"{name}.toml").write_text(text)
    files = [folder / f"{name}.toml" for name in FILES]
    ran = qparity("run", *files, "--no-timing", "--no-diagnose", cwd=folder, timeout=1200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(qparity("check", "--json", cwd=folder).stdout)["cells"]
    return {(cell["scenario"], cell["variant"]): cell for cell in found}, folder


def cells(checked, scenario):
    """Of a scenario, by variant."""
    found = {variant: cell for (name, variant), cell in checked[0].items() if name == scenario}
    assert set(found) == set(FILES[scenario.partition("-")[0]][0]), sorted(checked[0])
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_clean_model_passes_at_every_step(checked, dtype):
    for variant, cell in cells(checked, f"clean-{dtype}").items():
        assert cell["verdict"] == "PEERS-AGREE", (variant, cell["reason"])
        assert "agree at every step with" in cell["reason"]
        assert "(NotImplementedError: no branch for numpy)" in cell["reason"]


def test_jurors_compute_in_float64_and_stand_in_the_trace(checked):
    run = Run.load(resolve(checked[1] / "results", "latest"))
    cell = cells(checked, "clean-float32")["torch"]
    outcome, trace = run.recorded(cell["id"])
    assert {name: (juror.precision, juror.steps) for name, juror in outcome.jury.items()} == {
        "tensorflow": ("float64", STEPS), "jax": ("float64", STEPS)
    }  # fmt: skip
    for backend in outcome.jury:
        said = trace.of_juror(backend)
        assert said["steps"].tolist() == list(range(STEPS))
        assert said["gradients/0"].shape == trace["gradients/0"].shape
        assert said["gradients_condition"].shape == (STEPS, 4)
        assert {said["predictions"].dtype.name, said["gradients/0"].dtype.name} == {"float64"}


def test_a_gradient_that_goes_wrong_on_one_backend_is_found_at_its_step(checked):
    found = cells(checked, "late-float32")
    wrong = found["torch"]
    assert (wrong["verdict"], wrong["step"], wrong["stage"]) == ("LOCAL-FAULT", AT, "gradient"), wrong["reason"]
    assert wrong["tensor"] == "gradients/own/kernel"
    for variant, other in (("tf", "jax"), ("jax-jit", "tensorflow")):
        assert found[variant]["verdict"] == "PEERS-AGREE", found[variant]["reason"]
        assert f"without torch, which is away from this and {other} at step {AT} gradient" in found[variant]["reason"]


def test_the_step_is_shown_by_a_script_with_what_a_juror_expects(checked, qparity):
    folder = checked[1]
    qparity("reproduce", "latest", "late-float32/torch", "--trust", "-o", folder / "shown.py", cwd=folder)
    shown = subprocess.run(
        [sys.executable, folder / "shown.py"], capture_output=True, text=True, cwd=folder, timeout=300
    )
    assert shown.returncode == 1, shown.stdout + shown.stderr
    got, expected = (float(re.search(rf"{word} +(\S+)", shown.stdout)[1]) for word in ("got", "expected"))
    assert got / expected == pytest.approx(1.01, rel=1e-3)
    assert not re.search(r"(from|import) qparity", (folder / "shown.py").read_text())


def test_two_backends_that_part_convict_nobody_and_the_place_is_named(checked):
    for cell in cells(checked, "two-float32").values():
        assert (cell["verdict"], cell["step"], cell["stage"]) == ("NOT-COMPARED", AT, "gradient"), cell["reason"]
        assert "gradients/own/kernel" in cell["reason"]


def test_a_leak_of_one_backend_convicts_no_other(checked):
    """Keras on torch multiplies the matrices of a Dense in float32."""
    found = cells(checked, "leak-float64")
    assert (found["torch"]["verdict"], found["torch"]["step"]) == ("PRECISION-LEAK", 0), found["torch"]["reason"]
    for variant in ("tf", "jax-jit"):
        assert found[variant]["verdict"] == "PEERS-AGREE", found[variant]["reason"]
        assert "without torch" in found[variant]["reason"]
