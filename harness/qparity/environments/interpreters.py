"""Interpreters of backends with releases on top: what `--with` makes of what `--python` says."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from qparity.environments.cache import make
from qparity.environments.errors import EnvironmentProblem
from qparity.environments.manifest import Environment
from qparity.scenario.backends import BACKENDS, REFERENCE, trainable


@dataclass(frozen=True, slots=True)
class Interpreters:
    """Which Python runs a backend: backend, or backend@accelerator, -> its path; and the environments made for them.

    The reference keeps its own: who judges is the same whatever is under test.
    """

    paths: dict[str, str] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)

    @property
    def requirements(self) -> tuple[str, ...]:
        """What was asked for, as it is written once and for all."""
        return next((each.manifest.requirements for each in self.environments.values()), ())

    def environment(self, backend: str, accelerator: str) -> Environment:
        """The environment that a variant runs in, where something is on top."""
        return self.environments.get(f"{backend}@{accelerator}") or self.environments[backend]

    def packages(self, names: Iterable[str]) -> dict[str, str]:
        """The versions of these packages in the environments; several where those differ."""
        found: dict[str, str] = {}
        for name in names:
            versions = {each.manifest.packages.get(name) for each in self.environments.values()} - {None}
            if versions:
                found[name] = ", ".join(sorted(map(str, versions)))
        return found

    def need(self, backends: Iterable[str]) -> None:
        """Refuse where what was asked for does not go with a backend that is to run.

        Raises:
            EnvironmentProblem: why not.
        """
        for name, environment in self.environments.items():
            for backend in backends:
                if name.partition("@")[0] != backend:
                    continue
                for distribution in BACKENDS[backend].distributions:
                    if why := environment.manifest.without.get(distribution):
                        raise EnvironmentProblem(f"{' '.join(environment.manifest.requirements)}: {why}")


def with_releases(requirements: Sequence[str], paths: Mapping[str, str]) -> Interpreters:
    """Interpreters that have what is required, on top of those that are given (for any other backend: this one).

    Raises:
        EnvironmentProblem: the requirements are none, do not go together, or cannot be installed.
    """
    if not requirements:
        return Interpreters(dict(paths))
    below = {facts.name: paths.get(facts.name, sys.executable) for facts in trainable()}
    below |= {name: path for name, path in paths.items() if name != REFERENCE}
    made = {path: make(requirements, path) for path in dict.fromkeys(below.values())}
    environments = {name: made[path] for name, path in below.items()}
    return Interpreters(dict(paths) | {name: each.interpreter for name, each in environments.items()}, environments)


NOTHING = Interpreters()
"""Every backend runs in the parent's own."""
