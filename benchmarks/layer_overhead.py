"""What the Keras layer costs: a step of `model.fit` against a loop written by hand on the same QNode.

    python benchmarks/layer_overhead.py [-v torch -v jax-jit] [--seconds 30] [--update docs/layer.md]

4 wires, 3 layers, batches of 32, default.qubit with backprop, float64, Adam, 40 steps an epoch. Each variant has a
process of its own, with one thread. In it one `fit` runs, and after each of its epochs the loop takes as many steps:
every round yields a pair, so that what slows the machine slows both. The loop uses the framework's own means, is given
ready batches on the device, and reads nothing back but the last loss. TensorFlow's graph modes are also compared with
the eager loop, in the same rounds.

Both clocks are read, and the targets are held by CPU time: on a machine of one's own the two agree, on a shared one
it is what is left when the others are taken out. The processes are not bound to a core: TensorFlow's `fit` on a single
core now and then sleeps 0.3 s between epochs, which no clock but the wall shows.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
WIRES, LAYERS, BATCH, STEPS, RATE = 4, 3, 32, 40, 0.01
VARIANTS = ("tf", "tf-graph", "tf-xla", "torch", "jax", "jax-jit")
LIMIT = 1.20
SPEEDUPS = {"tf-graph": 20.0, "tf-xla": 40.0}
MIN_ROUNDS = 3
WALL, CPU = 0, 1
START, END = "<!-- made by benchmarks/layer_overhead.py -->", "<!-- end -->"

Loop = Callable[[int], float]


def main() -> int:
    """Measure the variants one after another, print the table, and say (exit code 1) if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-v", "--variant", action="append", choices=VARIANTS)
    parser.add_argument("--seconds", type=float, default=30, help="how long to measure each variant")
    parser.add_argument("--update", type=Path, help="file whose marked section gets the table")
    parser.add_argument("--child", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.seconds)))
        return 0
    rows = []
    for variant in options.variant or VARIANTS:
        command = [sys.executable, __file__, "--child", variant, "--seconds", str(options.seconds)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "harness", ROOT)))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{variant}: {done.stderr[-2000:]}")
        rows.append(summary(variant, json.loads(done.stdout.splitlines()[-1])))
    text = table(rows)
    print(text)
    if options.update:
        before, _, rest = options.update.read_text().partition(START)
        after = rest.partition(END)[2]
        options.update.write_text(f"{before}{START}\n{text}\n{END}{after}")
    return int(any(row["missed"] for row in rows))


# What the parent makes of it


def summary(variant: str, rounds: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Medians in seconds a step, paired ratios with their interval, and whether the targets are met."""
    fit, native = np.array(rounds["fit"]), np.array(rounds["native"])
    ratio, speedup = interval((fit / native)[:, CPU]), None
    if rounds["eager"]:
        speedup = interval((np.array(rounds["eager"]) / fit)[:, CPU])
    return {
        "variant": variant,
        "fit": np.median(fit[:, CPU]),
        "native": np.median(native[:, CPU]),
        "ratio": ratio,
        "wall": interval((fit / native)[:, WALL]),
        "rounds": len(fit),
        "speedup": speedup,
        "missed": ratio[0] > LIMIT or (speedup is not None and speedup[0] < SPEEDUPS[variant]),
    }


def interval(values: np.ndarray, resamples: int = 4000) -> tuple[float, float, float]:
    """Median of paired ratios and its 95% bootstrap interval."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (resamples, len(values))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(values)), float(low), float(high)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    heads = ["variant", "`fit`", "own loop", "ratio, CPU time", "ratio, wall", "rounds", "against eager TensorFlow"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        ratio, wall = ("{:.2f} ({:.2f} to {:.2f})".format(*row[name]) for name in ("ratio", "wall"))
        speedup = "{:.0f}x faster ({:.0f} to {:.0f})".format(*row["speedup"]) if row["speedup"] else ""
        times = f"{row['fit'] * 1e3:.3g} ms | {row['native'] * 1e3:.3g} ms"
        lines.append(f"| `{row['variant']}` | {times} | {ratio} | {wall} | {row['rounds']} | {speedup} |")
    return "\n".join(lines)


# What runs in a child


def measure(name: str, seconds: float) -> dict[str, list[list[float]]]:
    """Seconds a step of each round: of `fit`, of the own loop, and of the eager own loop where that is asked for."""
    from qparity.scenario.variant import Variant
    from qparity.worker import backends

    variant = Variant.parse(name)
    os.environ.update(backends.environment(variant.backend, "cpu", 1))
    backend = backends.load(variant.backend, "cpu", 1)
    backend.start("float64")

    import keras

    from qparity import QKerasLayer

    keras.config.set_floatx("float64")
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-3, 3, (BATCH * STEPS, 1)), rng.uniform(-1, 1, (BATCH * STEPS, 1))
    layer = QKerasLayer("data_reuploading", wires=WIRES, layers=LAYERS, features=1, diff_method="backprop", seed=1)
    model = keras.Sequential([keras.Input((1,), batch_size=None), layer])
    options = backend.compile_options(variant.mode, STEPS)
    model.compile(keras.optimizers.Adam(RATE), loss="mse", **options)
    batches = [(x[i : i + BATCH], y[i : i + BATCH, 0]) for i in range(0, len(x), BATCH)]
    weights = np.array(keras.ops.convert_to_numpy(layer.weights[0]))

    def qnode(weights: Any, inputs: Any) -> Any:
        return layer.executor.qnode({"weights": weights}, inputs)[0]

    native = LOOPS[variant.backend](qnode, weights, batches, variant.mode)
    eager = LOOPS["tensorflow"](qnode, weights, batches, "eager") if name in SPEEDUPS else None
    rounds: dict[str, list[list[float]]] = {"fit": [], "native": [], "eager": []}
    end = 0.0

    def stretch(loop: Loop, steps: int) -> list[float]:
        start = clocks()
        loss = loop(steps)
        taken = since(start, steps)
        assert np.isfinite(loss)
        return taken

    class Rounds(keras.callbacks.Callback):
        """The first epoch and one stretch of each loop are for compiling."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = clocks()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            nonlocal end
            fit = since(self.start, STEPS)
            if epoch == 0:
                stretch(native, 2)
                stretch(eager, 1) if eager else None
                end = time.perf_counter() + seconds
                return
            rounds["fit"].append(fit)
            rounds["native"].append(stretch(native, STEPS))
            if eager:
                rounds["eager"].append(stretch(eager, 1))
            self.model.stop_training = len(rounds["fit"]) >= MIN_ROUNDS and time.perf_counter() > end

    model.fit(*fit_data(x, y, variant), epochs=100_000, shuffle=False, verbose=0, callbacks=[Rounds()])
    return rounds


def fit_data(x: np.ndarray, y: np.ndarray, variant: Any) -> tuple[Any, ...]:
    """What `fit` gets: arrays, but ready batches in TensorFlow's graph modes, where arrays cost 25 ms an epoch."""
    if variant.backend != "tensorflow" or variant.mode == "eager":
        return x, y, BATCH
    import tensorflow as tf

    batches = [array.reshape(-1, BATCH, 1) for array in (x, y)]
    return (tf.data.Dataset.from_tensor_slices(tuple(batches)),)


