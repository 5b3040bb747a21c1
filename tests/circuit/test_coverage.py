"""The page of what the oracle covers: of this PennyLane, and a sample of it measured again."""

import runpy
from pathlib import Path

import pennylane as qml
import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "make_coverage.py"
SAMPLE = [
    *("ctrl(RX), controls 1 0", "QubitUnitary", "BlockEncode", "exp", "cond", "measure, reset", "Select"),
    *("StatePrep of weights", "AmplitudeEmbedding", "QubitDensityMatrix"),
    *("DepolarizingChannel", "GeneralizedAmplitudeDamping", "ThermalRelaxationError", "QubitChannel"),
    *("expval of Hermitian", "expval with trainable coefficients", "var of Hamiltonian"),
    *("probs of Hermitian", "state", "density_matrix", "purity", "vn_entropy", "mutual_info"),
]


@pytest.fixture(scope="module")
def made():
    return runpy.run_path(str(SCRIPT))


def test_the_page_is_of_this_pennylane_and_of_all_probes(made):
    text = made["PAGE"].read_text(encoding="utf-8")
    assert f"PennyLane {qml.__version__} " in text, "run python docs/make_coverage.py"
    assert [name for name in made["probes"]() if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("name", SAMPLE)
def test_oracle_and_pennylane_agree(made, name):
    assert made["attempt"](made["probes"]()[name]).judge == "oracle"


def test_where_they_differ_the_oracle_is_not_said_to_judge(made):
    probe, compared = made["probes"]()["RX"], made["compared"]
    before = compared.__globals__["by_pennylane"]
    compared.__globals__["by_pennylane"] = lambda *given: [part + 1e-9 for part in before(*given)]
    entry = made["attempt"](probe)
    assert entry.judge == "reference"
    assert "differs from PennyLane by 1.0e-09" in entry.reason


def test_what_the_layer_refuses_says_so(made):
    assert made["attempt"](made["probes"]()["counts"]).judge == "refused"
    assert made["attempt"](made["probes"]()["SpecialUnitary"]).judge == "reference"
