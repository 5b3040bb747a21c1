"""Data files of users: found beside the scenario file, read, and named by what is in them.

The scenario keeps how many samples there are and the hash of their numbers, so that a changed file is another
experiment, and a cell knows its steps before any worker runs.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from qparity.data import Dataset, OptionError, read_file
from qparity.scenario.errors import ScenarioError
from qparity.scenario.schema import DataSpec, Scenario


@dataclass(frozen=True, slots=True)
class Given:
    """What a user's code gave: `x` and `y` (samples, ...) as float64, and the starting values of a script's model.

    `start` is by the names of a trace: `weights/<k>`, `state/<j>`; `weight` (samples,) is each sample's in the loss.
    `model` is the model itself as JSON (circuit/carried.py), where there is no script that builds it again.
    """

    x: np.ndarray
    y: np.ndarray
    start: dict[str, np.ndarray] | None = None
    weight: np.ndarray | None = None
    model: dict[str, Any] | None = None


def with_file_read(scenario: Scenario, folder: Path) -> Scenario:
    """The scenario with `data.samples` and `data.sha256` of its data file; any other as it is.

    Raises:
        ScenarioError: the file is not there, or something in it is wrong.
    """
    if not scenario.data.file:
        return scenario
    spec = scenario.data
    given = spec.samples if "samples" in spec.model_fields_set else None
    found = _read(spec, folder)
    if given is not None and given > len(found.x):
        raise ScenarioError(f"at most the {len(found.x)} samples of {spec.file}", key="data.samples", value=given)
    samples = given or len(found.x)
    digest = digest_of(*found.first(samples).arrays())
    return scenario.model_copy(update={"data": spec.model_copy(update={"samples": samples, "sha256": digest})})


def read_own(spec: DataSpec, folder: Path) -> Dataset:
    """The data that a resolved scenario names.

    Raises:
        ScenarioError: the file is not what it was when the scenario was made.
    """
    found = _read(spec, folder).first(spec.samples)
    if spec.sha256 not in (None, digest_of(*found.arrays())):
        raise ScenarioError("the numbers that it had when the run was begun", key="data.file", value=spec.file)
    return found


def digest_of(*arrays: np.ndarray) -> str:
    """SHA-256 of shapes and numbers."""
    found = sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _read(spec: DataSpec, folder: Path) -> Dataset:
    path = folder / str(spec.file)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        stamp = 0
    try:
        return _read_once(path, tuple(spec.target or ()), tuple(spec.inputs or ()), spec.weight, stamp)
    except OptionError as error:
        value = spec.file if error.option == "file" else error.value
        raise ScenarioError(error.expected, key=f"data.{error.option}", value=value) from None


@lru_cache(maxsize=4)
def _read_once(path: Path, target: tuple[str, ...], inputs: tuple[str, ...], weight: str | None, stamp: int) -> Dataset:
    return read_file(path, target, inputs, weight)
