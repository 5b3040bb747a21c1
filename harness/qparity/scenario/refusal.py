"""What no backend can run, known from the scenario alone: said before anything is imported for it."""

from __future__ import annotations

from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant

XLA_ONLY = "XLA compiles only default.qubit with backprop: the rest runs as Python inside the graph"


def no_backprop(device: str) -> str:
    """Why a lightning device refuses backprop."""
    return f"{device} cannot do backprop: use adjoint, parameter-shift or finite-diff"


def refusal(scenario: Scenario, variant: Variant) -> str | None:
    """Why a bare circuit cannot run on a variant, whatever is in it; None where that takes a look at it.

    A user's model says by itself which device and method its layers have.
    """
    if scenario.model:
        return None
    if scenario.device.startswith("lightning") and scenario.diff_method == "backprop":
        return no_backprop(scenario.device)
    if variant.mode == "xla" and (
        scenario.device != "default.qubit" or scenario.diff_method not in ("best", "backprop")
    ):
        return XLA_ONLY
    return None
