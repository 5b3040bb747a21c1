"""QKerasLayer as a Keras layer: shapes, dtypes, configuration, saving, drawing, other layers, clear errors."""

from pathlib import Path

import keras
import numpy as np
import pennylane as qml
import pytest
from keras import ops

from qparity.circuit.definition import CircuitError
from qparity.circuit.execution import UnsupportedError
from qparity.circuit.layer import QKerasLayer
from qparity.circuit.saving import load_circuit


def rotations(weights, inputs, wires):
    for wire in range(wires):
        qml.RX(inputs[..., 0], wires=wire)
        qml.RY(weights[wire], wires=wire)
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]


@qml.transforms.merge_rotations
@qml.qnode(qml.device("default.qubit", wires=2))
def merged(weights, inputs):
    return rotations(weights, inputs, 2)


def two_weights(inputs, first, second):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(first[0] * second, wires=0)
    return qml.expval(qml.Z(0)), qml.probs(wires=[0, 1])


QUICK = {"device": "lightning.qubit"}  # compiles nothing


def closed_form(angles, x):
    """<Z> after RX(x) RY(w): cos x cos w."""
    return np.cos(x) * np.cos(angles)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_values_and_shape(device, rng):
    layer = QKerasLayer(rotations, wires=2, weight_shapes={"weights": (2,)}, features=1, device=device)
    for batch in (5, 1):  # one sample's results have the form of the quantum function's own
        x = rng.uniform(-3, 3, (batch, 1))
        out = numpy(layer(x))
        assert out.shape == layer.compute_output_shape((batch, 1)) == (batch, 2)
        assert out.dtype == np.float64
        np.testing.assert_allclose(out, closed_form(numpy(layer.weights[0]), x), atol=1e-15)


def test_extra_batch_dimensions(rng):
    layer = QKerasLayer(rotations, wires=2, weight_shapes={"weights": (2,)}, features=1)
    x = rng.uniform(-3, 3, (4, 3, 1))
    out = numpy(layer(x))
    assert out.shape == (4, 3, 2)
    np.testing.assert_allclose(out[2], numpy(layer(x[2])), atol=1e-15)


def test_several_measurements_are_concatenated():
    layer = QKerasLayer(two_weights, wires=2, weight_shapes={"first": (1,), "second": ()}, features=1)
    out = numpy(layer(np.zeros((3, 1))))
    assert out.shape == (3, 5)
    np.testing.assert_allclose(out[:, 0], out[:, 1] + out[:, 2] - out[:, 3] - out[:, 4], atol=1e-14)
    assert [w.name for w in layer.weights] == ["first", "second"]


def test_circuit_that_ignores_its_inputs_still_gives_a_batch():
    def constant(weights, inputs):
        qml.RY(weights[0], wires=0)
        return qml.expval(qml.Z(0))

    layer = QKerasLayer(constant, weight_shapes={"weights": (1,)}, features=1)
    assert numpy(layer(np.zeros((4, 1)))).shape == (4, 1)


def test_two_probabilities_are_no_batch_of_two():
    def constant(weights, inputs):
        qml.RY(weights[0], wires=0)
        return qml.probs(wires=0)

    layer = QKerasLayer(constant, weight_shapes={"weights": (1,)}, features=1)
    for batch in (1, 2, 3):
        out = numpy(layer(np.zeros((batch, 1))))
        assert out.shape == (batch, 2)
        np.testing.assert_allclose(out.sum(axis=1), 1)


def test_float32_policy_is_respected(rng):
    layer = QKerasLayer(rotations, wires=1, weight_shapes={"weights": (1,)}, features=1, dtype="float32")
    out = numpy(layer(rng.uniform(-1, 1, (3, 1)).astype("float32")))
    assert out.dtype == np.float32
    assert layer.weights[0].dtype == "float32"


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_rounds_the_outputs_of_a_circuit_in_float32(policy, rng):
    layer = QKerasLayer(rotations, wires=2, weight_shapes={"weights": (2,)}, features=1, dtype=policy)
    x = rng.uniform(-1, 1, (3, 1)).astype("float16")
    out = layer(x)
    assert keras.backend.standardize_dtype(out.dtype) == layer.compute_dtype
    expected = closed_form(numpy(ops.cast(layer.weights[0], "float32")), x.astype("float64"))
    np.testing.assert_allclose(numpy(ops.cast(out, "float32")), expected, atol=1e-2)
    with pytest.raises(CircuitError, match="expected one of float32, float64, float16"):
        QKerasLayer(rotations, weight_shapes={"weights": (1,)}, features=1, dtype="int32")


