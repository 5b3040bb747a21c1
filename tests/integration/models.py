"""Models of the kinds that people build around a circuit, each correct: what differs is what must be judged of it."""

import keras
import numpy as np
import pennylane as qml
from keras import ops

from qparity import QKerasLayer


def circuit(weights, inputs, wires):
    for wire in range(wires):
        qml.RX(inputs[..., wire], wires=wire)
        qml.RY(weights[wire], wires=wire)
    qml.CNOT(wires=[0, 1])
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(x, y, y_pred, sample_weight, training) + ops.square(ops.sum(y_pred))


class OwnStep(keras.Model):
    """Trains nothing."""

    def train_step(self, *arguments):
        if keras.backend.backend() == "jax":
            return {"loss": ops.sum(arguments[1][0]) * 0.0}, arguments[0]
        return {"loss": ops.sum(arguments[0][0]) * 0.0}


class Penalty(keras.layers.Layer):
    def call(self, x):
        self.add_loss(0.1 * ops.sum(ops.abs(x)))
        return x


class Spare(keras.layers.Layer):
    """A weight that nothing reads."""

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 2))
        self.spare = self.add_weight(name="spare", shape=(2, 2))

    def call(self, x):
        return ops.matmul(x, self.kernel)


class Bare(keras.layers.Layer):
    """A QNode in a layer of one's own, with a table of interfaces that has no entry for NumPy."""

    def __init__(self, backend, **options):
        super().__init__(**options)
        interface = {"tensorflow": "tf", "torch": "torch", "jax": "jax"}[backend()]
        device = qml.device("default.qubit", wires=2)

        @qml.qnode(device, interface=interface)
        def run(weights, x):
            return circuit(weights, x, 2)

        self.run = run

    def build(self, shape):
        self.angles = self.add_weight(name="angles", shape=(2,))

    def call(self, x):
        return ops.cast(ops.stack(self.run(self.angles.value, x), axis=-1), self.compute_dtype)

    def compute_output_shape(self, shape):
        return (shape[0], 2)


class Differences(Bare):
    """Its QNode is differentiated by finite differences, of which no scenario knows."""

    def __init__(self, **options):
        super().__init__(keras.backend.backend, **options)
        self.run = self.run.update(diff_method="finite-diff")


class SetUp(Bare):
    """It imports its framework to set it up, and asks which one it is again when it is called."""

    def __init__(self, **options):
        super().__init__(keras.backend.backend, **options)
        if keras.backend.backend() == "torch":
            import torch

            torch.set_default_dtype(torch.float32)
        elif keras.backend.backend() == "jax":
            import jax

            self.run = jax.jit(self.run)
        elif keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            self.eager = tf.executing_eagerly

    def call(self, x):
        if keras.backend.backend() == "tensorflow" and not self.eager():
            raise NotImplementedError("graphs")
        return super().call(x)


class Sampling(Bare):
    """Its QNode has shots, of which no scenario knows."""

    def __init__(self, **options):
        super().__init__(keras.backend.backend, **options)
        self.run = qml.set_shots(self.run, 50)

    def call(self, x):
        return super().call(ops.stop_gradient(x))


class Product(keras.layers.Layer):
    """`ops.matmul`, and nothing else."""

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 3))

    def call(self, x):
        return ops.matmul(x, self.kernel)


class OneEntry(keras.layers.Layer):
    """x W; on torch the gradient of one entry of W is half as much again as it should be."""

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 3))

    def call(self, x):
        kernel, scaled = self.kernel.value, np.zeros(self.kernel.shape)
        if keras.backend.backend() == "torch":
            scaled[2, 1] = 0.5
            kernel = kernel + ops.convert_to_tensor(scaled, self.compute_dtype) * (kernel - ops.stop_gradient(kernel))
        return x @ kernel

    def compute_output_shape(self, shape):
        return (*shape[:-1], 3)


