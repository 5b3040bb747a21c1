"""Variants: the ways to execute a scenario, such as `tf-graph`, `torch` or `jax-jit@gpu`."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from qparity.scenario.backends import trainable
from qparity.scenario.errors import ScenarioError

_ALL = [(facts.name, mode) for facts in trainable() for mode in facts.modes]
# name -> (Keras backend, mode)
MODES: dict[str, tuple[str, str]] = {mode.variant: (backend, mode.name) for backend, mode in _ALL}
ACCELERATORS = ("cpu", "gpu")
_ALIASES = {alias: mode.variant for _, mode in _ALL for alias in mode.aliases}


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """One way to execute a scenario; `str(variant)` is its name and `Variant.parse` reads it back."""

    backend: str
    mode: str
    accelerator: str = "cpu"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `tf`, `jax-jit@gpu`, ...; ScenarioError, with what was probably meant, on anything else."""
        if not isinstance(text, str):
            raise ScenarioError(f"a variant: {', '.join(MODES)}", key="variant", value=text)
        name, at, accelerator = text.partition("@")
        if name not in MODES:
            close = _ALIASES.get(name.lower()) or next(iter(get_close_matches(name.lower(), MODES, 1)), None)
            hint = f' (did you mean "{close}{at}{accelerator}"?)' if close else ""
            raise ScenarioError(f"a variant: {', '.join(MODES)}{hint}", key="variant", value=text)
        if at and accelerator not in ACCELERATORS:
            raise ScenarioError(f"{name}@cpu or {name}@gpu", key="variant", value=text)
        return cls(*MODES[name], accelerator or "cpu")

    def __str__(self) -> str:
        name = next(name for name, mode in MODES.items() if mode == (self.backend, self.mode))
        return name if self.accelerator == "cpu" else f"{name}@{self.accelerator}"


DEFAULT_VARIANTS: tuple[Variant, ...] = tuple(Variant.parse(mode.variant) for _, mode in _ALL if mode.usual)

ALL = "all"
"""What `-v` takes for every mode of every backend; `all@gpu` is all of them on a GPU."""


def every_mode(accelerator: str = "cpu") -> tuple[Variant, ...]:
    """All modes of all backends; those of a backend that is not installed run as unsupported, with the reason."""
    return tuple(Variant(*place, accelerator) for place in MODES.values())


def asked_for(names: Sequence[str]) -> tuple[Variant, ...]:
    """The variants that `-v` names, each once, `all` spelt out; ScenarioError on what is none."""
    found: dict[Variant, None] = {}
    for name in names:
        word, at, accelerator = name.partition("@")
        if word == ALL and (not at or accelerator in ACCELERATORS):
            found |= dict.fromkeys(every_mode(accelerator or "cpu"))
        else:
            found[Variant.parse(name)] = None
    return tuple(found)