def test_too_few_wires_are_refused_with_the_number_that_is_enough():
    def on(label):
        return lambda weights, inputs: qml.expval(qml.Z(0) @ qml.X(label))

    for label, enough in ((3, "4"), ("a", r"\[0, 'a'\]")):
        with pytest.raises(CircuitError, match=rf"^wires = 1: .* uses wires \[.*\]; wires = {enough} has them all$"):
            QKerasLayer(on(label), weight_shapes={"weights": (1,)}, features=1)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(policy, rng):
    layer = QKerasLayer(rotations, wires=2, weight_shapes={"weights": (2,)}, features=1, dtype=policy)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, dtype=policy), layer])
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    before = numpy(layer.weights[0]).copy()
    model.fit(rng.uniform(-1, 1, (6, 1)), np.ones((6, 2)), batch_size=3, epochs=1, verbose=0)
    assert layer.weights[0].dtype == "float32"
    assert np.all(np.isfinite(numpy(layer.weights[0])))
    assert np.any(numpy(layer.weights[0]) != before)


def test_config_round_trip_leaves_the_config_alone():
    layer = QKerasLayer("data_reuploading", wires=2, layers=3, device="lightning.qubit", diff_method="adjoint", seed=5)
    config = layer.get_config()
    before = dict(config)
    twin = QKerasLayer.from_config(config)
    assert config == before
    assert twin.get_config() == config
    twin.build((None, 1))
    layer.build((None, 1))
    np.testing.assert_array_equal(numpy(layer.weights[0]), numpy(twin.weights[0]))


def test_save_and_load(tmp_path, rng):
    model = keras.Sequential(
        [keras.Input((1,)), QKerasLayer("data_reuploading", wires=2, layers=1, **QUICK), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.03), loss="mse")
    x = rng.uniform(-3, 3, (5, 1))
    model.fit(x, x, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(model(x)), numpy(loaded(x)))


def test_registered_function_can_be_saved(tmp_path):
    registered = keras.saving.register_keras_serializable("tests", "rotations")(rotations)
    layer = QKerasLayer(registered, wires=2, weight_shapes={"weights": (2,)}, features=1)
    model = keras.Sequential([keras.Input((1,)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    x = np.ones((2, 1))
    np.testing.assert_array_equal(numpy(model(x)), numpy(loaded(x)))


def test_summary_counts_parameters(capsys):
    model = keras.Sequential([keras.Input((1,)), QKerasLayer("data_reuploading", wires=1, layers=2, name="quantum")])
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert "quantum" in text
    assert "9" in text
    assert model.count_params() == 9
    assert model.layers[-1].weights[0].path.endswith("quantum/weights")


def test_draws_the_circuit_it_runs():
    layer = QKerasLayer(rotations, wires=2, weight_shapes={"weights": (2,)}, features=1)
    text = layer.draw()
    assert text.count("RX") == text.count("RY") == text.count("<Z>") == 2
    figure, axes = layer.draw("mpl")
    labels = [t.get_text() for t in axes.texts]
    assert labels.count("RY") == 2
    import matplotlib.pyplot as plt

    plt.close(figure)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.before = keras.layers.Dense(1)
        self.quantum = QKerasLayer(rotations, wires=2, weight_shapes={"weights": (2,)}, features=1, **QUICK)
        self.after = keras.layers.Dense(1)

    def call(self, inputs):
        return self.after(self.quantum(self.before(inputs)))


def functional():
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(1)(inputs)
    quantum = QKerasLayer(rotations, wires=2, weight_shapes={"weights": (2,)}, features=1)(hidden)
    return keras.Model(inputs, keras.layers.Dense(1)(quantum))


@pytest.mark.parametrize("build", [functional, Subclassed])
def test_trains_between_classical_layers(build, rng):
    model = build()
    model.compile(keras.optimizers.SGD(0.05), loss="mse")
    x = rng.uniform(-1, 1, (10, 3))
    y = 2.0 + x[:, :1]  # far from every start, so that the loss must fall
    before = model.evaluate(x, y, batch_size=5, verbose=0)
    model.fit(x, y, epochs=8, batch_size=5, shuffle=False, verbose=0)
    assert model.evaluate(x, y, batch_size=5, verbose=0) < 0.5 * before


@pytest.mark.parametrize("method", ["backprop", "adjoint", "parameter-shift", "finite-diff", "hadamard"])
def test_gradients_reach_the_layer_before(method, rng):
    """PennyLane issue 4462: gradient transforms refuse batched trainable inputs; the layer expands them."""
    inputs = keras.Input((1,))
    scaled = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(0.3), name="scale")(
        inputs
    )
    quantum = QKerasLayer(rotations, wires=1, weight_shapes={"weights": (1,)}, features=1, diff_method=method, name="q")
    model = keras.Model(inputs, quantum(scaled))
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, p: ops.sum(p) / 4)
    x = rng.uniform(-2, 2, (4, 1))
    angle = float(numpy(quantum.weights[0])[0])
    model.fit(x, x, batch_size=4, epochs=1, verbose=0)
    moved = 0.3 - float(numpy(model.get_layer("scale").kernel)[0, 0])
    np.testing.assert_allclose(moved, np.mean(-x * np.sin(0.3 * x) * np.cos(angle)), atol=1e-6)


def test_a_gate_may_take_angles_from_weights_and_inputs(rng):
    """The same refusal meets a gate with one angle of each: <X> after Rot(0, x, w) is sin x cos w."""

    def mixed(weights, inputs, wires):
        qml.Rot(0.0, inputs[..., 0], weights[0], wires=0)
        return qml.expval(qml.X(0))

    quantum = QKerasLayer(mixed, wires=1, weight_shapes={"weights": (1,)}, features=1, diff_method="parameter-shift")
    model = keras.Sequential([keras.Input((1,)), quantum])
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, p: ops.sum(p) / 4)
    x, angle = rng.uniform(-2, 2, (4, 1)), float(numpy(quantum.weights[0])[0])
    model.fit(x, x, batch_size=4, epochs=1, verbose=0)
    moved = angle - float(numpy(quantum.weights[0])[0])
    np.testing.assert_allclose(moved, np.mean(-np.sin(x) * np.sin(angle)), atol=1e-12)


