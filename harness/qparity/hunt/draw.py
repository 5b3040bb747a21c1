"""Random circuits and trainings: number `n` of a seed is always the same one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.scenario.written import ANY, KINDS, WEIGHTS, WRITTEN, Angle, Gate, Kind, Measurement, Written

Rng = np.random.Generator

DEVICES: tuple[tuple[str, str, float], ...] = (
    ("default.qubit", "backprop", 0.33), ("default.qubit", "adjoint", 0.1), ("default.qubit", "parameter-shift", 0.1),
    ("default.qubit", "hadamard", 0.05), ("default.qubit", "finite-diff", 0.02),
    ("lightning.qubit", "adjoint", 0.15), ("lightning.qubit", "parameter-shift", 0.05),
    ("default.mixed", "backprop", 0.15), ("default.mixed", "parameter-shift", 0.05),
)  # fmt: skip
"""Device, diff method, and the share of the circuits that they get."""
ONLY_COMPILED = ("default.qubit", "backprop")
"""All that XLA compiles."""
GROUPS = {"gate": 0.76, "word": 0.05, "matrix": 0.07, "template": 0.04, "channel": 0.08}
COEFFICIENTS = (1.0, -1.0, 0.5, 2.0, 0.1, -3.7, 3.141592653589793)
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "adam"}, {"name": "adam"}, {"name": "adam", "amsgrad": True}, {"name": "sgd"},
    {"name": "sgd", "momentum": 0.9, "nesterov": True},
)  # fmt: skip
EXPVALS, MOST_MATRIX_WIRES = 0.55, 2
UNFIT: dict[tuple[str, str], tuple[str, ...]] = {
    ("lightning.qubit", "adjoint"): ("probs", "var", "purity"),
    ("default.qubit", "hadamard"): ("var", "purity"),
}
"""What a device refuses to differentiate by a method."""
SHIFTING = ("parameter-shift", "hadamard", "finite-diff")
"""Methods that run a circuit or two for each angle: these get smaller circuits."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A circuit, and the training of it: a scenario without its circuit."""

    number: int
    variant: Variant
    circuit: Written
    training: dict[str, Any]
    weights: int

    def scenario(self, circuit: Written | None = None, suffix: str = "") -> Scenario:
        """The training of this circuit, or of another in its place, by a name with a suffix."""
        return Scenario.model_validate(
            self.training
            | {
                "name": f"c{self.number:05d}{suffix}",
                "circuit": WRITTEN,
                "circuit_options": (circuit or self.circuit).options(),
                "weight_shapes": {WEIGHTS: [self.weights]},
            }
        )


def draw(seed: int, number: int, variants: Sequence[Variant]) -> Drawn:
    """Circuit `number` of a seed, on one of the variants."""
    rng = np.random.default_rng([seed, number])
    variant = variants[int(rng.integers(len(variants)))]
    device, method = _device(rng, variant)
    noisy = device == "default.mixed"
    wires = int(rng.integers(1, 4 if noisy or method in SHIFTING else 5))
    weights, features = int(rng.integers(2, 6)), int(rng.integers(1, 4))
    pen = _Pen(rng, wires, weights, features, noisy, UNFIT.get((device, method), ()))
    circuit = pen.circuit(int(rng.integers(2, 7 if method in SHIFTING else 10)))
    dtype = "float64" if method == "finite-diff" else str(rng.choice(["float32", "float64"]))
    samples = int(rng.integers(1, 5))
    optimizer = OPTIMIZERS[int(rng.integers(len(OPTIMIZERS)))]
    training = {
        "wires": wires,
        "device": device,
        "diff_method": method,
        "dtype": dtype,
        "seed": int(rng.integers(2**32)),
        "data": {"name": "random", "samples": samples, "features": features},
        "training": {
            "batch_size": int(rng.integers(1, samples + 1)),
            "epochs": 1 if samples > 2 else 2,
            "loss": "energy" if rng.random() < 0.2 else "mse",
            "optimizer": {**optimizer, "learning_rate": float(rng.choice([0.003, 0.03, 0.3]))},
        },
    }
    return Drawn(number, variant, circuit, training, weights)


def _device(rng: Rng, variant: Variant) -> tuple[str, str]:
    if variant.mode == "xla":
        return ONLY_COMPILED
    shares = np.array([share for *_, share in DEVICES])
    device, method, _ = DEVICES[int(rng.choice(len(DEVICES), p=shares / shares.sum()))]
    return device, method