class Subclassed(keras.Model):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def build(features, outputs, dtype, device, diff_method, batch_size, kind):
    made = {"dtype": dtype}

    def quantum(name, rows=batch_size):
        return QKerasLayer(
            circuit, wires=2, weight_shapes={"weights": (2,)}, features=2, device=device, diff_method=diff_method,
            max_batch_size=rows, name=name, **made,
        )  # fmt: skip

    def dense(units, **more):
        return keras.layers.Dense(units, **more, **made)

    layers = keras.layers
    x = keras.Input((features,), **made)
    if kind == "classical":
        return keras.Sequential([x, dense(3, activation="relu"), dense(outputs)])
    if kind == "matmul":
        return keras.Sequential([x, Product(**made), dense(outputs)])
    if kind == "subclassed":
        return Subclassed([dense(2, activation="tanh"), quantum("q"), dense(outputs)])
    activity = keras.regularizers.L2(0.1) if kind == "added" else None
    h = dense(2, activation="tanh", activity_regularizer=activity)(x)
    if kind == "skip":  # one tensor is read by two circuits and by neither
        h = layers.Concatenate(**made)([h, quantum("q1")(h), quantum("q2")(h)])
    elif kind == "shared":  # a frozen layer with a backend's own seeded draws, a frozen circuit, and one called twice
        fixed = dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=7))
        first, q = quantum("first"), quantum("q")
        fixed.trainable = first.trainable = False
        h = q(dense(2)(q(first(fixed(h)))))
    elif kind == "patches":
        stacked = layers.Reshape((3, 2), **made)(dense(6)(layers.BatchNormalization(**made)(h)))
        h = layers.Flatten(**made)(quantum("q", 3 * batch_size)(stacked))
    elif kind == "added":
        h = quantum("q")(Penalty(**made)(h))
    elif kind == "mean":
        h = quantum("q")(layers.GlobalAveragePooling1D(**made)(layers.Reshape((2, 2), **made)(dense(4)(h))))
    elif kind == "pool":
        pooled = layers.AveragePooling1D(3, 2, "same", **made)(layers.Reshape((4, 1), **made)(dense(4)(h)))
        h = quantum("q")(dense(2)(layers.Flatten(**made)(pooled)))
    elif kind == "entry":
        h = quantum("q")(dense(2)(OneEntry(name="entry", **made)(dense(4)(h))))
    elif kind == "spare":
        h = quantum("q")(Spare(**made)(h))
    elif kind == "bare":
        h = Bare(keras.backend.backend, **made)(h)
    elif kind == "steps":  # three circuits, each differentiated in its own way
        options = {"wires": 2, "weight_shapes": {"weights": (2,)}, "features": 2, **made}
        wide = QKerasLayer(circuit, diff_method="finite-diff", diff_options={"h": 1e-3}, **options)
        h = quantum("exact")(dense(2)(wide(dense(2)(Differences(**made)(x)))))
    elif kind == "setup":
        h = SetUp(**made)(h)
    elif kind == "estimated":  # what comes back to the first circuit goes through SPSA
        options = {"wires": 2, "weight_shapes": {"weights": (2,)}, "features": 2, **made}
        h = QKerasLayer(circuit, diff_method="spsa", **options)(quantum("exact")(h))
    elif kind == "shots":
        h = QKerasLayer(circuit, wires=2, weight_shapes={"weights": (2,)}, features=2, shots=50, name="few", **made)(h)
    elif kind == "sampling":
        h = Sampling(**made)(h)
    elif kind == "unnamed":  # Keras' own code is told the truth
        h = Bare(keras.src.backend.backend, **made)(h)
    elif kind == "dropout":
        h = quantum("q")(layers.Dropout(0.5, seed=3, **made)(h))
    elif kind == "bfloat16":
        h = quantum("q")(keras.layers.Dense(2, dtype="bfloat16")(h))
    else:
        h = quantum("q")(h)
    last = dense(outputs, kernel_constraint=keras.constraints.MaxNorm(0.5) if kind == "added" else None)
    model = {"ownloss": OwnLoss, "ownstep": OwnStep}.get(kind, keras.Model)(x, last(h))
    if kind == "compiled":
        model.compile("adam", "mse")
    return model


def branching(weights, inputs):
    """Other gates for other samples, which no gate program has."""
    if inputs[0] > 0:
        qml.RX(inputs[0] * weights[0], wires=0)
    else:
        qml.RY(weights[0], wires=0)
        qml.CNOT(wires=[0, 1])
    qml.RX(weights[1] + inputs[1], wires=1)
    return qml.expval(qml.Z(0)), qml.probs(wires=1)


def read(weights, inputs, wires, how, where):
    """The circuit, or another one where it is traced on one backend."""
    wrong = keras.backend.backend() == where
    if wrong and how == "noise":
        import random

        inputs = inputs + random.uniform(0, 0.1)
    if wrong and how == "cast":
        weights = qml.math.cast(weights, "float32")
    for wire in range(wires):
        angle = inputs[..., wire] * (1.1 if wrong and how == "angle" else 1.0)
        qml.RX(angle, wires=wire)
        qml.RY(-weights[wire] if wrong and how == "sign" else weights[wire], wires=wire)
    qml.CNOT(wires=[1, 0] if wrong and how == "wires" else [0, 1])
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]
