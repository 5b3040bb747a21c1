"""What a weight is called: its number in a bare circuit, its path in a model that a person has built."""

from __future__ import annotations

from qparity.parity.types import Observation


def weight_name(o: Observation, k: int) -> str:
    """`0`, or `dense/kernel` in a user's model: what stands behind `gradients/` and `weights/` in a tensor's name."""
    weights = o.outcome.resolved.weights
    if not o.whole_model or k >= len(weights):
        return str(k)
    return weights[k].path or str(k)


def weight_path(o: Observation, k: int) -> str:
    """The path of a weight in its model, of whatever model; empty where it is not known."""
    weights = o.outcome.resolved.weights
    return (weights[k].path or "") if k < len(weights) else ""


def state_name(o: Observation, j: int) -> str:
    """Likewise for a variable that is not trained."""
    state = o.outcome.resolved.state
    return (state[j].path if j < len(state) else "") or str(j)
