"""Which layer: the model walked on the variant, and each of its layers applied by the reference to what entered it.

Every layer is judged by itself, forward and backward, whatever the layers before it did: the first that is wrong, in
the order of the calls, is named. The walk is uncompiled, so a fault of a compiler alone does not show in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qparity.diagnose.replay import changed, session
from qparity.diagnose.subject import Subject
from qparity.parity import Stage
from qparity.parity import tolerances as tol
from qparity.parity.comparison import ORACLE
from qparity.parity.reference import model_units
from qparity.records import read
from qparity.records.answers import Call, Located, ReferenceWalked, Walked
from qparity.records.document import Table
from qparity.runner.cell import checked
from qparity.runner.inputs import shape_of
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool
from qparity.runner.reference import References, Refused
from qparity.scenario.variant import Variant
from qparity.store import Run

FORWARD, BACKWARD = "forward", "backward"


@dataclass(frozen=True)
class LayerFinding:
    """A layer that is wrong by itself: `call` counts the calls of a step from 0, `tensor` is what is wrong.

    `inputs`, `weights` and `expected` are what it takes to show that; `config` is how Keras writes the layer, None for
    one that is not Keras' own, and where it takes more to show that. `layer` is None where no layer is at fault.
    """

    reason: str
    layer: str | None = None
    type: str | None = None
    call: int | None = None
    direction: str | None = None
    tensor: str | None = None
    r: float | None = None
    config: str | None = None
    inputs: tuple[np.ndarray, ...] = ()
    weights: tuple[np.ndarray, ...] = ()
    expected: np.ndarray | None = None
    tolerance: float | None = None
    number: int = 0
    output_shapes: tuple[tuple[int, ...], ...] = ()
    listed: bool = False
    """Whether the layer takes its inputs as one list."""
    nth: int = 1
    """Which call of this layer in a step, from 1 on."""
    of_weight: bool = False
    """Whether a wrong gradient is that of a weight, not of an input."""

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return {k: getattr(self, k) for k in ("layer", "type", "call", "direction", "tensor", "r", "reason")}


async def walk(pool: Pool, run: Run, subject: Subject) -> LayerFinding:
    """Walk the subject's model at the weights and batch of its step.

    Raises:
        CellEnded, ChildDied, Unavailable, Refused: variant or reference cannot.
    """
    o, trace = subject.observation, subject.trace
    scenario = changed(subject, {})
    rows = trace.batch_index[subject.rows]
    held = {f"weights/{k}": w for k, w in enumerate(subject.weights())}
    held |= {name: state_at(trace, name, subject.step) for name in trace if name.startswith("state/")}
    held["x"] = trace.x[rows]
    async with session(pool, subject, o.variant, scenario) as (child, _):
        mine = checked(await child.request("walk", {}, held), "walk")
    block = Block(scenario, (), tuple(subject.search_path()), "")
    cell = Cell(o.cell, scenario, Variant.parse(o.variant))
    entered = {name: array for name, array in mine.arrays.items() if "/input/" in name or "/gradient/" in name}
    shape = shape_of(trace.x, trace.y)
    rounding = tol.MODEL * model_units(o)[0]
    theirs = await References(pool, run.logs()).walk(block, cell, shape, held | entered, rounding)
    return judge(subject, read(Walked, mine.body).calls, mine.arrays, read(ReferenceWalked, theirs.body), theirs.arrays)


def judge(
    subject: Subject,
    calls: Sequence[Call],
    arrays: dict[str, np.ndarray],
    walked: ReferenceWalked,
    right: dict[str, np.ndarray],
) -> LayerFinding:
    """The first call whose outputs or slopes differ from those of the reference by more than rounding."""
    u, reference = model_units(subject.observation)[0], walked.calls
    if [c.layer.rstrip("0123456789_") for c in calls] != [c.layer.rstrip("0123456789_") for c in reference]:
        raise Refused("the reference calls other layers than the variant does")
    for n, (mine, theirs) in enumerate(zip(calls, reference, strict=True)):
        inputs = tuple(_numbered(arrays, f"call/{n}/input/"))
        weights = tuple(_numbered(arrays, f"call/{n}/weight/"))
        outputs = _numbered(arrays, f"call/{n}/output/")
        about = LayerFinding(
            "",
            mine.layer,
            mine.type,
            n,
            config=mine.config,
            inputs=inputs,
            weights=weights,
            output_shapes=tuple(out.shape for out in outputs),
            listed=mine.listed,
            nth=sum(each.layer == mine.layer for each in calls[: n + 1]),
        )
        for i, got in enumerate(outputs):
            expected = right[f"call/{n}/output/{i}"]
            allowed = tol.model(u, float(right[f"call/{n}/condition/{i}"]) + float(np.abs(expected).max(initial=0.0)))
            off = np.abs(got.astype(np.float64) - expected)
            r = float(np.max(off, initial=0.0) / max(float(allowed), 1e-300))
            if not r <= 1:
                return _found(about, FORWARD, f"output {i}{_index(off)}", r, expected, float(allowed), i)
        for name in sorted(each for each in arrays if each.startswith(f"call/{n}/state/")):
            i, expected = int(name.rpartition("/")[2]), right[name]
            scale = float(right[f"call/{n}/state_condition/{i}"]) + float(np.abs(expected).max(initial=0.0))
            limit = float(tol.model(u, scale))
            off = np.abs(arrays[name].astype(np.float64) - expected)
            r = float(np.max(off, initial=0.0) / max(limit, 1e-300))
            if not r <= 1:
                tensor = f"{mine.state[i]}{_index(off)} afterwards"
                return _found(replace(about, config=None), FORWARD, tensor, r, expected, limit, i)
        if mine.slopes is None:
            continue
        slopes, errors, conditions = theirs.slopes, theirs.errors, theirs.conditions
        for kind, along, rights in (
            ("input", mine.slopes.inputs, zip(slopes.inputs, conditions.inputs, errors.inputs, strict=True)),
            ("weight", mine.slopes.weights, zip(slopes.weights, conditions.weights, errors.weights, strict=True)),
        ):
            for k, (each, (slope, condition, error)) in enumerate(zip(along, rights, strict=True)):
                allowed = tol.model(u, condition, error)
                r = abs(each - slope) / max(float(allowed), 1e-300)
                if not r <= 1:
                    by_weight = kind == "weight"
                    name = mine.weights[k] if by_weight and k < len(mine.weights) else f"{kind} {k}"
                    gradient = arrays.get(f"call/{n}/gradient/{kind}/{k}")
                    mine_too = (n, by_weight, k)
                    where, told = _entry(walked.located, mine_too, gradient, tol.MODEL * u * condition)
                    about = replace(about, of_weight=by_weight)
                    tensor = f"gradient of {name}{where}"
                    return _found(about, BACKWARD, tensor, r, np.array(slope), float(allowed), k, told)
    return LayerFinding("each layer by itself, uncompiled, is right: the fault lies in how they are put together")


def at_boundary(subject: Subject) -> LayerFinding | None:
    """The quantum layer that the oracle found wrong at its recorded boundary; None where the fault is no such thing."""
    comparison, judgement = subject.comparison(), subject.judgement
    if comparison is None or comparison.by != ORACLE or judgement.stage not in (Stage.FORWARD, Stage.GRADIENT):
        return None
    layer = subject.layers[subject.layer(comparison)]
    way = FORWARD if judgement.stage == Stage.FORWARD else BACKWARD
    reason = f"{layer.name}, {way}: at its recorded boundary, {judgement.tensor} is wrong (r = {judgement.r:.2g})"
    return LayerFinding(reason, layer.name, None, None, way, judgement.tensor, judgement.r)


def state_at(trace: Mapping[str, np.ndarray], name: str, step: int) -> np.ndarray:
    """A variable that is not trained, before a step."""
    return np.asarray(trace[name][step if len(trace[name]) > 1 else 0])


def _found(
    about: LayerFinding,
    way: str,
    tensor: str,
    r: float,
    expected: np.ndarray,
    tolerance: float,
    number: int,
    told: str = "",
) -> LayerFinding:
    again = f", in its call {about.nth} of a step" if about.nth > 1 else ""
    where = f"{about.layer} ({about.type}), {way}{again}"
    figures = f"{told}; r = {r:.2g}" if told else f"r = {r:.2g}"
    reason = f"{where}: by itself, on what entered it, its {tensor} is wrong ({figures})"
    return replace(
        about,
        reason=reason,
        direction=way,
        tensor=tensor,
        r=r,
        expected=expected,
        tolerance=tolerance,
        number=number,
    )


def _index(off: np.ndarray) -> str:
    """Where a tensor is furthest off, such as `[0,2]`; nothing of a single number."""
    return _bracketed(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape) if off.size > 1 else ""


def _entry(
    located: Located | None, place: tuple[int, bool, int], gradient: np.ndarray | None, rounding: float
) -> tuple[str, str]:
    """The entry that the reference has found of this gradient, if it is wrong by itself; and got and expected."""
    if located is None or gradient is None or (located.call, located.of_weight, located.number) != place:
        return "", ""
    got = float(gradient.reshape(-1)[located.entry])
    if abs(got - located.expected) <= rounding + located.error:
        return "", ""
    told = f"got {got:.9g}, expected {located.expected:.9g}"
    where = _bracketed(located.entry, gradient.shape) if gradient.size > 1 else ""
    return where, told


def _bracketed(flat: int, shape: tuple[int, ...]) -> str:
    return f"[{','.join(str(int(i)) for i in np.unravel_index(flat, shape))}]"


def _numbered(arrays: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    names = sorted((n for n in arrays if n.startswith(prefix)), key=lambda n: int(n.rpartition("/")[2]))
    return [arrays[n] for n in names]