def clocks() -> tuple[float, float]:
    """Wall and processor seconds, after the garbage of what came before is gone."""
    gc.collect()
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float], steps: int) -> list[float]:
    """Wall and processor seconds a step."""
    return [(time.perf_counter() - start[0]) / steps, (time.process_time() - start[1]) / steps]


def torch_loop(qnode: Any, start: np.ndarray, batches: list[Any], mode: str) -> Loop:
    """`torch.optim.Adam`."""
    import torch

    weights = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=RATE)
    ready = [(torch.tensor(x), torch.tensor(y)) for x, y in batches]

    def run(steps: int) -> float:
        for x, y in ready[:steps]:
            optimizer.zero_grad()
            loss = ((qnode(weights, x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
        return float(loss)

    return run


def jax_loop(qnode: Any, start: np.ndarray, batches: list[Any], mode: str) -> Loop:
    """`optax.adam`; under jit, gradient and update are one compiled function."""
    import jax
    import optax

    optimizer = optax.adam(RATE)
    ready = [(jax.numpy.asarray(x), jax.numpy.asarray(y)) for x, y in batches]
    weights = jax.numpy.asarray(start)
    state = weights, optimizer.init(weights)

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        return ((qnode(weights, x) - y) ** 2).mean()

    def step(weights: Any, slots: Any, x: Any, y: Any) -> Any:
        loss, gradient = jax.value_and_grad(loss_of)(weights, x, y)
        updates, slots = optimizer.update(gradient, slots)
        return loss, (optax.apply_updates(weights, updates), slots)

    taken = jax.jit(step) if mode == "jit" else step

    def run(steps: int) -> float:
        nonlocal state
        for x, y in ready[:steps]:
            loss, state = taken(*state, x, y)
        jax.block_until_ready(state)
        return float(loss)

    return run


def tensorflow_loop(qnode: Any, start: np.ndarray, batches: list[Any], mode: str) -> Loop:
    """`tf.Variable`, `GradientTape` and TensorFlow's own Adam kernel; `tf.function` in the graph modes."""
    import tensorflow as tf

    weights, m, v = tf.Variable(start), tf.Variable(np.zeros_like(start)), tf.Variable(np.zeros_like(start))
    powers = tf.Variable(np.ones(2))
    betas = tf.constant([0.9, 0.999], tf.float64)
    ready = [(tf.constant(x), tf.constant(y)) for x, y in batches]

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((qnode(weights, x) - y) ** 2)
        gradient = tape.gradient(loss, weights)
        powers.assign(powers * betas)
        tf.raw_ops.ResourceApplyAdam(
            var=weights.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=tf.constant(RATE, tf.float64),
            beta1=betas[0],
            beta2=betas[1],
            epsilon=tf.constant(1e-7, tf.float64),
            grad=gradient,
        )
        return loss

    taken = step if mode == "eager" else tf.function(step, jit_compile=mode == "xla", autograph=False)

    def run(steps: int) -> float:
        for x, y in ready[:steps]:
            loss = taken(x, y)
        return float(loss)

    return run


LOOPS = {"torch": torch_loop, "jax": jax_loop, "tensorflow": tensorflow_loop}

if __name__ == "__main__":
    sys.exit(main())