def test_initializers_regularizers_by_name():
    layer = QKerasLayer(
        two_weights,
        wires=2,
        weight_shapes={"first": (1,), "second": ()},
        features=1,
        initializer={"first": "zeros"},
        regularizer={"second": keras.regularizers.L2(1.0)},
    )
    layer(np.zeros((1, 1)))
    assert numpy(layer.weights[0])[0] == 0
    assert float(numpy(layer.weights[1])) != 0
    assert len(layer.losses) == 1
    twin = QKerasLayer.from_config(layer.get_config() | {"circuit": two_weights})
    twin(np.zeros((1, 1)))
    assert numpy(twin.weights[0])[0] == 0
    assert len(twin.losses) == 1


def test_from_qnode_takes_the_old_arguments(rng):
    device = qml.device("default.qubit", wires=2)

    @qml.qnode(device, diff_method="parameter-shift")
    def qnode(inputs, weights_0, weight_1):
        qml.RX(inputs[..., 0], wires=0)
        qml.RX(inputs[..., 1], wires=1)
        qml.Rot(weights_0[0], weights_0[1], weights_0[2], wires=0)
        qml.RY(weight_1, wires=1)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))

    layer = QKerasLayer.from_qnode(qnode, {"weights_0": 3, "weight_1": 1}, output_dim=2)
    x = rng.uniform(-1, 1, (3, 2))
    out = numpy(layer(x))
    weights = [numpy(w) for w in layer.weights]
    np.testing.assert_allclose(out, np.stack(qnode(x, *weights), axis=-1), atol=1e-14)
    assert layer.resolved_diff_method() == "parameter-shift"
    with pytest.raises(CircuitError, match="output_dim = 3"):
        QKerasLayer.from_qnode(qnode, {"weights_0": 3, "weight_1": 1}, output_dim=3)