class _Pen:
    """Writes one random circuit."""

    def __init__(self, rng: Rng, wires: int, weights: int, features: int, noisy: bool, unfit: tuple[str, ...]) -> None:
        self.rng, self.wires, self.weights, self.features, self.noisy = rng, wires, weights, features, noisy
        self.unfit = unfit

    def circuit(self, gates: int) -> Written:
        """A start, so many gates, and measurements."""
        begun = self.start()
        middle = [self.gate(self.kind()) for _ in range(gates)]
        found = Written((*begun, *middle), self.measured())
        if any(name[0] == "w" for angle in found.parameters for _, names in angle for name in names):
            return found
        wire = int(self.rng.integers(self.wires))  # without a weight there is nothing to train
        return Written((*found.gates, Gate("RY", (wire,), (((1.0, ("w0",)),),))), found.measured)

    def start(self) -> list[Gate]:
        """What stands first: often a rotation of every wire, since much is not seen of a state of zeros."""
        chance = self.rng.random()
        if chance < 0.15:
            return []
        if chance < 0.45:
            names = [name for name, kind in KINDS.items() if kind.group == "preparation"]
            names = [name for name in names if self.noisy or name != "QubitDensityMatrix"]
            return [self.gate(str(self.rng.choice(names)))]
        turned = [Gate(str(self.rng.choice(["RX", "RY"])), (wire,), (self.angle(),)) for wire in range(self.wires)]
        return [gate for wire in range(self.wires) for gate in (Gate("Hadamard", (wire,)), turned[wire])]

    def kind(self) -> str:
        """The name of a gate for the middle of the circuit."""
        shares = {group: share for group, share in GROUPS.items() if self.noisy or group != "channel"}
        total = np.array(list(shares.values()))
        group = str(self.rng.choice(list(shares), p=total / total.sum()))
        fitting = [name for name, kind in KINDS.items() if kind.group == group and kind.wires <= self.wires]
        fitting = [name for name in fitting if name != "GroverOperator" or self.wires > 1]
        return str(self.rng.choice(fitting))

    def gate(self, name: str) -> Gate:
        """A gate of that name somewhere, perhaps controlled, inverted, raised to a power or decomposed."""
        kind, rng = KINDS[name], self.rng
        most = min(self.wires, MOST_MATRIX_WIRES) if kind.group in ("matrix", "channel") else self.wires
        least = 2 if name == "GroverOperator" else 1
        if kind.group == "preparation":
            count = int(rng.integers(1, self.wires + 1))
        else:
            count = int(rng.integers(least, most + 1)) if kind.wires == ANY else kind.wires
        places = [int(wire) for wire in rng.permutation(self.wires)]
        wires, others = tuple(places[:count]), places[count:]
        probability = kind.group == "channel"
        angles = tuple(self.strength() if probability else self.angle(kind) for _ in range(kind.count(count)))
        word = "".join(rng.choice(list("XYZ"), count)) if kind.group == "word" else ""
        made = Gate(name, wires, angles, word=word, numbers=self.numbers(name, count))
        if kind.group in ("preparation", "channel"):
            return made
        if rng.random() < 0.12:
            made = made.changed(adjoint=True)
        if kind.group == "gate" and rng.random() < 0.06:
            made = made.changed(power=int(rng.integers(2, 4)))
        if others and kind.group != "template" and rng.random() < 0.2:
            control = tuple(others[: int(rng.integers(1, len(others) + 1))])
            made = made.changed(control=control, values=tuple(int(bit) for bit in rng.integers(0, 2, len(control))))
        return made

    def angle(self, kind: Kind | None = None) -> Angle:
        """A weight, a feature, a multiple, a sum, a product or a constant; amplitudes are not all zero."""
        rng = self.rng
        w, x = f"w{rng.integers(self.weights)}", f"x{rng.integers(self.features)}"
        c = float(rng.choice(COEFFICIENTS))
        forms: tuple[Angle, ...] = (
            ((1.0, (w,)),),
            ((c, (w,)),),
            ((1.0, (x,)),),
            ((c, (x,)),),
            ((c, (w,)), (1.0, (x,))),
            ((1.0, (w, x)),),
            ((1.0, (w,)), (c, ())),
            ((c, ()),),
        )
        if kind is not None and kind.group in ("preparation", "template"):
            forms = forms[:2] if kind.group == "template" or rng.random() < 0.7 else forms[:4]
            return forms[int(rng.integers(len(forms)))]
        return forms[int(rng.choice(8, p=[0.36, 0.12, 0.12, 0.1, 0.1, 0.08, 0.07, 0.05]))]

    def strength(self) -> Angle:
        """The strength of a channel: constant, trained, or of a feature; far from 0 and 1 wherever they are."""
        rng = self.rng
        w, x = f"w{rng.integers(self.weights)}", f"x{rng.integers(self.features)}"
        forms: tuple[Angle, ...] = (((0.15, ()),), ((0.02, (w,)), (0.1, ())), ((0.02, (x,)), (0.2, ())))
        return forms[int(rng.choice(3, p=[0.3, 0.5, 0.2]))]

    def numbers(self, name: str, wires: int) -> tuple[float, ...]:
        """The constants of a gate that has some."""
        size = 2**wires
        if name == "BasisState":
            return tuple(float(bit) for bit in self.rng.integers(0, 2, wires))
        if name == "QubitUnitary":
            return _parts(_unitary(self.rng, size))
        if name == "DiagonalQubitUnitary":
            return _parts(np.exp(2j * np.pi * self.rng.random(size)))
        if name == "QubitChannel":  # the blocks of an isometry
            return _parts(_unitary(self.rng, 2 * size)[:, :size].reshape(2, size, size))
        if name == "QubitDensityMatrix":
            vector = _unitary(self.rng, size)[:, 0]
            return _parts(0.7 * np.outer(vector, vector.conj()) + 0.3 * np.eye(size) / size)
        return ()

    def measured(self) -> tuple[Measurement, ...]:
        """One measurement or two."""
        rng = self.rng
        forms: tuple[Callable[[], Measurement], ...] = (
            self.probabilities, self.variance, self.hermitian, self.projector, self.purity, self.coefficients,
        )  # fmt: skip
        shares = (0.35, 0.2, 0.15, 0.1, 0.08, 0.12)
        count = 2 if rng.random() < 0.25 else 1
        drawn = [
            self.expval() if rng.random() < EXPVALS else forms[int(rng.choice(len(forms), p=shares))]()
            for _ in range(count)
        ]
        return tuple(self.expval() if m.kind in self.unfit else m for m in drawn)

    def terms(self, most: int) -> tuple[tuple[float, str, tuple[int, ...]], ...]:
        """Different Pauli words with coefficients; of a single one 1."""
        rng = self.rng
        found: dict[tuple[str, tuple[int, ...]], float] = {}
        for _ in range(int(rng.integers(1, most + 1))):
            count = int(rng.integers(1, min(self.wires, 3) + 1))
            wires = tuple(sorted(int(wire) for wire in rng.permutation(self.wires)[:count]))
            found["".join(rng.choice(list("XYZ"), count)), wires] = round(float(rng.normal()), 3)
        if len(found) == 1:
            return tuple((1.0, word, wires) for word, wires in found)
        return tuple((c, word, wires) for (word, wires), c in found.items())

    def expval(self) -> Measurement:
        """Of a word, or a sum of them."""
        return Measurement("expval", self.terms(1 if self.rng.random() < 0.6 else 3))

    def variance(self) -> Measurement:
        """Of a word, or a sum of them."""
        return Measurement("var", self.terms(1 if self.rng.random() < 0.6 else 3))

    def coefficients(self) -> Measurement:
        """An expectation value whose coefficients are trained."""
        terms = self.terms(2)
        return Measurement("expval", terms, tuple(((1.0, (f"w{self.rng.integers(self.weights)}",)),) for _ in terms))

    def probabilities(self) -> Measurement:
        """Of some wires, or in the eigenbasis of a word."""
        if self.rng.random() < 0.25:
            return Measurement("probs", self.terms(1))
        return Measurement("probs", wires=self.some_wires())

    def hermitian(self) -> Measurement:
        """An expectation value or a variance of a matrix."""
        wires = self.some_wires(2)
        matrix = _unitary(self.rng, 2 ** len(wires))
        kind = "expval" if self.rng.random() < 0.7 else "var"
        return Measurement(kind, wires=wires, observable="hermitian", numbers=_parts((matrix + matrix.conj().T) / 2))

    def projector(self) -> Measurement:
        """The probability of one outcome."""
        wires = self.some_wires(2)
        bits = tuple(float(bit) for bit in self.rng.integers(0, 2, len(wires)))
        return Measurement("expval", wires=wires, observable="projector", numbers=bits)

    def purity(self) -> Measurement:
        """Of some wires."""
        return Measurement("purity", wires=self.some_wires())

    def some_wires(self, most: int = 3) -> tuple[int, ...]:
        """One wire or several, in any order."""
        count = int(self.rng.integers(1, min(self.wires, most) + 1))
        return tuple(int(wire) for wire in self.rng.permutation(self.wires)[:count])


def _unitary(rng: Rng, size: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]


def _parts(array: np.ndarray) -> tuple[float, ...]:
    """Real and imaginary parts in turn."""
    flat = np.asarray(array, complex).reshape(-1)
    return tuple(np.stack([flat.real, flat.imag], axis=1).reshape(-1).tolist())
