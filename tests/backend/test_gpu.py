"""What a GPU asks of a backend, as far as a CPU can tell: placement, flags, refusals, repetition."""

import math

import keras
import numpy as np
import pytest

from qparity.circuit.layer import QKerasLayer
from qparity.circuit.model import build_model
from qparity.scenario.schema import Scenario
from qparity.worker import audit, training
from qparity.worker.child import refusal_on_gpu

SCENARIO = Scenario.model_validate({"name": "tiny", "data": {"samples": 2}, "training": {"batch_size": 2, "epochs": 1}})


def record(backend):
    model = build_model(SCENARIO, 1, 1)
    model.compile(
        optimizer=training.make_optimizer(SCENARIO.training, "float64"),
        loss=training.make_loss(SCENARIO.training),
        **backend.compile_options("eager", 1),
    )
    for weight in model.trainable_weights:
        weight.assign(np.full(weight.shape, 0.3))
    data = audit.Data(np.array([[0.1], [0.2]]), np.array([[0.5], [0.1]]), np.array([[0, 1]]))
    return audit.record(model, backend, "eager", SCENARIO, data, lambda *_: None)


def test_every_tensor_of_a_step_is_where_the_variant_says(backend):
    about, _, _ = record(backend)
    assert about["devices"] == {
        "weights": ["cpu"],
        **dict.fromkeys(("loss", "predictions", "sample_loss", "gradients/0"), "cpu"),
    }


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        (lambda shape: shape == (), "step 0: loss lies on the gpu: requested cpu"),
        (lambda shape: shape == (2, 1), "step 0: predictions lies on the gpu: requested cpu"),
    ],
)
def test_a_tensor_on_another_device_is_an_error_that_names_it(backend, monkeypatch, elsewhere, words):
    monkeypatch.setattr(backend, "device_of", lambda tensor: "gpu" if elsewhere(tuple(tensor.shape)) else "cpu")
    with pytest.raises(RuntimeError, match=words):
        record(backend)


def test_tf32_is_off_and_said_to_be_on_where_it_is(backend, monkeypatch):
    flags = backend.flags()
    assert (flags["tf32"], bool(flags["deterministic"])) == (False, False)
    monkeypatch.setattr(backend, "accelerator", "gpu")
    assert backend.flags()["tf32"] is False
    if backend.name == "torch":
        backend.torch.backends.cuda.matmul.allow_tf32 = True  # not by monkeypatch: this module cannot forget a name
    elif backend.name == "tensorflow":
        backend.tf.config.experimental.enable_tensor_float_32_execution(True)
    else:
        backend.jax.config.update("jax_default_matmul_precision", None)
    assert backend.flags()["tf32"] is True
    backend.start("float64", stock=True)
    assert backend.flags()["tf32"] is True
    backend.start("float64")
    assert backend.flags()["tf32"] is False


@pytest.mark.parametrize(
    ("device", "method", "refused"),
    [
        ("default.qubit", "backprop", None),
        ("default.qubit", "best", None),
        ("default.qubit", "adjoint", "default.qubit with adjoint simulates on the CPU"),
        ("lightning.qubit", "best", "lightning.qubit with adjoint simulates on the CPU"),
    ],
)
def test_what_simulates_on_the_cpu_is_refused_on_a_gpu(backend, device, method, refused):
    said = refusal_on_gpu([QKerasLayer(device=device, diff_method=method)])
    assert said is None if refused is None else said.startswith(refused)


def test_a_second_recording_is_compared_bit_by_bit(backend):
    first, second = record(backend)[1], record(backend)[1]
    assert audit.repeated(first, second) == {"bitwise": True, "differences": {}}
    second["gradients/0"][0, 0] += 2e-8
    found = audit.repeated(first, second)
    assert not found["bitwise"]
    assert found["differences"] == {"gradients/0": pytest.approx(2e-8)}
    second["loss"] = second["loss"][:0]
    assert audit.repeated(first, second)["differences"]["loss"] == math.inf, "it ended at another step"


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX took it away")
def test_pennylane_finds_what_a_newer_jax_has_removed(backend, monkeypatch):
    def gone(name):
        raise AttributeError(name)

    core = backend.jax.core
    for name in ("is_concrete", "concrete_or_error"):
        monkeypatch.delitem(vars(core), name, raising=False)
    monkeypatch.setattr(core, "__getattr__", gone, raising=False)
    assert record(backend)[1]["gradients/0"].any()
    assert backend.jax.jit(lambda x: core.is_concrete(x) * x)(1.0) == 0.0
    assert core.concrete_or_error(float, np.array(2.0)) == 2.0
    with pytest.raises(backend.jax.errors.ConcretizationTypeError):
        backend.jax.jit(lambda x: core.concrete_or_error(None, x))(1.0)
