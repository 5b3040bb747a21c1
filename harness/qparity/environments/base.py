"""What is installed for an interpreter, as itself says, and whether that goes together."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from qparity.environments.errors import EnvironmentProblem
from qparity.records import read

PATIENCE_S = 120.0
ASK = """
import importlib.metadata, json, platform, re, site, sys
wanted = set(sys.argv[1:])
folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
folders = [folder for folder in dict.fromkeys(folders) if folder in sys.path]
found = []
for one in importlib.metadata.distributions(path=folders):
    name = one.metadata["Name"]
    if name:
        name = re.sub("[-_.]+", "-", name).lower()
        files = [str(file.locate()) for file in one.files or ()] if f"{name} {one.version}" in wanted else None
        found.append({"name": name, "version": one.version, "requires": one.requires or [], "files": files})
print(json.dumps({"python": platform.python_version(), "folders": folders, "found": found}))
"""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution: its name as it is compared, version, what it requires; its files where they were asked for."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    files: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Installed:
    """What an interpreter has. `shadowed` are distributions that lie behind another one of their name."""

    interpreter: str
    python: str
    folders: tuple[str, ...]
    distributions: Mapping[str, Distribution]
    shadowed: tuple[Distribution, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """Name -> version."""
        return {name: each.version for name, each in sorted(self.distributions.items())}


@dataclass(frozen=True, slots=True)
class _Answer:
    python: str
    folders: tuple[str, ...]
    found: tuple[Distribution, ...]


def installed(interpreter: str, files_of: Iterable[Distribution] = ()) -> Installed:
    """Ask an interpreter what it has, and for the files of these.

    Raises:
        EnvironmentProblem: it does not answer.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(
            [interpreter, "-P", "-c", ASK, *map(str, files_of)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        answer = read(_Answer, json.loads(done.stdout))
    except (OSError, subprocess.TimeoutExpired, ValueError):
        raise EnvironmentProblem(f"{interpreter}: expected a Python interpreter (3.11 or newer)") from None
    distributions: dict[str, Distribution] = {}
    shadowed = []
    for one in answer.found:
        if one.name in distributions:
            shadowed.append(one)
        else:
            distributions[one.name] = one
    return Installed(interpreter, answer.python, answer.folders, distributions, tuple(shadowed))


def broken(before: Installed, after: Mapping[str, Distribution], spared: Iterable[str]) -> dict[str, Requirement]:
    """Distributions that no longer have what they require, name -> which requirement; they held together before.

    Args:
        before: what was installed.
        after: name -> what is there with the new releases in place.
        spared: names that are not looked at.
    """
    found: dict[str, Requirement] = {}
    there = dict(after)
    while True:
        new: dict[str, Requirement] = {}
        for name, one in there.items():
            if name in spared or before.distributions.get(name) != one:
                continue
            for requirement in _requirements(one, before.python):
                other = canonicalize_name(requirement.name)
                had, has = before.distributions.get(other), there.get(other)
                if _meets(had, requirement) and not _meets(has, requirement):
                    new[name] = requirement
        if not new:
            return found
        found |= new
        there = {name: one for name, one in there.items() if name not in new}


def _requirements(one: Distribution, python: str) -> list[Requirement]:
    environment = {"extra": "", "python_full_version": python, "python_version": ".".join(python.split(".")[:2])}
    found = []
    for text in one.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.append(requirement)
    return found


def _meets(one: Distribution | None, requirement: Requirement) -> bool:
    return one is not None and requirement.specifier.contains(one.version, prereleases=True)
