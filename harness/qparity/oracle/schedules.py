"""Learning-rate schedules: Keras' class and arguments, and the rate of each step in double precision.

Source of the formulas: `keras/src/optimizers/schedules/learning_rate_schedule.py` of Keras 3.15. A rate has a rounding
of its own wherever a backend computes it, so it is compared by itself, and an update is judged at the rate recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, cos, floor, log, pi
from typing import Any

Formula = Callable[..., float]
RATE = "initial_learning_rate"
ROUNDINGS = 64
"""Of a rate: a power, a cosine and a few products, each with the rounding of a framework's own functions."""
CANCELLED = 16
"""Of the initial rate: the rounding of a cosine near -1, or of one minus a share near 1."""


@dataclass(frozen=True, slots=True)
class ScheduleLaw:
    """A schedule: the class in `keras.optimizers.schedules`, its arguments with their defaults, and its formula.

    An argument whose default is `...` has none. The formula takes rate, step (a float) and the arguments.
    """

    keras: str
    arguments: Mapping[str, Any]
    formula: Formula
    rate: str | None = RATE
    """The argument that the learning rate is; None where the rates are all in the arguments."""


def _exponential(rate: float, step: float, decay_steps: float, decay_rate: float, staircase: bool) -> float:
    p = step / decay_steps
    return float(rate * decay_rate ** (floor(p) if staircase else p))


def _inverse_time(rate: float, step: float, decay_steps: float, decay_rate: float, staircase: bool) -> float:
    p = step / decay_steps
    return rate / (1 + decay_rate * (floor(p) if staircase else p))


def _polynomial(
    rate: float, step: float, decay_steps: float, end_learning_rate: float, power: float, cycle: bool
) -> float:
    if cycle:
        decay_steps *= 1.0 if step == 0 else ceil(step / decay_steps)
    else:
        step = min(step, decay_steps)
    return float((rate - end_learning_rate) * (1 - step / decay_steps) ** power + end_learning_rate)


def _cosine(
    rate: float, step: float, decay_steps: float, alpha: float, warmup_target: float | None, warmup_steps: float
) -> float:
    if warmup_target is not None:
        if step < warmup_steps:
            return rate + (warmup_target - rate) * step / warmup_steps
        rate, step = warmup_target, step - warmup_steps
    share = 0.5 * (1 + cos(pi * min(step, decay_steps) / decay_steps))
    return rate * ((1 - alpha) * share + alpha)


def _restarts(rate: float, step: float, first_decay_steps: float, t_mul: float, m_mul: float, alpha: float) -> float:
    fraction = step / first_decay_steps
    if t_mul == 1.0:
        restart = floor(fraction)
        fraction -= restart
    else:
        restart = floor(log(1 - fraction * (1 - t_mul)) / log(t_mul))
        fraction = (fraction - (1 - t_mul**restart) / (1 - t_mul)) / t_mul**restart
    share = 0.5 * m_mul**restart * (1 + cos(pi * fraction))
    return float(rate * ((1 - alpha) * share + alpha))


def _piecewise(rate: float, step: float, boundaries: list[float], values: list[float]) -> float:
    return float(values[sum(step > boundary for boundary in boundaries)])


_DECAY = {"decay_steps": ..., "decay_rate": ..., "staircase": False}
SCHEDULES: dict[str, ScheduleLaw] = {
    "exponential_decay": ScheduleLaw("ExponentialDecay", _DECAY, _exponential),
    "inverse_time_decay": ScheduleLaw("InverseTimeDecay", _DECAY, _inverse_time),
    "polynomial_decay": ScheduleLaw(
        "PolynomialDecay", {"decay_steps": ..., "end_learning_rate": 0.0001, "power": 1.0, "cycle": False}, _polynomial
    ),
    "cosine_decay": ScheduleLaw(
        "CosineDecay", {"decay_steps": ..., "alpha": 0.0, "warmup_target": None, "warmup_steps": 0}, _cosine
    ),
    "cosine_decay_restarts": ScheduleLaw(
        "CosineDecayRestarts", {"first_decay_steps": ..., "t_mul": 2.0, "m_mul": 1.0, "alpha": 0.0}, _restarts
    ),
    "piecewise_constant_decay": ScheduleLaw(
        "PiecewiseConstantDecay", {"boundaries": ..., "values": ...}, _piecewise, rate=None
    ),
}


def rate_at(table: Mapping[str, Any], rate: float, step: float) -> float:
    """The rate of a step.

    Args:
        table: `name`, and the arguments that are not Keras' defaults.
        rate: the initial learning rate.
        step: the optimizer's counter before the update.
    """
    law = SCHEDULES[table["name"]]
    return law.formula(rate, step, **{**law.arguments, **{k: v for k, v in table.items() if k != "name"}})


def is_rate(got: float, table: Mapping[str, Any], rate: float, step: int, unit: float) -> bool:
    """Whether a recorded rate is that of its step, to the rounding of a backend that computes in `unit` roundoff.

    The share of the steps that are done is rounded: the rate lies between those just before and after the step, which
    at a jump are both its sides. Where a rate is what cancellation leaves (the end of a cosine), it is right to a few
    roundings of the initial rate alone.
    """
    near = [rate_at(table, rate, place) for place in (step, step * (1 - 8 * unit), step * (1 + 8 * unit))]
    whole = max(abs(rate), abs(table.get("warmup_target") or 0.0), *map(abs, table.get("values", ())))
    allowed = ROUNDINGS * unit * max(map(abs, near)) + CANCELLED * unit * whole
    return min(near) - allowed <= got <= max(near) + allowed
