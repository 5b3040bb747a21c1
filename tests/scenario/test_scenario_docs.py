"""The reference in the documentation and the JSON Schema follow the schema."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from qparity.scenario.json_schema import FILLED_IN, file_schema, update
from qparity.scenario.load import load_file, parse
from qparity.scenario.schema import DataSpec, Optimizer, Scenario, Training

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "scenarios").glob("*.toml"))


def test_documentation_is_up_to_date() -> None:
    document = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    assert update(document) == document, "run: python -m qparity.scenario.json_schema --update docs/scenarios.md"
    for model, prefix in (
        (Scenario, ""),
        (DataSpec, "data."),
        (Training, "training."),
        (Optimizer, "training.optimizer."),
    ):
        for name in model.model_fields.keys() - set(FILLED_IN):
            assert f"`{prefix}{name}`" in document


def test_every_field_is_described() -> None:
    for model in (Scenario, DataSpec, Training, Optimizer):
        for name, field in model.model_fields.items():
            assert field.description, name


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_shipped_files_are_short_commented_and_fit_the_json_schema(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# ")
    assert text.count("\n") <= 40
    assert load_file(file).description
    jsonschema.validate(tomllib.loads(text), file_schema())


@pytest.mark.parametrize("text", ["lyers = 2", "layers = 'x'", "variants = ['tensorflow']", "[data]\nname = 'moon'"])
def test_json_schema_refuses_mistakes(text: str) -> None:
    schema = json.loads(json.dumps(file_schema()))
    jsonschema.Draft7Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema)


def test_examples_in_the_documentation_load(tmp_path: Path) -> None:
    (tmp_path / "my_ansatz.py").write_text("def circuit(weights, inputs): ...")
    document = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    own, matrix, entries, methods = [
        [each.name for each in parse(block.encode(), tmp_path / "fourier.toml").scenarios]
        for block in re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    ]
    assert own == ["fourier"]
    assert len(matrix) == 3 * 2 * 2 - 2
    assert "fourier-layers2-exact-lightning" in matrix
    assert entries == ["tiny", "wide"]
    assert methods == ["fourier-backprop", "fourier-shift", "fourier-adjoint"]
