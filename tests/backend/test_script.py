"""A training script is run up to its `fit`, unchanged: what it hands over, and the line where it cannot be taken."""

import sys
import textwrap

import keras
import numpy as np
import pytest

from qparity.circuit import script
from qparity.circuit.compiled import loss_table, optimizer_table, rates_kept, schedule_table
from qparity.circuit.fit import Amount, ScriptError
from qparity.oracle.schedules import is_rate
from qparity.scenario.schema import SCRIPTED, Scenario, ScriptSpec, Training
from qparity.worker.training import make_optimizer

MODEL = """
import keras, numpy as np
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="d")])
x, y = np.linspace(0, 1, 30).reshape(10, 3), np.arange(20.0).reshape(10, 2)
"""

SEVERAL = """
SUM = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
n, c = np.arange(10) % 4, np.arange(10) % 3
i, j = keras.Input((3,), name="i"), keras.Input((), dtype="int32", name="j")
h = keras.layers.Add()([keras.layers.Dense(2)(i), keras.layers.Embedding(4, 2)(j)])
a = keras.layers.Reshape((2, 1), name="a")(h)
model = keras.Model([i, j], [a, keras.layers.Dense(3, activation="softmax", name="b")(h)])
model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], loss_weights=[2.0, 0.5], metrics=[[], ["accuracy"]])
"""

MASKED = """
i = keras.Input((2,), dtype="int32")
h = keras.layers.Embedding(4, 1, mask_zero=True)(i)
model = keras.Model(i, [h, keras.layers.Flatten()(h)])
model.compile("sgd", "mse")
"""


@pytest.fixture
def run(tmp_path):
    def taken(text, *arguments, fit=1):
        script._captured.clear()
        (tmp_path / "train.py").write_text(textwrap.dedent(text))
        return script.run_script(ScriptSpec(file="train.py", arguments=list(arguments), fit=fit), tmp_path)

    yield taken
    script._captured.clear()


def test_what_fit_is_given_is_taken_and_nothing_is_trained(run, tmp_path):
    text = f"""{MODEL}
import sys
if __name__ == "__main__":
    model.compile(keras.optimizers.AdamW(0.03, clipnorm=1.0), keras.losses.Huber(delta=0.5))
    model.fit(x, y, epochs=int(sys.argv[1]), batch_size=4, validation_split=0.2, callbacks=[keras.callbacks.Callback()])
    open("after", "w")
"""
    before = sys.argv, sys.modules["__main__"]
    found = run(text, "7")
    assert (sys.argv, sys.modules["__main__"]) == before
    assert not (tmp_path / "after").exists()
    assert "fit" not in vars(keras.Model)
    assert found.x.shape == (8, 3)
    about = found.described()
    assert about.own == []
    assert about.training["optimizer"]["name"] == "adamw"
    assert about.training["optimizer"]["learning_rate"] == 0.03  # though a variable of float32 holds another number
    assert about.training["optimizer"]["clipnorm"] == 1.0
    wanted = {"batch_size": 4, "epochs": 7, "shuffle": True, "loss": "huber", "loss_options": {"delta": 0.5}}
    assert {key: about.training[key] for key in wanted} == wanted
    assert [note.partition(" ")[0] for note in about.notes] == ["validation_split:", "callbacks", "validation"]
    start = found.start["weights/0"].copy()
    model = found.fresh_model()
    model.trainable_weights[0].assign(start + 1)
    again = keras.ops.convert_to_numpy(found.fresh_model().trainable_weights[0])
    assert np.array_equal(again, start)


def test_a_later_fit_is_taken_where_it_is_asked_for(run):
    text = f"""{MODEL}
model.compile("sgd", "mse")
model.fit(x, y, epochs=1, verbose=0)
model.fit(x[:4], y[:4], epochs=3, shuffle=False, initial_epoch=1)
"""
    found = run(text, fit=2)
    assert len(found.x) == 4
    assert found.amount == Amount(batch_size=4, epochs=2)
    assert any("the optimizer" in note for note in found.notes)  # it has counted the steps of the first fit


def fitted(arguments, compiled="", epochs=2):
    return f"{MODEL}\nmodel.compile('sgd', 'mse'{compiled})\nmodel.fit(x, y, epochs={epochs}, {arguments})\n"


