"""Cell ids: stable over releases, blind to name and expectation, sensitive to everything else."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from qparity.scenario.errors import ScenarioError
from qparity.scenario.identity import canonical, cell_id, search_path, source_hash_of
from qparity.scenario.registry import CIRCUITS
from qparity.scenario.schema import ABOUT, Scenario
from qparity.scenario.validate import validate
from qparity.scenario.variant import Variant

TORCH = Variant.parse("torch")
BASE = cell_id(Scenario(name="x"), TORCH, "0" * 64)


def test_golden_id() -> None:
    """If this fails, results of earlier releases can no longer be resumed: change it knowingly."""
    assert BASE == "25e66ecfa659228d"


def test_name_and_expectation_do_not_count() -> None:
    assert cell_id(Scenario(name="y", expect="PRECISION-LEAK"), TORCH, "0" * 64) == BASE


def test_spelling_does_not_count() -> None:
    spelled = {"name": "x", "training": {"optimizer": {"name": "adam", "beta_1": 0.9}, "epochs": 30}, "layers": 1}
    assert cell_id(validate(spelled), TORCH, "0" * 64) == BASE


def test_variant_and_source_count() -> None:
    scenario = Scenario(name="x")
    assert cell_id(scenario, Variant.parse("torch@gpu"), "0" * 64) != BASE
    assert cell_id(scenario, Variant.parse("jax"), "0" * 64) != BASE
    assert cell_id(scenario, TORCH, "1" * 64) != BASE


OTHER: dict[str, Any] = {
    "circuit": "vqe",
    "circuit_options": {"scaling": 2.0},
    "model": "m:b",
    "wires": 2,
    "layers": 2,
    "device": "lightning.qubit",
    "diff_method": "adjoint",
    "diff_options": {"h": 0.1},
    "device_options": {"batch_obs": True},
    "qnode_options": {"max_diff": 2},
    "judge": ["hessian"],
    "shots": 10,
    "dtype": "float32",
    "seed": 1,
}
OTHER_DATA: dict[str, Any] = {"name": "moons", "samples": 71, "degree": 2}
OTHER_TRAINING: dict[str, Any] = {
    "batch_size": 31,
    "epochs": 31,
    "loss": "energy",
    "numerics": "stock",
    "shuffle": True,
    "schedule": {"name": "cosine_decay", "decay_steps": 5},
}
OTHER_OPTIMIZER: dict[str, Any] = {
    "name": "sgd",
    "learning_rate": 0.031,
    "beta_1": 0.8,
    "beta_2": 0.99,
    "epsilon": 1e-8,
    "amsgrad": True,
    "weight_decay": 0.1,
    "clipnorm": 1.0,
    "clipvalue": 1.0,
    "global_clipnorm": 1.0,
}


def test_every_other_field_counts() -> None:
    changed = [{key: value} for key, value in OTHER.items()]
    changed += [{"data": {key: value}} for key, value in OTHER_DATA.items()]
    changed += [{"training": {key: value}} for key, value in OTHER_TRAINING.items()]
    changed += [{"training": {"optimizer": {key: value}}} for key, value in OTHER_OPTIMIZER.items()]
    changed += [
        {"training": {"optimizer": {"name": "sgd", key: value}}}
        for key, value in (("momentum", 0.5), ("nesterov", True))
    ]
    changed += [{"data": {"file": "d.csv", "target": ["y"]}}, {"data": {"file": "d.csv", "target": ["z"]}}]
    changed += [{"data": {"source": "a:b"}}, {"training": {"loss": "a:b"}}]
    changed += [{"circuit": "a:b"}, {"circuit": "a:b", "weight_shapes": {"w": [1]}}]
    ids = {cell_id(validate({"name": "x", **each}), TORCH, "0" * 64) for each in changed}
    assert len(ids | {BASE}) == len(changed) + 1
    tried = set(OTHER) | ABOUT | {"weight_shapes", "data", "training", "script"}
    assert tried == set(Scenario.model_fields), "a new field needs a line here"


def test_canonical_json_ignores_order() -> None:
    assert canonical({"b": 1, "a": [1.5, None, "\u03c8"]}) == canonical({"a": [1.5, None, "\u03c8"], "b": 1})
    assert canonical({"a": "\u03c8"}) == b'{"a":"\\u03c8"}'


def test_source_hash_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("raise SystemExit('imported')")
    text = "import functools\nif True:\n    def f(): ...\nelse:\n    g = 1\n"
    text += "try:\n    from a import b as c\nexcept ImportError:\n    d: int = 3\n"
    (tmp_path / "pack" / "mod.py").write_text(text)
    for name in ("f", "g", "c", "d", "functools"):
        assert source_hash_of(f"pack.mod:{name}", [tmp_path]) == sha256(text.encode()).hexdigest()
    with pytest.raises(ScenarioError, match=r"expected a name that pack\.mod defines"):
        source_hash_of("pack.mod:b", [tmp_path])
    (tmp_path / "open.py").write_text("from os.path import *\n")
    assert source_hash_of("open:anything", [tmp_path])


def test_first_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, cwd = tmp_path / "beside", tmp_path / "cwd"
    for folder in (beside, cwd):
        folder.mkdir()
        (folder / "mine.py").write_text(f"def f(): return {folder.name!r}")
    monkeypatch.chdir(cwd)
    assert source_hash_of("mine:f", search_path(beside)) == sha256(b"def f(): return 'beside'").hexdigest()
    (beside / "mine.py").unlink()
    assert source_hash_of("mine:f", search_path(beside)) == sha256(b"def f(): return 'cwd'").hexdigest()


@pytest.mark.parametrize("name", CIRCUITS)
def test_shipped_circuits_have_a_source(name: str, tmp_path: Path) -> None:
    assert len(source_hash_of(CIRCUITS[name], [tmp_path])) == 64
