"""Data files in scenario files: found beside them, named by what is in them, refused in one line."""

import numpy as np
import pytest

from qparity.runner.inputs import inputs_of
from qparity.runner.plan import make_blocks
from qparity.scenario.errors import ScenarioError
from qparity.scenario.load import load_files

SCENARIO = (
    'variants = ["torch"]\ndata = { file = "d.csv", target = ["y"]%s }\ntraining = { batch_size = 2, epochs = 3 }\n'
)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "d.csv").write_text("a,b,y\n" + "".join(f"{i},{i / 10},{i % 2}\n" for i in range(5)))
    (tmp_path / "s.toml").write_text(SCENARIO % "")
    return tmp_path / "s.toml"


def test_samples_steps_and_data_are_those_of_the_file(file):
    (block,) = make_blocks(load_files([file]))
    assert block.scenario.data.samples == 5
    assert block.scenario.steps == 9
    inputs = inputs_of(block)
    assert (inputs.x.shape, inputs.y.shape, inputs.order.shape) == ((5, 2), (5, 1), (3, 5))


def test_fewer_samples_are_the_first(file):
    file.write_text(SCENARIO % ", samples = 3")
    (block,) = make_blocks(load_files([file]))
    assert len(inputs_of(block).x) == 3


def test_another_content_is_another_experiment(file):
    before = make_blocks(load_files([file]))[0]
    table = file.parent / "d.csv"
    table.write_text(table.read_text().replace("4,0.4,0", "4,0.4,1"))
    after = make_blocks(load_files([file]))[0]
    assert before.cells[0].id != after.cells[0].id
    with pytest.raises(ScenarioError, match="when the run was begun"):
        inputs_of(before)


def test_weights_of_samples_are_a_column_and_part_of_the_experiment(file):
    file.write_text(SCENARIO % ', weight = "b"')
    (block,) = make_blocks(load_files([file]))
    inputs = inputs_of(block)
    assert inputs.x.shape == (5, 1)
    assert np.array_equal(inputs.weight, np.float32([0, 0.1, 0.2, 0.3, 0.4]))
    table = file.parent / "d.csv"
    table.write_text(table.read_text().replace("4,0.4,0", "4,0.5,0"))
    assert make_blocks(load_files([file]))[0].scenario.data.sha256 != block.scenario.data.sha256


@pytest.mark.parametrize(
    ("data", "key", "expected"),
    [
        ('{ file = "none.csv", target = ["y"] }', "data.file", "a file that is there"),
        ('{ file = "d.csv", target = ["z"] }', "data.target", "a column of it"),
        ('{ file = "d.csv" }', "data.target", "the columns of the targets"),
        ('{ file = "d.csv", target = ["y"], samples = 6 }', "data.samples", "at most the 5 samples"),
        ('{ file = "d.csv", target = ["y"], degree = 2 }', "data.degree", "target, inputs, weight or samples"),
        ('{ file = "d.csv", source = "a:b" }', "data.source", "no source beside file"),
        ('{ name = "moons", file = "d.csv" }', "data.name", "no name beside file"),
        ('{ name = "moons", target = ["y"] }', "data.target", "no target without file"),
        ('{ file = "d.csv", target = ["y"], weight = "c" }', "data.weight", "a column of it"),
        ('{ name = "moons", weight = "y" }', "data.weight", "no weight without file"),
        ('{ name = "captured" }', "data.name", "run the script itself"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_key(file, data, key, expected):
    file.write_text(f'variants = ["torch"]\ndata = {data}\n')
    with pytest.raises(ScenarioError) as raised:
        load_files([file])
    assert raised.value.key == key
    assert expected in raised.value.expected


def test_a_script_is_no_key_of_a_file(file):
    file.write_text('script = { file = "train.py" }\n')
    with pytest.raises(ScenarioError, match="takes the script itself"):
        load_files([file])
