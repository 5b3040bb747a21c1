"""The tutorial: a one-qubit circuit learns a Fourier series, on any Keras backend; `fourier.ipynb` is made from it."""

# %% [markdown]
# # A quantum circuit that learns a Fourier series, on any Keras backend
#
# A circuit that encodes its input `x` once, between two trainable rotations, can only compute functions of the form
# $c_0 + c_1 e^{ix} + c_1^* e^{-ix}$: a Fourier series of degree one
# ([Schuld, Sweke and Meyer, 2021](https://doi.org/10.1103/PhysRevA.103.032430)). Each further layer encodes `x` again
# and adds a degree. So let one qubit learn such a series, as an ordinary layer of an ordinary Keras model.
#
# As a script: `python examples/fourier.py --backend jax --device lightning.qubit --layers 2`.

# %%
import argparse
import os
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description="Fit a Fourier series with a one-qubit circuit in Keras.")
parser.add_argument("--backend", choices=("tensorflow", "torch", "jax"), default="torch")
parser.add_argument("--device", default="default.qubit", help="PennyLane device")
parser.add_argument("--diff-method", default="best", help="PennyLane differentiation method")
parser.add_argument("--layers", type=int, default=1, help="encodings of x, so the degree that can be learnt")
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--output", type=Path, default=Path("fourier"), help="folder for the figures and the model")
# In a notebook, write the arguments into the list: parse_args(["--backend", "jax"]).
arguments = parser.parse_args([] if "ipykernel" in sys.modules else None)
arguments.output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# Keras reads its backend from the environment when it is imported, and JAX its precision. That is the whole switch:
# nothing below depends on it.

# %%
os.environ["KERAS_BACKEND"] = arguments.backend
os.environ["JAX_ENABLE_X64"] = "1"
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import matplotlib.pyplot as plt
import numpy as np

from qparity import QKerasLayer

keras.config.set_floatx("float64")
BATCH = 32
rng = np.random.default_rng(42)


def keep(figure, name):
    """Save a figure; a notebook shows it as well."""
    figure.savefig(arguments.output / f"{name}.png", dpi=120, bbox_inches="tight")


# %% [markdown]
# ## The target
# A series of degree one, with $c_0 = 0.1$ and $c_1 = 0.15 + 0.15i$, at 70 points.

# %%
DEGREE, SCALING, COEFFICIENT, OFFSET = 1, 1.0, 0.15 + 0.15j, 0.1


def target(x):
    """The truncated Fourier series; real, because each term comes with its conjugate."""
    terms = (2 * np.real(COEFFICIENT * np.exp(1j * k * SCALING * x)) for k in range(1, DEGREE + 1))
    return OFFSET + sum(terms)


x = np.linspace(-6, 6, 70)[:, None]
y = target(x)


def plot(title, predictions=None):
    """The target as a line, and a model's predictions as points."""
    figure, axes = plt.subplots(figsize=(6, 3))
    axes.plot(x, y, color="black", label="target")
    if predictions is not None:
        axes.plot(x, predictions, "o", markersize=4, color="tab:blue", label="model")
    axes.set(title=title, xlabel="x", ylabel="f(x)", ylim=(-1.1, 1.1))
    axes.legend(loc="upper right")
    return figure


keep(plot("What is to be learnt"), "target")

# %% [markdown]
# ## The circuit
# `QKerasLayer` takes a circuit by name, or a quantum function of your own. A layer can draw itself.

# %%
quantum = QKerasLayer(
    "data_reuploading",
    wires=1,
    layers=arguments.layers,
    features=1,
    circuit_options={"scaling": SCALING},
    device=arguments.device,
    diff_method=arguments.diff_method,
    max_batch_size=BATCH,
    name="quantum",
)
print(quantum.draw())
figure, _ = quantum.draw("mpl")
keep(figure, "circuit")

# %% [markdown]
# ## The model, before training
# Backends draw different random numbers from one seed: with angles drawn by NumPy all start from the same model.

# %%
model = keras.Sequential([keras.Input((1,)), quantum], name="fourier")
model.set_weights([rng.uniform(0, 2 * np.pi, weight.shape) for weight in model.weights])
model.summary()
keep(plot("A random model", model.predict(x, verbose=0)), "random_model")

# %% [markdown]
# ## Training
# `fit`, as for any other model. The order of the data is fixed for the same reason as the start.

# %%
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.03), loss="mse")
history = model.fit(x, y, batch_size=BATCH, epochs=arguments.epochs, shuffle=False, verbose=2)
loss = model.evaluate(x, y, batch_size=BATCH, verbose=0)
print(f"final loss: {loss:.3e}")

figure, axes = plt.subplots(figsize=(6, 3))
axes.semilogy(range(1, arguments.epochs + 1), history.history["loss"], color="tab:blue")
axes.set(title="Training", xlabel="epoch", ylabel="mean squared error")
keep(figure, "training")

# %%
predictions = model.predict(x, batch_size=BATCH, verbose=0)
keep(plot("The trained model", predictions), "fit")

# %% [markdown]
# ## Save, load, predict the same
# The file holds no trace of the backend: another one can load it too (with `compile=False`, if it was saved on torch).

# %%
file = arguments.output / "model.keras"
model.save(file)
loaded = keras.models.load_model(file)
np.testing.assert_array_equal(loaded.predict(x, batch_size=BATCH, verbose=0), predictions)
print(f"the loaded model predicts the same; figures and model are in {arguments.output}")
