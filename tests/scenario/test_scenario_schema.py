"""The schema: strict types, combinations that are refused, round trips."""

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from qparity.data import DATASETS, Dataset, make
from qparity.data.dataset import dataset
from qparity.scenario.errors import ScenarioError
from qparity.scenario.registry import CIRCUITS
from qparity.scenario.schema import Scenario
from qparity.scenario.validate import validate
from qparity.scenario.variant import Variant


def refuse(**fields: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        validate({"name": "x", **fields})
    return str(caught.value)


def test_defaults_are_the_documented_ones() -> None:
    scenario = Scenario(name="x")
    assert scenario.circuit == "data_reuploading"
    assert (scenario.wires, scenario.layers, scenario.seed, scenario.shots) == (1, 1, 0, None)
    assert (scenario.device, scenario.diff_method, scenario.dtype) == ("default.qubit", "best", "float64")
    assert (scenario.data.name, scenario.data.samples, scenario.data.options) == ("fourier", 70, {})
    training = scenario.training
    assert (training.batch_size, training.epochs, training.loss, training.numerics) == (32, 30, "mse", "exact")
    assert training.optimizer.arguments == {
        "learning_rate": 0.03,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "amsgrad": False,
    }
    assert scenario.steps == 90
    assert scenario.expected_verdict(Variant.parse("jax")) == "ROUNDING"


def test_sgd_has_its_own_arguments() -> None:
    sgd = validate({"name": "x", "training": {"optimizer": {"name": "sgd", "momentum": 1, "clipnorm": 2}}})
    expected = {"learning_rate": 0.03, "momentum": 1.0, "nesterov": False, "clipnorm": 2.0}
    assert sgd.training.optimizer.arguments == expected


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"data": {"name": "random", "features": 3, "outputs": 2}, "wires": 3},
        {
            "circuit": "mine.sub:f",
            "weight_shapes": {"w": [2, 3], "scalar": []},
            "circuit_options": {"a": [1, {"b": True}]},
        },
        {"training": {"optimizer": {"name": "sgd", "learning_rate": 1}}, "expect": {"torch@cpu": "PRECISION-LEAK"}},
        {"model": "mine:build", "shots": 100, "diff_method": "parameter-shift"},
    ],
)
def test_json_round_trip(fields: dict[str, Any]) -> None:
    scenario = validate({"name": "x", **fields})
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    assert Scenario.model_validate(json.loads(scenario.model_dump_json())) == scenario


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Scenario(name="x").layers = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": "3"}, 'layers = "3": expected an integer from 1 to 1000'),
        ({"layers": True}, "layers = true: expected an integer from 1 to 1000"),
        ({"seed": 1.0}, "seed = 1.0: expected an integer from 0 to 4294967295"),
        ({"seed": 2**32}, "seed = 4294967296: expected an integer from 0 to 4294967295"),
        ({"wires": 31}, "wires = 31: expected an integer from 1 to 30"),
        ({"training": {"shuffle": 1}}, "training.shuffle = 1: expected true or false"),
        ({"training": {"batch_size": "many"}}, 'training.batch_size = "many": expected an integer from 1 to 1000000'),
        (
            {"training": {"optimizer": {"learning_rate": float("nan")}}},
            "training.optimizer.learning_rate = nan: expected a finite number > 0 and <= 1e+06",
        ),
        ({"training": {"optimizer": {"beta_1": True}}}, "beta_1 = true: expected a finite number >= 0 and < 1"),
        ({"training": {"optimiser": {}}}, "training.optimiser = {}: expected a known key (did you mean optimizer?)"),
        ({"training": 3}, "training = 3: expected a table"),
        ({"dtype": "float16"}, 'dtype = "float16": expected float64 or float32'),
        ({"weight_shapes": {"w": [2, 0]}, "circuit": "a:b"}, "weight_shapes.w.1 = 0: expected an integer from 1"),
        ({"weight_shapes": {}, "circuit": "a:b"}, "weight_shapes = {}: expected a non-empty table"),
        ({"weight_shapes": {"w": [10**4, 10**4]}, "circuit": "a:b"}, "expected at most 10000000 weights"),
        ({"weight_shapes": {"inputs": [1]}, "circuit": "a:b"}, "weight_shapes.inputs = [1]: expected another name"),
        ({"weight_shapes": {"a-b": [1]}, "circuit": "a:b"}, "expected the name of a keyword argument"),
        ({"circuit": "iqpp"}, "(did you mean iqp?)"),
        ({"circuit": "a b:c"}, 'or your own "module:function"'),
        ({"circuit": "../a:c"}, 'or your own "module:function"'),
        ({"model": "build"}, 'model = "build": expected "package.module:function"'),
        ({"circuit_options": {"a": {"b": float("inf")}}}, "circuit_options.a.b = inf: expected a finite number"),
        ({"diff_options": {"h": 2**63}}, "expected a finite number, 64-bit integer"),
        ({"data": {"name": "moon"}}, 'data.name = "moon": expected a data set'),
        ({"data": {"degre": 2}}, "data.degre = 2: expected an option of data set fourier"),
        ({"data": {"degree": 0}}, "data.degree = 0: expected an integer from 1 to 1000"),
        ({"expect": "FINE"}, 'expect = "FINE": expected one of ROUNDING'),
        ({"expect": {"tf": "FINE"}}, 'expect.tf = "FINE": expected one of ROUNDING'),
        ({"expect": {"tensorflow": "ROUNDING"}}, '(did you mean "tf"?)'),
        ({"lyers": 2}, "lyers = 2: expected a known key (did you mean layers?)"),
    ],
)
def test_wrong_field(fields: dict[str, Any], message: str) -> None:
    assert message in refuse(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"device": "lightning.qubit", "diff_method": "backprop"}, 'diff_method = "backprop": expected adjoint'),
        ({"device": "lightning.gpu", "diff_method": "backprop"}, "lightning.gpu has no backprop"),
        ({"shots": 10, "diff_method": "backprop"}, "shots = 10: expected no shots"),
        ({"shots": 10, "diff_method": "adjoint", "device": "lightning.qubit"}, "shots = 10: expected no shots"),
        ({"weight_shapes": {"w": [1]}}, "expected none, since data_reuploading knows its own"),
        ({"model": "m:b", "weight_shapes": {"w": [1]}, "circuit": "a:b"}, "weight_shapes = {w = [1]}: expected no"),
        ({"circuit_options": {"wires": 2}}, "circuit_options.wires = 2: expected another name"),
        (
            {"training": {"optimizer": {"name": "sgd", "beta_1": 0.5}}},
            "training.optimizer.beta_1 = 0.5: expected no beta_1 with sgd",
        ),
        (
            {"training": {"optimizer": {"momentum": 0.5}}},
            "training.optimizer.momentum = 0.5: expected no momentum with adam",
        ),
        ({"training": {"optimizer": {"clipnorm": 1, "clipvalue": 1}}}, "expected no clipnorm beside it"),
        ({"judge": ["methods"], "shots": 10}, 'shots = 10: expected none beside judge = ["methods"]'),
        ({"judge": ["methods"], "model": "m:b"}, 'model = "m:b": expected none beside judge = ["methods"]'),
        ({"judge": ["methods"], "diff_method": "spsa"}, 'diff_method = "spsa": expected another one beside judge'),
    ],
)
def test_impossible_combination(fields: dict[str, Any], message: str) -> None:
    assert message in refuse(**fields)


