"""Data sets, made by NumPy in the parent and shipped to every backend as arrays.

A new data set is one file beside this one and one line in `DATASETS`; users' own are read by `own.py`.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from inspect import signature

from qparity.data.bars_and_stripes import bars_and_stripes
from qparity.data.circles import circles
from qparity.data.dataset import Dataset, OptionError, whole
from qparity.data.fourier import fourier
from qparity.data.identity import identity
from qparity.data.moons import moons
from qparity.data.own import read_file
from qparity.data.random import random

__all__ = ["DATASETS", "MAX_SAMPLES", "Dataset", "OptionError", "make", "options_of", "read_file"]

DATASETS: dict[str, Callable[..., Dataset]] = {
    "fourier": fourier,
    "moons": moons,
    "circles": circles,
    "bars_and_stripes": bars_and_stripes,
    "identity": identity,
    "random": random,
}

MAX_SAMPLES = 1_000_000


def make(name: str, samples: int, seed: int, options: Mapping[str, object] | None = None) -> Dataset:
    """The data set `name`; OptionError (a ValueError that names the option) where an argument is wrong."""
    allowed = options_of(name)
    for option, value in (options or {}).items():
        if option not in allowed:
            raise OptionError(option, value, _choice(f"an option of data set {name}", option, allowed))
    whole("samples", samples, 1, MAX_SAMPLES)
    whole("seed", seed, 0, 2**32 - 1)
    return DATASETS[name](samples, seed, **(options or {}))


def options_of(name: str) -> dict[str, object]:
    """The options of a data set with their defaults."""
    if name not in DATASETS:
        raise OptionError("name", name, _choice("a data set", name, DATASETS))
    parameters = signature(DATASETS[name]).parameters.values()
    return {each.name: each.default for each in parameters if each.name not in ("samples", "seed")}


def _choice(what: str, given: object, names: Mapping[str, object]) -> str:
    close = get_close_matches(str(given), names, 1)
    return f"{what}: {', '.join(names) or 'it has none'}" + (f" (did you mean {close[0]}?)" if close else "")