def sample(x, w, bias):
    """Written for one sample, as the old layer's documentation has it, with a name of its own for the features."""
    qml.RX(x[0], wires="a")
    qml.RX(x[1], wires="b")
    qml.Hadamard("b")
    qml.Hadamard("b")
    qml.RY(w[0] + bias, wires="a")
    qml.CNOT(wires=["a", "b"])
    return qml.expval(qml.Z("b")), qml.probs()


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_from_qnode_keeps_what_the_qnode_says(device, rng):
    device = qml.device(device, wires=["a", "b"])
    qnode = qml.transforms.cancel_inverses(
        qml.QNode(sample, device, diff_method="finite-diff", gradient_kwargs={"h": 1e-5})
    )
    layer = QKerasLayer.from_qnode(
        qnode,
        {"w": (1,), "bias": 1},
        5,
        weight_specs={"w": {"initializer": "ones"}, "bias": {"trainable": False, "initializer": "zeros"}},
    )
    x = rng.uniform(-1, 1, (2, 2))  # as many samples as features
    out = numpy(layer(x))
    plain = qml.QNode(sample, qml.device("default.qubit", wires=["a", "b"]))
    expected = [np.hstack(plain(row, np.ones(1), 0.0)) for row in x]
    np.testing.assert_allclose(out, expected, atol=1e-14)
    assert layer.executor.given_device is device
    assert layer.diff_options == {"h": 1e-5}
    assert [w.shape for w in layer.weights] == [(1,), ()]
    assert [w.name for w in layer.trainable_weights] == ["w"]
    assert layer.expanded is not None
    assert "H" not in layer.draw().replace("RX", "")


def test_from_qnode_says_what_is_missing():
    with pytest.raises(CircuitError, match="does not say its wires"):
        QKerasLayer.from_qnode(qml.QNode(sample, qml.device("default.qubit")), {"w": (1,), "bias": 1})
    qnode = qml.QNode(sample, qml.device("default.qubit", wires=["a", "b"]))
    with pytest.raises(CircuitError, match="no weight is called v"):
        QKerasLayer.from_qnode(qnode, {"w": (1,), "bias": 1}, weight_specs={"v": {}})


def test_the_device_of_a_qnode_keeps_its_options_and_shots(rng):
    def circuit(inputs, w):
        qml.RX(inputs[..., 0], wires=0)
        qml.RY(w[0], wires=0)
        return qml.expval(qml.Z(0))

    single = qml.QNode(circuit, qml.device("lightning.qubit", wires=1, c_dtype=np.complex64))
    layer = QKerasLayer.from_qnode(single, {"w": (1,)})
    assert layer.get_config()["device_options"] == {"c_dtype": "complex64"}
    x = rng.uniform(-1, 1, (5, 1))
    errors = np.abs(numpy(layer(x)) - closed_form(numpy(layer.weights[0]), x))
    assert 1e-12 < errors.max() < 1e-6  # computed in single precision, as the device was told
    again = QKerasLayer.from_config(layer.get_config() | {"circuit": circuit})
    assert again.executor.device.c_dtype is np.complex64
    shots = qml.set_shots(qml.QNode(circuit, qml.device("default.qubit", wires=1, seed=1)), 10)
    layer = QKerasLayer.from_qnode(shots, {"w": (1,)})
    assert layer.shots == 10
    assert np.all(np.round(numpy(layer(x)) * 5, 9) % 1 == 0)


def test_a_qnode_is_taken_as_a_circuit_and_saved_by_its_name():
    qnode = qml.compile(qml.QNode(rotations, qml.device("lightning.qubit", wires=2)))
    layer = QKerasLayer(qnode, wires=2, weight_shapes={"weights": (2,)}, features=1)
    assert layer.device_name == "default.qubit"
    x = np.ones((2, 1))
    np.testing.assert_allclose(numpy(layer(x)), closed_form(numpy(layer.weights[0]), x), atol=1e-14)
    with pytest.raises(CircuitError, match="saved as module:name"):
        layer.get_config()
    merged = QKerasLayer(f"{__name__}:merged", wires=2, weight_shapes={"weights": (2,)}, features=1)
    assert merged.get_config()["circuit"] == f"{__name__}:merged"
    twin = QKerasLayer(merged_qnode := load_circuit(f"{__name__}:merged"), wires=2, weight_shapes={"weights": (2,)})
    assert isinstance(merged_qnode, qml.QNode)
    assert twin.get_config()["circuit"] == f"{__name__}:merged"


def test_outputs_may_depend_on_the_features(rng):
    def each(weights, inputs):
        for k in range(inputs.shape[-1]):
            qml.RX(inputs[..., k], wires=k)
            qml.RY(weights[0], wires=k)
        return [qml.expval(qml.Z(k)) for k in range(inputs.shape[-1])]

    layer = QKerasLayer(each, wires=3, weight_shapes={"weights": (1,)})
    x = rng.uniform(-1, 1, (4, 3))
    assert layer(x).shape == layer.compute_output_shape((4, 3)) == (4, 3)
    np.testing.assert_allclose(numpy(layer(x)), closed_form(numpy(layer.weights[0]), x), atol=1e-14)