def test_weights_of_samples_and_of_classes_become_one_number_a_sample(run):
    assert run(fitted("sample_weight=x[:, :1]")).weight.tolist() == np.linspace(0, 1, 30).reshape(10, 3)[:, 0].tolist()
    text = f"""{MODEL}
y = np.array([0, 1, 2, 1, 0, 0, 1, 1, 2, 2])
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(x, y, class_weight={{0: 0.5, 2: 3.0}}, validation_split=0.2, batch_size=3)
"""
    found = run(text)
    assert found.weight.tolist() == [0.5, 1, 3, 1, 0.5, 0.5, 1, 1]
    assert (found.given()["sample_weight"], found.given()["samples"], list(found.data())) == (
        True,
        8,
        ["x", "y", "sample_weight"],
    )
    yields = f"""{MODEL}
def batches():
    for i in range(3):
        yield x[4 * i : 4 * i + 4], y[4 * i : 4 * i + 4], x[4 * i : 4 * i + 4, 0]
model.compile("sgd", "mse")
model.fit(batches(), steps_per_epoch=3)
"""
    assert run(yields).weight.shape == (10,)


@pytest.mark.parametrize(
    ("arguments", "trained", "told"),
    [
        ("steps_per_epoch=2", {"batch_size": 5, "epochs": 2}, ""),
        ("steps_per_epoch=2, batch_size=4", {"batch_size": 4, "epochs": 1}, "2 epochs of fit are one pass"),
        ("steps_per_epoch=1, batch_size=4", {"batch_size": 4, "epochs": 1}, "fit comes to 8 of 10 samples"),
        ("steps_per_epoch=9, batch_size=4", {"batch_size": 4, "epochs": 2}, ""),
        ("batch_size=64", {"batch_size": 10, "epochs": 2}, ""),
        ("shuffle='batch'", {"shuffle": True}, "all samples are shuffled"),
        ("validation_data=(x, y), validation_split=0.5", {"epochs": 2}, "validation of fit is left out"),
        ("callbacks=keras.callbacks.EarlyStopping('loss')", {"epochs": 2}, "EarlyStopping"),
    ],
)
def test_what_becomes_of_an_argument_of_fit(run, arguments, trained, told):
    found = run(fitted(arguments))
    assert {key: getattr(found.amount, key) for key in trained} == trained
    assert len(found.x) == (8 if "8 of" in told else 10)
    assert (told in "; ".join(found.notes)) if told else not found.notes


def test_metrics_are_kept_as_compile_was_given_them(run):
    found = run(fitted("", ", metrics=['mae'], weighted_metrics=[keras.metrics.MeanSquaredError()]"))
    assert found.measured["metrics"] == ["mae"]
    assert found.notes == []
    assert list(run(fitted("")).measured) == []


@pytest.mark.parametrize("given", ["run_eagerly=True", "jit_compile=False", "steps_per_execution=3"])
def test_what_a_variant_decides_is_said_to_be_overruled(run, given):
    (note,) = run(fitted("", f", {given}")).notes
    assert note.startswith(f"{given} of compile is overruled")


def test_as_many_passes_as_fit_makes_over_the_data(run):
    assert run(fitted("steps_per_epoch=2, batch_size=4", epochs=7)).amount.epochs == 3
    assert run(fitted("steps_per_epoch=2, batch_size=4", epochs=6)).amount.epochs == 3


