"""A training recorded where it runs: judged like any cell, and the user's process is as if nobody had looked."""

import random

import keras
import numpy as np
import pennylane as qml
import pytest
from keras.src.backend.common import global_state

import qparity
from qparity.circuit import carried
from qparity.circuit.layer import QKerasLayer
from qparity.recording import folder, replay
from qparity.store import Run

X, Y = np.linspace(-1, 1, 30).reshape(10, 3), np.linspace(0, 1, 10)[:, None]
TURN = 0.5
ONCE = pytest.mark.skipif(keras.backend.backend() != "torch", reason="the same to all, and takes seconds")


def rotations(weights, inputs, wires):
    for wire in range(wires):
        qml.RX(TURN * inputs[..., wire], wires=wire)
        qml.RY(weights[wire], wires=wire)
    qml.CNOT([0, 1])
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]


rotations.__module__ = "__main__"  # as in a notebook: no other process can import it


@pytest.fixture(autouse=True)
def _float32():
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def unasked(monkeypatch):
    """Without the reference, which takes seconds to start."""

    async def nobody(*_):
        pass

    monkeypatch.setattr(folder, "_ask", nobody)


def hybrid(*more, kind=keras.Model):
    keras.utils.set_random_seed(5)
    circuit = {"wires": 2, "weight_shapes": {"weights": (2,)}, "features": 2, "max_batch_size": 4}
    circuit["device"] = "lightning.qubit"  # the quickest where nothing is compiled
    inputs = x = keras.Input((3,))
    for layer in (keras.layers.Dense(2, "tanh"), *more, QKerasLayer(rotations, **circuit, name="q")):
        x = layer(x)
    model = kind(inputs, keras.layers.Dense(1)(x))
    model.compile(keras.optimizers.Adam(0.05), "mse", run_eagerly=keras.backend.backend() == "tensorflow")
    return model


def fitted(model, *callbacks, **arguments):
    given = {"x": X, "y": Y, "batch_size": 4, "epochs": 2, "shuffle": False} | arguments
    model.fit(**given, verbose=0, callbacks=list(callbacks))
    return model


def everything(model):
    """All that a recording could move: variables, generators, the names of objects to come, settings."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    values = [keras.ops.convert_to_numpy(v).tobytes() for v in variables]
    names = dict(global_state.get_global_attribute("object_name_uids"))
    numpy = np.random.get_state()[1].tobytes()  # noqa: NPY002
    return values, names, numpy, random.getstate(), keras.config.floatx()


def judged(recorder):
    view = qparity.judge(Run.load(recorder.run.path))
    return view.exit_code, view.cells[0]


@ONCE
def test_a_training_is_judged_with_where_its_fit_ended(tmp_path):
    recorder = qparity.Recorder(tmp_path, name="mine")
    fitted(hybrid(), recorder)
    code, cell = judged(recorder)
    assert (code, cell.scenario, cell.verdict) == (0, "mine", "ROUNDING")
    (place,) = recorder.run.planned()
    assert {"final_weights/0", "reference_steps"} <= recorder.run.trace(place.cell_id).keys()
    assert recorder.run.outcome(place.cell_id).reference.programs  # the circuit of a notebook, read again elsewhere


def test_a_fit_and_the_next_one_train_as_if_nobody_had_looked(tmp_path, unasked):
    ends = []
    for callbacks in ([], [qparity.Recorder(tmp_path)]):
        keras.utils.clear_session()
        model = fitted(hybrid(keras.layers.Dropout(0.3, seed=1)), *callbacks, shuffle=True)
        ends.append((everything(model), everything(fitted(model, shuffle=True))))
    assert ends[0] == ends[1]
    (place,) = callbacks[0].run.planned()
    assert any("not compared" in note for note in place.scenario.script.notes)
    assert not any(name.startswith("final") for name in callbacks[0].run.trace(place.cell_id))


class WrongSign:
    """An executor whose gradients come back to the weights with the other sign."""

    def __init__(self, executor):
        self.executor = executor

    def __call__(self, weights, inputs):
        stop = keras.ops.stop_gradient
        return self.executor({name: 2 * stop(w) - w for name, w in weights.items()}, inputs)

    def __getattr__(self, name):
        return getattr(self.executor, name)


def test_a_gradient_of_the_wrong_sign_is_found(tmp_path, unasked):
    recorder, model = qparity.Recorder(tmp_path), hybrid()
    layer = model.get_layer("q")
    layer._executor = WrongSign(layer.executor)
    fitted(model, recorder)
    code, cell = judged(recorder)
    assert (code, cell.verdict, str(cell.stage), cell.step) == (1, "LOCAL-FAULT", "gradient", 0)
    assert "q/weights" in cell.tensor


@ONCE
def test_a_part_of_a_training_is_recorded(tmp_path, unasked):
    recorder = qparity.Recorder(tmp_path, steps=2)
    fitted(hybrid(), recorder)
    (place,) = recorder.run.planned()
    assert (place.scenario.steps, place.scenario.name) == (2, "test_recorder")
    assert any("more steps" in note for note in place.scenario.script.notes)


class OwnStep(keras.Model):
    def train_step(self, *arguments):
        return super().train_step(*arguments)


def pairs():
    while True:
        yield X[:4], Y[:4]


@ONCE
@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        (OwnStep, {}, "its own train_step"),
        (keras.Model, {"x": pairs(), "y": None, "batch_size": None, "steps_per_epoch": 2}, "a generator"),
        (keras.Model, {"x": [X], "y": Y, "class_weight": {0: 1.0}, "epochs": 0}, "trains nothing"),
        (keras.Model, {"broken": True}, "RuntimeError: no space"),
    ],
)
def test_what_cannot_be_recorded_is_a_line_and_the_fit_goes_on(tmp_path, capfd, monkeypatch, kind, arguments, told):
    if arguments.pop("broken", False):

        def broken(*_):
            raise RuntimeError("no\nspace")

        monkeypatch.setattr(replay.audit, "record", broken)
    recorder = qparity.Recorder(tmp_path / "results")
    plain = everything(fitted(hybrid(kind=kind), **arguments)) if "y" not in arguments else None
    keras.utils.clear_session()
    model = fitted(hybrid(kind=kind), recorder, **arguments)
    assert plain is None or everything(model)[0] == plain[0]
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("qparity")]
    assert told in line
    assert recorder.run is None
    assert not (tmp_path / "results").exists()


def test_a_model_travels_with_functions_that_no_module_has(tmp_path):
    size = 0.25
    scale = lambda x: x * size  # noqa: E731

    def root(y, f):
        return keras.ops.sqrt(keras.ops.abs(scale(y - f)))

    root.__module__ = "__main__"
    model = hybrid()
    found = carried.captured(carried.model_as_json(model, root))
    found.model.set_weights(model.get_weights())
    got, expected = (keras.ops.convert_to_numpy(each(X[:4])) for each in (found.model, model))
    assert np.array_equal(got, expected)
    assert np.allclose(keras.ops.convert_to_numpy(found.loss(X, 0 * X)), np.sqrt(np.abs(X / 4)), atol=1e-6)

    def taken(y, f):
        return model(y) - f

    taken.__module__ = "__main__"
    with pytest.raises(carried.NotCarried, match="Functional"):
        carried.model_as_json(model, taken)
