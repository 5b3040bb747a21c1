"""A backend made of plain NumPy in working precision: it trains a small circuit and leaves a trace.

Nothing is shared with the oracle: dense matrices by np.kron, parameter-shift gradients, its own Adam. Faults are
injected by name, each at the step where a real one would first act.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qparity.parity import Observation
from qparity.records import Outcome, Program, read
from qparity.records.outcome import Expected

PAULI = {"RX": [[0, 1], [1, 0]], "RY": [[0, -1j], [1j, 0]], "RZ": [[1, 0], [0, -1]]}


@dataclass(frozen=True)
class Setting:
    """One training: `fault` acts from step `at` on (or at it)."""

    wires: int = 2
    layers: int = 2
    dtype: str = "float64"
    optimizer: str = "adam"
    loss: str = "mse"
    seed: int = 0
    samples: int = 10
    batch: int = 4
    epochs: int = 3
    fault: str = ""
    at: int = 0
    variant: str = "torch"
    probs: bool = False
    lucky: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    weighted: bool = False


def circuit(s: Setting) -> list[tuple[str, tuple[int, ...], str, int]]:
    """Gates as (name, wires, "w" weight | "i" feature | "", index)."""
    gates: list[tuple[str, tuple[int, ...], str, int]] = []
    k = 0
    for _ in range(s.layers):
        for w in range(s.wires):
            gates.append(("RX", (w,), "i", w))
            for name in ("RZ", "RY"):
                gates.append((name, (w,), "w", k))
                k += 1
        gates += [("CNOT", (w, w + 1), "", 0) for w in range(s.wires - 1)]
    return gates


def program(s: Setting) -> dict[str, Any]:
    """The gate program, with weights split in two arrays of one shape."""
    half = s.layers * s.wires
    gates = [
        {
            "name": name,
            "wires": list(wires),
            "params": [{"constant": 0.0, "weights": [[i, 1.0]] if kind == "w" else [],
                        "inputs": [[i, 1.0]] if kind == "i" else [], "products": []}] if kind else [],
        }
        for name, wires, kind, i in circuit(s)
    ]  # fmt: skip
    measured: list[dict[str, Any]] = [{"kind": "expval", "terms": [[1.0, [["Z", w]]]]} for w in range(s.wires)]
    if s.probs:
        measured = [{"kind": "probs", "wires": list(range(s.wires))}]
    weights = [{"name": name, "shape": [half]} for name in ("first", "second")]
    return {"schema": 1, "wires": s.wires, "features": s.wires, "weights": weights, "gates": gates,
            "measurements": measured, "not_covered": None}  # fmt: skip


def observe(s: Setting) -> Observation:
    """Train, and return what the judge would load."""
    rng = np.random.default_rng(s.seed)
    real = np.dtype(s.dtype).type
    half = s.layers * s.wires
    x = rng.uniform(-3, 3, (s.samples, s.wires)).astype(np.float32).astype(real)
    w = rng.uniform(0, 6, 2 * half).astype(np.float32).astype(real)
    outputs = 2**s.wires if s.probs else s.wires
    y = rng.uniform(-1, 1, (s.samples, outputs)).astype(np.float32).astype(real)
    shares = rng.uniform(0, 3, s.samples).astype(np.float32).astype(real) if s.weighted else None
    if s.lucky:
        y = _forward(s, circuit(s), w, x).astype(np.float32).astype(real)
    sizes = [min(s.batch, s.samples - a) for a in range(0, s.samples, s.batch)] * s.epochs
    order = np.tile(np.arange(s.samples), s.epochs)
    sent = {"x": _sha(x), "y": _sha(y), "weights": [_sha(w[:half]), _sha(w[half:])], "order": _sha(order)}
    if s.fault == "swapped weights":
        w = np.concatenate([w[half:], w[:half]])
    if shares is not None:
        sent["sample_weight"] = _sha(shares)
    trace, hyper = _train(s, w, x, y, order, sizes, shares)
    told = dict(sent) | {"order": _sha(trace["batch_index"])}
    told["weights"] = [_sha(trace["weights/0"][0]), _sha(trace["weights/1"][0])]
    scenario = {
        "name": "fake", "dtype": s.dtype, "wires": s.wires, "layers": s.layers, "diff_method": "backprop",
        "training": {"batch_size": s.batch, "epochs": s.epochs, "loss": s.loss, "shuffle": False,
                     "optimizer": {"name": s.optimizer, "learning_rate": 0.03, **dict(s.options)}},
    }  # fmt: skip
    if s.weighted:
        scenario["data"] = {"file": "d.csv", "target": ["y"], "weight": "w", "samples": s.samples}
    told_of = {"hashes": sent, "hyperparameters": hyper}
    outcome = {
        "id": s.variant, "variant": s.variant, "status": "ok", "scenario": scenario,
        "resolved": {"diff_method": "backprop"}, "expected": told_of,
        "audit": {"hashes": told, "hyperparameters": hyper},
    }  # fmt: skip
    return Observation(Outcome(outcome), trace, read(Expected, told_of), read(Program, program(s)))


def _train(
    s: Setting,
    w: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    order: np.ndarray,
    sizes: list[int],
    shares: np.ndarray | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    real = np.dtype(s.dtype).type
    half = len(w) // 2
    hyper = _hyper(s)
    rows: dict[str, list[np.ndarray]] = {}
    offsets, slots, start = [0], (np.zeros_like(w), np.zeros_like(w)), 0
    previous = w
    for t, size in enumerate(sizes):
        here = s.fault if t >= s.at else ""
        index = order[start : start + size]
        start += size
        if t == s.at and s.fault == "dropped sample":
            index = index[:-1]
        if t == s.at and s.fault == "shuffled batch":
            index = index[::-1]
        seen = index[::-1] if here == "secretly shuffled" else index
        gates = circuit(s)
        if here == "wrong wire":
            gates[1] = (gates[1][0], (1,), *gates[1][2:])
        if here == "reversed CNOT":
            gates = [(n, v[::-1], k, i) if n == "CNOT" else (n, v, k, i) for n, v, k, i in gates]
        if here == "off by one":
            gates = [(n, v, k, i + 1 if (k, i) == ("w", 0) else i) for n, v, k, i in gates]
        used = previous if here == "secretly stale" else w
        f = _forward(s, gates, used, x[seen], here)
        diff = f - y[index]
        if s.loss == "mse":
            sample, slope = (diff * diff).mean(axis=1), 2 * diff / f.shape[1]
        else:
            sample, slope = f.mean(axis=1), np.full_like(f, 1 / f.shape[1])
        plain = sample
        if shares is not None and here != "weights forgotten":
            sample, slope = sample * shares[index], slope * shares[index][:, None]
        loss, divisor = sample.mean(), real(size)
        if here == "sum for mean":
            loss, divisor = sample.sum(), real(1)
        if here == "float32 loss":
            loss = real(sample.astype(np.float32).mean())
        g = _gradient(s, gates, used, x[seen], slope / divisor)
        g = _spoil_gradient(g, here, t == s.at, real)
        new, slots = _step(s.optimizer, {**hyper, "t": t + 1}, w, g, slots, real, here)
        record = {"predictions": f, "sample_loss": plain, "loss": loss, "learning_rate": real(hyper["learning_rate"]),
                  "iterations": t, "batch_index": index}  # fmt: skip
        for name, value in (("weights", w), ("gradients", g), ("new_weights", new)):
            record |= {f"{name}/0": value[:half], f"{name}/1": value[half:]}
        for name, value in record.items():
            rows.setdefault(name, []).append(np.asarray(value))
        offsets.append(offsets[-1] + len(index))
        previous, w = w, (w if s.fault == "stale weights" and t == s.at else new)
    joined = ("predictions", "sample_loss", "batch_index")
    trace = {n: np.concatenate(v) if n in joined else np.stack(v) for n, v in rows.items()}
    reported = {k: v for k, v in hyper.items()}
    if s.fault == "beta read through float32":
        reported["beta_1"] = float(np.float32(0.9))
    kept = {} if shares is None else {"sample_weight": shares}
    return trace | {"offsets": np.array(offsets), "x": x, "y": y, **kept}, reported


def _hyper(s: Setting) -> dict[str, Any]:
    values: dict[str, Any] = {"learning_rate": 0.03}
    values |= {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7} if s.optimizer == "adam" else {"momentum": 0.0}
    return values | dict(s.options)


def _step(
    name: str, h: dict[str, Any], w: np.ndarray, g: np.ndarray, slots: tuple[np.ndarray, np.ndarray],
    real: Callable[[float], Any], fault: str,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    lr = real(h["learning_rate"] * (1 + 1e-4 * (fault == "lr + 1e-4")))
    if name == "sgd":
        mu = real(h["momentum"])
        m = mu * slots[0] - lr * g
        return w + m, (m, slots[1])
    declared = {"beta2 .9991": 0.9991}.get(fault, h["beta_2"])
    b1, b2 = real(h["beta_1"]), real(declared)
    g1, g2 = real(1 - h["beta_1"]), real(1 - declared)  # as Keras: in double first
    eps = real({"epsilon 1e-8": 1e-8}.get(fault, h["epsilon"]))
    if fault == "float32 update":
        w32, state, low = _step(name, h, w.astype(np.float32), g.astype(np.float32), slots, np.float32, ""), slots, real
        del low
        return w32[0].astype(w.dtype), (state[0] + g1 * (g - state[0]), state[1] + g2 * (g * g - state[1]))
    m, v = slots[0] + g1 * (g - slots[0]), slots[1] + g2 * (g * g - slots[1])
    rate = lr * np.sqrt(1 - b2 ** real(h["t"])) / (1 - b1 ** real(h["t"]))
    return w - rate * m / (np.sqrt(v) + eps), (m, v)


def _spoil_gradient(g: np.ndarray, fault: str, first: bool, real: Callable[[Any], Any]) -> np.ndarray:
    g = g.copy()
    if fault == "gradient x2":
        g *= 2
    if fault == "sign flip":
        g *= -1
    if fault == "gradient x(1+1e-4)" and first:
        g[np.argmax(np.abs(g))] *= 1 + 1e-4
    if fault == "float32 gradient":
        g = g.astype(np.float32).astype(g.dtype)
    return g


def _forward(s: Setting, gates: Any, w: np.ndarray, x: np.ndarray, fault: str = "") -> np.ndarray:
    real = np.dtype(s.dtype)
    kind = np.complex64 if s.dtype == "float32" else np.complex128
    state = np.zeros((len(x), 2**s.wires), kind)
    state[:, 0] = 1
    for name, wires, source, i in gates:
        if name == "CNOT":
            state = state[:, _cnot(wires, s.wires)]
            continue
        theta = (np.full(len(x), w[i]) if source == "w" else x[:, i]).astype(real) / 2
        big = np.kron(np.kron(np.eye(2 ** wires[0]), PAULI[name]), np.eye(2 ** (s.wires - 1 - wires[0]))).astype(kind)
        state = np.cos(theta)[:, None] * state - 1j * np.sin(theta)[:, None] * (state @ big.T)
        state = state.astype(kind)
    p = (state.real**2 + state.imag**2).astype(real)
    f = p
    if not s.probs:
        bits = (np.arange(2**s.wires)[:, None] >> (s.wires - 1 - np.arange(s.wires))) & 1
        f = np.stack([(p * (1 - 2 * bits[:, k]).astype(real)).sum(axis=1) for k in range(s.wires)], axis=1)
    return f.astype(np.float32).astype(real) if fault == "float32 forward" else f


def _gradient(s: Setting, gates: Any, w: np.ndarray, x: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Parameter shift gate by gate, in working precision but for the shifts, which are exact quarter turns."""
    g = np.zeros_like(w)
    for j, (name, wires, source, i) in enumerate(gates):
        if source == "w":
            # exp(-i theta/2 P) exp(-+i pi/4 P): the quarter turn is a gate of its own, so theta is not rounded.
            quarter = (name, wires, "w", len(w))
            both = [_forward(s, [*gates[: j + 1], quarter, *gates[j + 1 :]], np.append(w, w.dtype.type(q)), x)
                    for q in (np.pi / 2, -np.pi / 2)]  # fmt: skip
            g[i] += (bars * (both[0] - both[1]) / 2).sum()
    return g


def _cnot(wires: tuple[int, ...], count: int) -> np.ndarray:
    basis = np.arange(2**count)
    control, target = (count - 1 - v for v in wires)
    return basis ^ (((basis >> control) & 1) << target)


def _sha(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def variants(s: Setting, *names: str) -> list[Observation]:
    """The same training on several variants, all of them this one."""
    return [observe(replace(s, variant=name)) for name in names]