@pytest.mark.parametrize("method", ["adjoint", "parameter-shift", "finite-diff", "hadamard", "spsa", "best"])
def test_lightning_takes_the_rest(method: str) -> None:
    assert validate({"name": "x", "device": "lightning.qubit", "diff_method": method}).diff_method == method


def test_first_error_in_the_order_written() -> None:
    assert refuse(seed="a", layers="b").startswith('seed = "a"')
    assert refuse(layers="b", seed="a").startswith('layers = "b"')
    assert refuse(training={"epochs": 0, "batch_size": 0}, layers="b").startswith("training.epochs = 0")


def test_registry_names_one_file_a_circuit() -> None:
    assert {"data_reuploading", "vqe", "deep", "iqp", "qaoa"} <= set(CIRCUITS)
    assert CIRCUITS["vqe"] == "qparity.circuit.library.vqe:vqe"
    assert Scenario(name="x", circuit="vqe").source == CIRCUITS["vqe"]
    assert Scenario(name="x", model="m:b").source == "m:b"


def test_a_new_circuit_or_data_set_is_one_registry_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def toy(samples: int, seed: int, *, height: float = 1.0) -> Dataset:
        return dataset(np.zeros(samples), np.full(samples, height))

    monkeypatch.setitem(DATASETS, "toy", toy)
    monkeypatch.setitem(CIRCUITS, "toy_circuit", "elsewhere.toy:toy")
    scenario = validate({"name": "x", "circuit": "toy_circuit", "data": {"name": "toy", "height": 2}})
    assert scenario.source == "elsewhere.toy:toy"
    assert make("toy", 3, 0, scenario.data.options).y.tolist() == [[2.0]] * 3
    assert "data.hight = 2: expected an option of data set toy" in refuse(data={"name": "toy", "hight": 2})
