"""PennyLane devices: made by name, or given and kept with all their options; and two corrections to them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit.errors import CircuitError, UnsupportedError
from qparity.scenario.registry import DEVICES

# option of `qml.device` -> attribute of the device that still knows it
OPTIONS = {
    "default.qubit": {"max_workers": "_max_workers"},
    "default.mixed": {"readout_prob": "readout_err"},
    "reference.qubit": {},
    "lightning.qubit": {"batch_obs": "_batch_obs", "c_dtype": "_c_dtype", "mcmc": "_mcmc"}
    | {"kernel_name": "_kernel_name", "num_burnin": "_num_burnin"},
}
PLAIN = (None, False, 0, "complex128")


def make_device(name: str, wires: Sequence[Any], options: Mapping[str, Any], sampler: Mapping[str, Any]) -> Any:
    """`qml.device` with these wire labels; `sampler` holds its seed where it samples.

    Raises:
        UnsupportedError: a known device that is not installed, or cannot be made so. CircuitError: an unknown one.
    """
    types = {"c_dtype": getattr(np, options["c_dtype"])} if isinstance(options.get("c_dtype"), str) else {}
    try:
        return qml.device(name, wires=list(wires), **{**options, **types}, **sampler)
    except Exception as error:
        reason = f"device = {name!r}: {' '.join(str(error).split())}"
        known = name in (*DEVICES, *qml.plugin_devices)
        raise UnsupportedError(reason) if known else CircuitError(reason) from error


def options_of(device: Any) -> dict[str, Any]:
    """The options a device was made with, except wires, shots and seed, as far as the device has kept them.

    Raises:
        UnsupportedError: a device of another kind, which cannot be made again from its name.
    """
    if device.name not in OPTIONS:
        raise UnsupportedError(f"{device.name}: the options it was made with are not known")
    found = {option: getattr(device, attribute, None) for option, attribute in OPTIONS[device.name].items()}
    found = {option: value.__name__ if isinstance(value, type) else value for option, value in found.items()}
    return {option: value for option, value in found.items() if value not in PLAIN}


def with_a_free_wire(device: Any, label: Any) -> Any:
    """The same kind of device with one wire more."""
    return make_device(device.name, [*device.wires, label], options_of(device), {})


def with_float64_results(device: Any) -> Any:
    """The same device, whose results are NumPy float64 instead of Python floats.

    Frameworks convert a Python float to their default float32, which costs a float64 program 29 bits.
    """
    mended = copy.copy(device)
    for name in ("execute", "execute_and_compute_derivatives", "execute_and_compute_vjp"):
        setattr(mended, name, _float64(getattr(device, name)))
    return mended


def _float64(method: Any) -> Any:
    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return _convert(method(*args, **kwargs))

    return wrapped


def _convert(result: Any) -> Any:
    if isinstance(result, float):
        return np.float64(result)
    if isinstance(result, tuple | list):
        return type(result)(_convert(item) for item in result)
    return result