def test_a_weight_shape_that_is_too_small_is_said():
    with pytest.raises(CircuitError, match="mend weight_shapes"):
        QKerasLayer(lambda weights, inputs: qml.RY(weights[7], wires=0), weight_shapes={"weights": (1,)})


def test_a_subclass_may_have_weights_of_its_own(rng):
    class Scaled(QKerasLayer):
        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
            super().build(input_shape)

        def call(self, inputs):
            return self.scale * super().call(inputs)

    layer = Scaled(rotations, wires=1, weight_shapes={"weights": (1,)}, features=1)
    x = rng.uniform(-1, 1, (4, 1))
    np.testing.assert_allclose(numpy(layer(x)), closed_form(numpy(layer.weights[1]), x), atol=1e-14)
    assert "RX" in layer.draw()


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_shots_with_a_seed_repeat(device, rng):
    def make():
        return QKerasLayer(
            rotations,
            wires=1,
            weight_shapes={"weights": (1,)},
            features=1,
            device=device,
            shots=100,
            seed=3,
            diff_method="parameter-shift",
        )

    x = rng.uniform(-1, 1, (3, 1))
    first, second = numpy(make()(x)), numpy(make()(x))
    np.testing.assert_array_equal(first, second)
    assert np.all(np.round((first + 1) * 50, 9) % 1 == 0)  # multiples of 2 / shots: sampled, not exact


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"device": "lightning.qubit", "diff_method": "backprop"},
            UnsupportedError,
            "lightning.qubit cannot do backprop",
        ),
        ({"device": "default.mixed", "diff_method": "adjoint"}, UnsupportedError, "does not support adjoint"),
        ({"device": "no.such"}, CircuitError, "no.such"),
        (
            {"wires": 1, "circuit": two_weights, "weight_shapes": {"first": (1,), "second": ()}},
            CircuitError,
            "uses wires",
        ),
        ({"weight_shapes": None}, CircuitError, "weight_shapes"),
        ({"weight_shapes": {"other": (1,)}}, CircuitError, "other"),
        ({"circuit": "nonsense"}, CircuitError, "nonsense"),
        ({"circuit_options": {"depth": 1}}, CircuitError, "depth"),
    ],
)
def test_errors_are_one_clear_line(arguments, error, words):
    defaults = {"circuit": rotations, "weight_shapes": {"weights": (1,)}, "features": 1}
    with pytest.raises(error, match=words) as caught:
        QKerasLayer(**(defaults | arguments))
    assert "\n" not in str(caught.value)


def test_wrong_rank_and_wrong_features():
    layer = QKerasLayer(rotations, wires=1, weight_shapes={"weights": (1,)}, features=1)
    with pytest.raises(ValueError, match="expected \\(batch"):
        layer(np.zeros(3))
    with pytest.raises(ValueError, match="takes 1 features"):
        layer(np.zeros((3, 2)))


def test_a_model_returns_one_whole_shape():
    from qparity.worker.inspection import sample_shape

    x = keras.Input((3,))
    assert sample_shape(keras.Model(x, keras.layers.Dense(2)(x)), 3) == [2]
    two = keras.Model(x, [keras.layers.Dense(2)(x), keras.layers.Dense(1)(x)])
    sequences = keras.Input((None, 3))
    for model in (two, keras.Model(sequences, keras.layers.Dense(1)(sequences))):
        with pytest.raises(ValueError, match="expected one output of known shape"):
            sample_shape(model, 3)


def test_a_model_saved_before_the_package_had_its_name_is_loaded():
    """`model-0.1.keras` was saved on torch by the last commit in which the package was `harness`."""
    fixtures = Path(__file__).parents[1] / "fixtures"
    told = np.load(fixtures / "model-0.1.npz")
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        model = keras.models.load_model(fixtures / "model-0.1.keras", compile=False)
        assert type(model.layers[-1]) is QKerasLayer
        got = model.predict(told["x"], verbose=0)
    finally:
        keras.config.set_floatx(before)
    assert np.allclose(got, told["predictions"], rtol=0, atol=1e-6)