def test_batches_of_a_generator_are_those_of_its_first_epoch(run):
    text = f"""{MODEL}
class Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 3
    def __getitem__(self, i):
        return x[4 * i : 4 * i + 4], y[4 * i : 4 * i + 4]
model.compile("sgd", "mse")
model.fit(Pairs(), epochs=2)
"""
    found = run(text)
    assert found.x.shape == (10, 3)
    assert found.amount == Amount(batch_size=4, epochs=2)


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("", "ended without a fit"),
        ("raise SystemExit(3)", "ended itself with 3"),
        ("model.fit(x, y)", "not compiled"),
        ("model.compile('sgd', 'mse'); model.fit(x, y, class_weight={0: 1.0}, sample_weight=x[:, 0])", "one of them"),
        ("model.compile('sgd', 'mse'); model.fit(x, y, class_weight=[1.0])", "no table"),
        ("model.compile('sgd', 'mse'); model.fit(x, y, sample_weight=x)", "one number a sample"),
        ("model.compile('sgd', 'mse'); model.fit(x, y, validation_split=0.99)", "leaves 0 of 10"),
        ("model.compile('sgd', 'mse'); model.fit(x, y, epochs=2, initial_epoch=2)", "trains nothing"),
        ("model.compile('sgd', 'mse', loss_weights=2.0); model.fit(x, y)", "loss_weights"),
        ("model.compile('sgd', 'mse'); model.fit([x, x[:3]], y)", "x of arrays of 3 and 10 samples"),
        (f"{SEVERAL}model.fit([x, n], y)", "one array of targets for 2 outputs"),
        (f"{SEVERAL}model.fit([x, n], [y, c, c])", "3 targets for 2 outputs"),
        (f"{SEVERAL}model.fit([x, n], {{'a': y, 'z': c}})", "targets of z: expected those of the outputs a, b"),
        (f"{SEVERAL}model.fit([x, n], [y, c], sample_weight=x[:, 0])", "weights of samples and several targets"),
        (f"{SEVERAL}model.fit([x, n], {{'a': y}})", "no targets of the output b"),
        ("model.compile('sgd', 'mse'); model.fit(x, [y, y])", "2 targets for 1 output"),
        (f"{SEVERAL}{MASKED}model.fit(np.stack([n, n], 1), [y, y])", "has a mask"),
        (f"{SEVERAL}model.compile('sgd', [None, SUM]); model.fit([x, n], [y, c])", "the loss of b has reduction='sum'"),
        ("model.compile('sgd', 'mse'); model.fit(x)", "no targets"),
        ("model.compile('sgd', 'mse'); model.fit(x, y[:3])", "10 samples and 3 targets"),
        (
            "def endless():\n    while True:\n        yield x, y\nmodel.compile('sgd', 'mse'); model.fit(endless())",
            "endless",
        ),
        ("nothing.here()", r"line 6: NameError"),
        ("if True print", "no Python"),
    ],
)
def test_what_cannot_be_taken_is_one_line(run, ending, told, monkeypatch):
    monkeypatch.setattr("qparity.circuit.fit.MOST_BATCHES", 20)
    told = "give steps_per_epoch" if told == "endless" else told
    with pytest.raises(ScriptError, match=told) as raised:
        run(MODEL + "\n" + ending + "\n")
    assert "\n" not in str(raised.value)
    assert "fit" not in vars(keras.Model)


@pytest.mark.parametrize(
    "fitted",
    [
        "[x, n], [y, c]",
        "{'i': x, 'j': n}, {'b': c, 'a': y[..., None]}",
        "(((x[k:k+4], n[k:k+4]), (y[k:k+4], c[k:k+4])) for k in (0, 4, 8))",
    ],
)
def test_several_inputs_and_outputs_become_one_of_each_with_the_same_loss(run, fitted):
    found = run(f"{MODEL}{SEVERAL}model.fit({fitted})")
    assert (found.x.shape, found.y.shape) == ((10, 4), (10, 3))
    assert found.described().own == ["loss"]
    assert any("metrics are left out" in note for note in found.notes)
    model = found.fresh_model()
    assert [w.path for w in model.trainable_weights] == [w.path for w in model.model.trainable_weights]
    x, y = found.x.astype("float32"), found.y.astype("float32")
    got = keras.ops.convert_to_numpy(found.loss(y, model(x)))
    model.model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], loss_weights=[2.0, 0.5])
    parts = [x[:, :3], x[:, 3].astype("int32")], [y[:, :2, None], y[:, 2]]
    np.testing.assert_allclose(got, model.model.evaluate(*parts, verbose=0)[0], rtol=1e-6)


def test_a_model_of_several_in_half_precision_is_handed_its_numbers_as_they_are(run):
    text = f"{MODEL}{SEVERAL}model.fit([x, n], [y, c])"
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = run(text).fresh_model()
        assert model.compute_dtype == keras.config.floatx()
        assert model.model.layers[-1].compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy(before)


def test_every_loss_and_optimizer_of_keras_has_its_table_and_others_have_none():
    with rates_kept():
        names = ("Adam", "Ftrl", "Muon", "Lamb", "Adafactor")
        made = [getattr(keras.optimizers, name)() for name in names]
        schedule = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
        changed = keras.optimizers.SGD(0.1)
    changed.learning_rate = 0.25
    assert [optimizer_table(each)["name"] for each in made] == [name.lower() for name in names]
    assert optimizer_table(changed)["learning_rate"] == 0.25
    assert optimizer_table(schedule)["learning_rate"] == 0.1
    assert schedule_table(schedule) == {"name": "cosine_decay", "decay_steps": 10}
    assert optimizer_table(keras.optimizers.SGD(lambda: 0.1)) is None
    assert optimizer_table(keras.optimizers.Adam(use_ema=True)) == optimizer_table(keras.optimizers.Adam())
    averages = {"ema_overwrite_frequency": 3, "ema_momentum": 0.9}
    assert optimizer_table(keras.optimizers.Adam(use_ema=True, **averages)).items() >= averages.items()
    assert optimizer_table(keras.optimizers.Adam(**averages)) == optimizer_table(keras.optimizers.Adam())
    more = {"gradient_accumulation_steps": 2, "loss_scale_factor": 4.0}
    assert optimizer_table(keras.optimizers.Adam(**more)).items() >= more.items()
    assert loss_table("mse") == loss_table(keras.losses.mean_squared_error) == {"loss": "mse"}
    asked = keras.losses.BinaryCrossentropy(from_logits=True)
    assert loss_table(asked) == {"loss": "binary_crossentropy", "loss_options": {"from_logits": True}}
    assert loss_table(keras.losses.MeanSquaredError(reduction="sum")) is None
    assert loss_table(lambda y, f: f) is None
    assert loss_table("no such loss") is None


