"""The small circuits that docs/make_coverage.py measures: one for each operation and measurement of PennyLane.

A probe puts its operation between rotations by weights and features, so that it acts on a generic state, and its own
numbers are weights or features wherever people train those. `w` is the weight array (12,), `x` two features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml

WEIGHTS, FEATURES = 12, 2


@dataclass(frozen=True)
class Probe:
    """A circuit on `wires` wires: `first` starts it (a state preparation), or `middle` stands inside it."""

    group: str
    wires: int
    spare: int = 0
    """Wires that are declared beside them, for what is put off."""
    middle: Callable[[Any, Any], Any] | None = None
    first: Callable[[Any, Any], Any] | None = None
    measured: Callable[[Any, Any], Any] | None = None

    def __call__(self, weights: Any, inputs: Any) -> Any:
        """The quantum function."""
        w, x, wires = weights, inputs, self.wires
        if self.first:
            self.first(w, x)
        for wire in range(wires):
            qml.RY(w[wire % 6], wires=wire)
            qml.RX(x[..., wire % 2], wires=wire)
        for wire in range(wires - 1):
            qml.CNOT([wire, wire + 1])
        middle = self.middle(w, x) if self.middle else None
        for wire in range(wires):
            qml.Rot(w[(wire + 1) % 6], x[..., 1], w[(wire + 5) % 12], wires=wire)
        for wire in range(wires - 1):
            qml.CZ([wire, wire + 1])
        if self.measured:
            return self.measured(w, x)
        if isinstance(middle, qml.ops.MeasurementValue):
            return qml.expval(middle), qml.expval(qml.Z(0))
        return qml.expval(qml.Z(0)), qml.expval(qml.X(wires - 1)), qml.probs(wires=[0])


A = np.array(
    [[0.3, 0.2 - 0.7j, 0.1j, 0.5], [0.2 + 0.7j, -1.1, 0.4, 0.6j], [-0.1j, 0.4, 0.8, -0.3], [0.5, -0.6j, -0.3, 0.25]]
)
UNITARY = np.linalg.qr(A + 1j * np.diag([1.0, 0.5, -0.5, 2.0]))[0]
ONE = np.linalg.qr(A[:2, :2] + 0.3j)[0]
UNIT = np.array([0.1, -0.5j, 0.7, 0.5]) / np.linalg.norm([0.1, -0.5j, 0.7, 0.5])
KRAUS = [np.array([[1, 0], [0, 0.8]]), np.array([[0, 0.6], [0, 0]])]
MIDWAY = ("cond", "measure", "measure, reset")
HAMILTONIAN = ([0.7, -0.4, 0.3], [qml.Z(0) @ qml.Z(1), qml.X(0), qml.Y(1) @ qml.X(2)])


SPARSE = qml.Hamiltonian(*HAMILTONIAN).sparse_matrix(range(3))


def _hamiltonian() -> Any:
    return qml.Hamiltonian(*HAMILTONIAN)


def _mixed(probability: Any) -> Any:
    return 0.1 + 0.1 * probability


def _block(weights: Any, wires: Any) -> None:
    qml.RY(weights[0], wires=wires[0])
    qml.CNOT(wires=wires)
    qml.RY(weights[1], wires=wires[1])


def _superposition() -> Any:
    return qml.Superposition(np.sqrt(np.array([0.5, 0.5])), np.array([[0, 0], [1, 1]]), range(2), 2)


def gates() -> dict[str, Probe]:
    """Gates, with the numbers that they take as weights."""
    fixed = {
        1: "I Identity PauliX PauliY PauliZ X Y Z H Hadamard S T SX",
        2: "CNOT CY CZ CH SWAP ISWAP SISWAP SQISW ECR",
        3: "CCZ CSWAP Toffoli QubitSum MultiControlledX",
        4: "QubitCarry",
    }
    angles = {
        (1, 1): "RX RY RZ PhaseShift U1",
        (2, 1): "U2",
        (3, 1): "Rot U3",
        (1, 2): "CRX CRY CRZ CPhase ControlledPhaseShift CPhaseShift00 CPhaseShift01 CPhaseShift10"
        " IsingXX IsingXY IsingYY IsingZZ MultiRZ SingleExcitation SingleExcitationMinus SingleExcitationPlus"
        " PSWAP FermionicSWAP",
        (3, 2): "CRot",
        (1, 4): "DoubleExcitation DoubleExcitationMinus DoubleExcitationPlus OrbitalRotation",
    }

    def placed(name: str, wires: int, numbers: int) -> Probe:
        kind = getattr(qml, name)
        return Probe(
            "gate", max(2, wires), middle=lambda w, x: kind(*(w[6 + k] for k in range(numbers)), wires=range(wires))
        )

    found = {name: placed(name, wires, 0) for wires, names in fixed.items() for name in names.split()}
    found |= {name: placed(name, wires, n) for (n, wires), names in angles.items() for name in names.split()}
    others: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
        "GlobalPhase": (2, lambda w, x: qml.GlobalPhase(w[6])),
        "PauliRot": (3, lambda w, x: qml.PauliRot(w[6], "XYZ", wires=range(3))),
        "PCPhase": (2, lambda w, x: qml.PCPhase(w[6], 3, wires=range(2))),
        "QubitUnitary": (2, lambda w, x: qml.QubitUnitary(UNITARY, wires=range(2))),
        "ControlledQubitUnitary": (2, lambda w, x: qml.ControlledQubitUnitary(ONE, wires=range(2))),
        "DiagonalQubitUnitary": (2, lambda w, x: qml.DiagonalQubitUnitary(np.exp(1j * np.arange(4)), wires=range(2))),
        "SpecialUnitary": (2, lambda w, x: qml.SpecialUnitary(w[6:9], wires=0)),
        "BlockEncode": (2, lambda w, x: qml.BlockEncode(np.array([[0.1, 0.2], [0.3, 0.4]]), wires=range(2))),
        "IntegerComparator": (3, lambda w, x: qml.IntegerComparator(1, geq=True, wires=range(3))),
        "Barrier": (2, lambda w, x: qml.Barrier(wires=range(2))),
        "Snapshot": (2, lambda w, x: qml.Snapshot()),
        "WireCut": (2, lambda w, x: qml.WireCut(wires=0)),
        "ctrl(RX), controls 1 0": (3, lambda w, x: qml.ctrl(qml.RX(w[6], 2), [0, 1], control_values=[1, 0])),
        "ctrl(Rot)": (3, lambda w, x: qml.ctrl(qml.Rot(w[6], w[7], w[8], 2), [0, 1])),
        "ctrl(IsingXY)": (3, lambda w, x: qml.ctrl(qml.IsingXY(w[6], [1, 2]), 0)),
        "ctrl(QubitUnitary)": (3, lambda w, x: qml.ctrl(qml.QubitUnitary(ONE, 2), [0, 1], control_values=[0, 1])),
        "adjoint(Rot)": (2, lambda w, x: qml.adjoint(qml.Rot(w[6], w[7], w[8], 0))),
        "adjoint(QubitUnitary)": (2, lambda w, x: qml.adjoint(qml.QubitUnitary(UNITARY, [0, 1]))),
        "pow(RX, 3)": (2, lambda w, x: qml.pow(qml.RX(w[6], 0), 3)),
        "pow(S, 0.3)": (2, lambda w, x: qml.pow(qml.S(0), 0.3)),
        "prod": (2, lambda w, x: qml.prod(qml.RX(w[6], 0), qml.RY(w[7], 1), qml.CNOT([0, 1]))),
        "exp": (2, lambda w, x: qml.evolve(qml.X(0) @ qml.Y(1), w[6])),
        "cond": (3, lambda w, x: qml.cond(qml.measure(0), qml.RX)(w[6], wires=1)),
        "measure": (3, lambda w, x: qml.measure(1)),
        "measure, reset": (3, lambda w, x: qml.measure(0, reset=True)),
    }
    return found | {name: Probe("gate", wires, int(name in MIDWAY), build) for name, (wires, build) in others.items()}


def preparations() -> dict[str, Probe]:
    """What starts a circuit."""
    first: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
        "BasisState": (2, lambda w, x: qml.BasisState(np.array([1, 0]), wires=range(2))),
        "BasisEmbedding": (2, lambda w, x: qml.BasisEmbedding(np.array([0, 1]), wires=range(2))),
        "StatePrep": (2, lambda w, x: qml.StatePrep(UNIT, wires=range(2))),
        "StatePrep of weights": (2, lambda w, x: qml.StatePrep(w[6:10], wires=range(2), normalize=True)),
        "AmplitudeEmbedding": (2, lambda w, x: qml.AmplitudeEmbedding(x, wires=range(2), pad_with=0.3)),
        "AngleEmbedding": (2, lambda w, x: qml.AngleEmbedding(x, wires=range(2), rotation="Y")),
        "IQPEmbedding": (2, lambda w, x: qml.IQPEmbedding(x, wires=range(2), n_repeats=2)),
        "QAOAEmbedding": (2, lambda w, x: qml.QAOAEmbedding(x, w[6:9][None], wires=range(2))),
        "MottonenStatePreparation": (2, lambda w, x: qml.MottonenStatePreparation(UNIT, wires=range(2))),
        "ArbitraryStatePreparation": (2, lambda w, x: qml.ArbitraryStatePreparation(w[6:12], wires=range(2))),
        "CosineWindow": (2, lambda w, x: qml.CosineWindow(wires=range(2))),
        "QubitDensityMatrix": (
            2,
            lambda w, x: qml.QubitDensityMatrix(0.7 * np.outer(UNIT, UNIT.conj()) + 0.075 * np.eye(4), wires=range(2)),
        ),
        "MPSPrep": (
            3,
            lambda w, x: qml.MPSPrep(
                [np.array([[0.0, 0.6], [0.8, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])], wires=range(2), work_wires=[2]
            ),
        ),
        "Superposition": (3, lambda w, x: _superposition()),
        "MultiplexerStatePreparation": (2, lambda w, x: qml.MultiplexerStatePreparation(UNIT, wires=range(2))),
        "QROMStatePreparation": (
            5,
            lambda w, x: qml.QROMStatePreparation(
                np.sqrt(np.array([0.1, 0.2, 0.3, 0.4])), wires=range(2), precision_wires=[2, 3], work_wires=[4]
            ),
        ),
        "SumOfSlatersPrep": (
            4,
            lambda w, x: qml.SumOfSlatersPrep(np.sqrt(np.array([0.4, 0.6])), wires=range(2), indices=[1, 2]),
        ),
    }
    return {name: Probe("preparation", wires, first=build) for name, (wires, build) in first.items()}


def channels() -> dict[str, Probe]:
    """Noise, its strength a weight."""
    middle: dict[str, Callable[[Any, Any], Any]] = {
        "BitFlip": lambda w, x: qml.BitFlip(_mixed(w[6]), wires=0),
        "PhaseFlip": lambda w, x: qml.PhaseFlip(_mixed(w[6]), wires=0),
        "DepolarizingChannel": lambda w, x: qml.DepolarizingChannel(_mixed(w[6]), wires=0),
        "PauliError": lambda w, x: qml.PauliError("XY", _mixed(w[6]), wires=[0, 1]),
        "AmplitudeDamping": lambda w, x: qml.AmplitudeDamping(_mixed(w[6]), wires=0),
        "GeneralizedAmplitudeDamping": lambda w, x: qml.GeneralizedAmplitudeDamping(
            _mixed(w[6]), _mixed(w[7]), wires=0
        ),
        "PhaseDamping": lambda w, x: qml.PhaseDamping(_mixed(w[6]), wires=0),
        "ResetError": lambda w, x: qml.ResetError(_mixed(w[6]), _mixed(w[7]), wires=0),
        "ThermalRelaxationError": lambda w, x: qml.ThermalRelaxationError(0.2, 1.5, 1.1, 0.4, wires=0),
        "QubitChannel": lambda w, x: qml.QubitChannel(KRAUS, wires=0),
    }
    return {name: Probe("channel", 2, middle=build) for name, build in middle.items()}


def templates() -> dict[str, Probe]:
    """Templates that stand inside a circuit."""
    middle: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
        "BasicEntanglerLayers": (3, lambda w, x: qml.BasicEntanglerLayers(w[6:9][None], wires=range(3))),
        "StronglyEntanglingLayers": (
            2,
            lambda w, x: qml.StronglyEntanglingLayers(w[6:12].reshape((1, 2, 3)), wires=range(2)),
        ),
        "SimplifiedTwoDesign": (
            2,
            lambda w, x: qml.SimplifiedTwoDesign(w[6:8], w[8:10].reshape((1, 1, 2)), wires=range(2)),
        ),
        "RandomLayers": (2, lambda w, x: qml.RandomLayers(w[6:9][None], wires=range(2), seed=3)),
        "ArbitraryUnitary": (1, lambda w, x: qml.ArbitraryUnitary(w[6:9], wires=[0])),
        "GateFabric": (
            4,
            lambda w, x: qml.GateFabric(w[6:8].reshape((1, 1, 2)), wires=range(4), init_state=[1, 1, 0, 0]),
        ),
        "ParticleConservingU1": (
            2,
            lambda w, x: qml.ParticleConservingU1(w[6:8].reshape((1, 1, 2)), wires=range(2), init_state=[1, 0]),
        ),
        "ParticleConservingU2": (
            2,
            lambda w, x: qml.ParticleConservingU2(w[6:9].reshape((1, 3)), wires=range(2), init_state=[1, 0]),
        ),
        "UCCSD": (
            4,
            lambda w, x: qml.UCCSD(
                w[6:9],
                wires=range(4),
                s_wires=[[0, 1, 2], [1, 2, 3]],
                d_wires=[[[0, 1], [2, 3]]],
                init_state=np.array([1, 1, 0, 0]),
            ),
        ),
        "kUpCCGSD": (
            4,
            lambda w, x: qml.kUpCCGSD(
                w[6:12].reshape((1, 6)), wires=range(4), k=1, delta_sz=0, init_state=np.array([1, 1, 0, 0])
            ),
        ),
        "AllSinglesDoubles": (
            4,
            lambda w, x: qml.AllSinglesDoubles(
                w[6:8], range(4), np.array([1, 1, 0, 0]), singles=[[0, 2]], doubles=[[0, 1, 2, 3]]
            ),
        ),
        "FermionicSingleExcitation": (3, lambda w, x: qml.FermionicSingleExcitation(w[6], wires=range(3))),
        "FermionicDoubleExcitation": (
            4,
            lambda w, x: qml.FermionicDoubleExcitation(w[6], wires1=[0, 1], wires2=[2, 3]),
        ),
        "BasisRotation": (
            2,
            lambda w, x: qml.BasisRotation(wires=range(2), unitary_matrix=np.array([[0.6, 0.8], [-0.8, 0.6]])),
        ),
        "MPS": (4, lambda w, x: qml.MPS(range(4), 2, _block, 2, w[6:12].reshape((3, 2)))),
        "MERA": (4, lambda w, x: qml.MERA(range(4), 2, _block, 2, w[2:12].reshape((5, 2)))),
        "TTN": (4, lambda w, x: qml.TTN(range(4), 2, _block, 2, w[6:12].reshape((3, 2)))),
        "TwoLocalSwapNetwork": (
            3,
            lambda w, x: qml.TwoLocalSwapNetwork(
                range(3), lambda index, wires, param=None: qml.CRX(param, wires), w[6:9]
            ),
        ),
        "QFT": (3, lambda w, x: qml.QFT(wires=range(3))),
        "AQFT": (3, lambda w, x: qml.AQFT(order=1, wires=range(3))),
        "GroverOperator": (3, lambda w, x: qml.GroverOperator(wires=range(3))),
        "FlipSign": (2, lambda w, x: qml.FlipSign([1, 0], wires=range(2))),
        "Permute": (3, lambda w, x: qml.Permute([2, 0, 1], wires=range(3))),
        "ApproxTimeEvolution": (3, lambda w, x: qml.ApproxTimeEvolution(_hamiltonian(), w[6], 2)),
        "TrotterProduct": (3, lambda w, x: qml.TrotterProduct(_hamiltonian(), w[6], n=1, order=2)),
        "TrotterizedQfunc": (
            2,
            lambda w, x: qml.TrotterizedQfunc(
                w[6],
                qfunc=lambda time, wires: (qml.RX(time, wires[0]), qml.RY(time, wires[1])),
                n=2,
                order=2,
                wires=[0, 1],
            ),
        ),
        "QDrift": (3, lambda w, x: qml.QDrift(_hamiltonian(), 0.3, n=2, seed=10)),
        "CommutingEvolution": (
            3,
            lambda w, x: qml.CommutingEvolution(qml.Hamiltonian([0.7, 0.4], [qml.X(0) @ qml.X(1), qml.X(2)]), w[6]),
        ),
        "ControlledSequence": (3, lambda w, x: qml.ControlledSequence(qml.RX(w[6], wires=2), control=[0, 1])),
        "QuantumPhaseEstimation": (
            3,
            lambda w, x: qml.QuantumPhaseEstimation(qml.RX(w[6], wires=0), estimation_wires=[1, 2]),
        ),
        "QuantumMonteCarlo": (
            4,
            lambda w, x: qml.QuantumMonteCarlo(np.array([0.4, 0.6]), lambda i: 0.3 + 0.2 * i, [0, 1], [2, 3]),
        ),
        "HilbertSchmidt": (2, lambda w, x: qml.HilbertSchmidt(qml.RZ(w[6], wires=1), qml.Hadamard(0))),
        "LocalHilbertSchmidt": (2, lambda w, x: qml.LocalHilbertSchmidt(qml.RZ(w[6], wires=1), qml.Hadamard(0))),
        "Select": (3, lambda w, x: qml.Select([qml.RX(w[6], 2), qml.RY(w[7], 2), qml.X(2)], control=[0, 1])),
        "SelectPauliRot": (
            3,
            lambda w, x: qml.SelectPauliRot(w[6:10], control_wires=[0, 1], target_wire=2, rot_axis="Y"),
        ),
        "PrepSelPrep": (3, lambda w, x: qml.PrepSelPrep(qml.dot([0.3, 0.7], [qml.X(1), qml.Z(2)]), control=0)),
        "Qubitization": (3, lambda w, x: qml.Qubitization(qml.dot([0.3, 0.7], [qml.X(1), qml.Z(2)]), control=0)),
        "QSVT": (
            2,
            lambda w, x: qml.QSVT(
                qml.BlockEncode(np.array([[0.1, 0.2], [0.3, 0.4]]), wires=[0, 1]),
                [qml.PCPhase(w[6 + k], 2, wires=[0, 1]) for k in range(2)],
            ),
        ),
        "GQSP": (
            2,
            lambda w, x: qml.GQSP(qml.RX(w[6], wires=1), np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), control=0),
        ),
        "FABLE": (3, lambda w, x: qml.FABLE(np.array([[0.1, 0.2], [0.3, 0.4]]), wires=range(3), tol=0)),
        "Reflection": (2, lambda w, x: qml.Reflection(qml.RX(w[6], wires=0), 0.7)),
        "AmplitudeAmplification": (2, lambda w, x: qml.AmplitudeAmplification(qml.RY(w[6], 0), qml.Z(0), iters=2)),
        "QROM": (4, lambda w, x: qml.QROM(["10", "01"], control_wires=[0], target_wires=[1, 2], work_wires=[3])),
        "Adder": (3, lambda w, x: qml.Adder(3, x_wires=range(3))),
        "PhaseAdder": (3, lambda w, x: qml.PhaseAdder(3, x_wires=range(3))),
        "Multiplier": (4, lambda w, x: qml.Multiplier(3, x_wires=[0, 1], work_wires=[2, 3])),
        "ModExp": (6, lambda w, x: qml.ModExp([0], [1, 2], 3, 4, [3, 4])),
        "OutAdder": (4, lambda w, x: qml.OutAdder([0], [1], [2, 3])),
        "OutMultiplier": (4, lambda w, x: qml.OutMultiplier([0], [1], [2, 3])),
        "OutPoly": (4, lambda w, x: qml.OutPoly(lambda a, b: a + b, input_registers=[[0], [1]], output_wires=[2, 3])),
        "SemiAdder": (5, lambda w, x: qml.SemiAdder([0, 1], [2, 3], [4])),
        "Elbow": (3, lambda w, x: qml.Elbow([0, 1, 2])),
        "TemporaryAND": (3, lambda w, x: qml.TemporaryAND([0, 1, 2])),
        "IQP": (3, lambda w, x: qml.IQP(w[6:8], 3, [[[0], [1]], [[0, 2]]])),
    }
    return {name: Probe("template", wires, middle=build) for name, (wires, build) in middle.items()}


def measurements() -> dict[str, Probe]:
    """What a circuit returns."""
    measured: dict[str, Callable[[Any, Any], Any]] = {
        "expval": lambda w, x: qml.expval(qml.Z(0) @ qml.X(1)),
        "expval of Hadamard": lambda w, x: qml.expval(qml.Hadamard(0) @ qml.Z(1)),
        "expval of Hermitian": lambda w, x: qml.expval(qml.Hermitian(A, wires=[0, 1])),
        "expval of Projector": lambda w, x: qml.expval(qml.Projector([1, 0], wires=[0, 1])),
        "expval of Projector on a state": lambda w, x: qml.expval(qml.Projector(UNIT, wires=[0, 1])),
        "expval of SparseHamiltonian": lambda w, x: qml.expval(qml.SparseHamiltonian(SPARSE, wires=range(3))),
        "expval of Hamiltonian": lambda w, x: qml.expval(_hamiltonian()),
        "expval with trainable coefficients": lambda w, x: qml.expval(qml.dot(w[6:9], HAMILTONIAN[1])),
        "expval of sums of products": lambda w, x: qml.expval((qml.X(0) + 0.5 * qml.Z(1)) @ qml.Y(2)),
        "var": lambda w, x: qml.var(qml.Z(0)),
        "var of Hermitian": lambda w, x: qml.var(qml.Hermitian(A, wires=[0, 1])),
        "var of Hamiltonian": lambda w, x: qml.var(_hamiltonian()),
        "probs": lambda w, x: qml.probs(wires=[2, 0]),
        "probs in an eigenbasis": lambda w, x: qml.probs(op=qml.X(0) @ qml.Y(2)),
        "probs of Hermitian": lambda w, x: qml.probs(op=qml.Hermitian(A, wires=[0, 1])),
        "state": lambda w, x: qml.state(),
        "density_matrix": lambda w, x: qml.density_matrix(wires=[1]),
        "purity": lambda w, x: qml.purity(wires=[0, 2]),
        "vn_entropy": lambda w, x: qml.vn_entropy(wires=[0]),
        "mutual_info": lambda w, x: qml.mutual_info(wires0=[0], wires1=[2]),
        "sample": lambda w, x: qml.sample(qml.Z(0)),
        "counts": lambda w, x: qml.counts(wires=[0]),
        "classical_shadow": lambda w, x: qml.classical_shadow(wires=range(3)),
        "shadow_expval": lambda w, x: qml.shadow_expval(qml.Z(0)),
    }
    return {name: Probe("measurement", 3, measured=build) for name, build in measured.items()}


def probes() -> dict[str, Probe]:
    """All of them, by name."""
    return gates() | preparations() | channels() | templates() | measurements()