SCHEDULES_TRIED = [
    {"name": "exponential_decay", "decay_steps": 3, "decay_rate": 0.7},
    {"name": "exponential_decay", "decay_steps": 3, "decay_rate": 0.7, "staircase": True},
    {"name": "inverse_time_decay", "decay_steps": 4, "decay_rate": 0.3},
    {"name": "inverse_time_decay", "decay_steps": 4, "decay_rate": 0.3, "staircase": True},
    {"name": "polynomial_decay", "decay_steps": 7, "power": 2.0},
    {"name": "polynomial_decay", "decay_steps": 7, "end_learning_rate": 0.01, "cycle": True},
    {"name": "cosine_decay", "decay_steps": 9, "alpha": 0.1},
    {"name": "cosine_decay", "decay_steps": 1000},
    {"name": "polynomial_decay", "decay_steps": 1000, "end_learning_rate": 1e-6},
    {"name": "cosine_decay", "decay_steps": 9, "warmup_target": 0.3, "warmup_steps": 4},
    {"name": "cosine_decay_restarts", "first_decay_steps": 5},
    {"name": "cosine_decay_restarts", "first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.5, "alpha": 0.1},
    {"name": "piecewise_constant_decay", "boundaries": [2, 5], "values": [0.3, 0.1, 0.01]},
]


@pytest.mark.parametrize("table", SCHEDULES_TRIED, ids=lambda t: "-".join(map(str, t.values())))
def test_rates_of_a_schedule_are_those_of_keras(table):
    training = Training(optimizer={"name": "sgd", "learning_rate": 0.1}, schedule=table)
    optimizer = make_optimizer(training, "float32")
    assert schedule_table(optimizer) == table
    rate_at = optimizer._learning_rate
    if keras.backend.backend() == "jax":
        import jax

        rate_at = jax.jit(rate_at)  # as in a training; outside of one, some of them are compiled anew at each call
    for step in (*range(40), *range(985, 1003)):
        got = float(keras.ops.convert_to_numpy(rate_at(keras.ops.convert_to_tensor(step, "int32"))))
        assert is_rate(got, table, 0.1, step, 2.0**-24), step
        assert not is_rate(got * 2 + 0.5, table, 0.1, step, 2.0**-24), step
        if step == 1:  # where none of them jumps
            assert not is_rate(got * 1.001, table, 0.1, step, 2.0**-24)


def test_a_script_is_compiled_as_it_is_written(run):
    found = run(
        f"{MODEL}\ndef f(n: 1 + 1): ...\nmodel.compile('sgd', 'mse')\nmodel.fit(x, y, epochs=f.__annotations__['n'])"
    )
    assert found.amount.epochs == 2


def test_what_a_script_compiles_with_here_and_not_where_it_was_captured_is_named(run):
    found = run(f"{MODEL}\nmodel.compile('sgd', 'mae')\nmodel.fit(x, y, shuffle=False)")

    def captured(**training):
        table = {"name": "captured", "samples": 10}
        told = {"optimizer": {"name": "sgd"}, "loss": "mae", **training}
        return Scenario(
            name="s", script=ScriptSpec(file="train.py"), model=SCRIPTED, data=table, training=told, dtype=found.dtype
        )

    assert found.differs_from(captured()) is None
    assert found.differs_from(captured(loss="mse")) == "loss is mae here, mse where it was captured"
    assert found.differs_from(captured(optimizer={"name": "adam"})).startswith("optimizer is sgd here, adam")
    scenario = captured()
    there = {**found.given(), "batch_size": 5, "epochs": 7}
    other = scenario.model_copy(update={"script": scenario.script.model_copy(update={"given": there})})
    assert found.differs_from(other) == "batch_size is 10 here, 5 where it was captured"
    same = {**there, "batch_size": 10, "epochs": 1}
    for key, value in {"epochs": 2, "shuffle": True, "samples": 9, "sample_weight": True, "policies": ["x"]}.items():
        given = scenario.script.model_copy(update={"given": same | {key: value}})
        assert found.differs_from(scenario.model_copy(update={"script": given})).startswith(f"{key} is ")
