"""pip, asked from outside: which releases there are, what a requirement comes to, and to install that into a folder.

It is the user's own pip with the user's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_NO_INDEX, PIP_CONSTRAINT, its
files), so that what it finds is what they would get. uv, where it is there, unpacks what pip has chosen.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from qparity.environments.base import Distribution, Installed
from qparity.environments.errors import EnvironmentProblem
from qparity.records import read

OLDEST = Version("22.3")
"""The first pip that works on another interpreter and writes a report."""
QUIET = ("--quiet", "--no-input", "--disable-pip-version-check")
LONGEST = 300


@dataclass(frozen=True, slots=True)
class Chosen:
    """A release that pip would install; `url` is where it lies, with its hash."""

    distribution: Distribution
    url: str
    direct: bool
    """Asked for by its place and not from an index."""

    @property
    def pin(self) -> str:
        """It and no other, as pip reads it."""
        return f"{self.distribution.name}=={self.distribution.version}"


@dataclass(frozen=True, slots=True)
class Pip:
    """A pip that works on an interpreter."""

    command: tuple[str, ...]
    interpreter: str

    def releases(self, package: str, pre: bool) -> list[Version]:
        """The releases of a package that fit the interpreter and were not yanked, oldest first.

        Raises:
            EnvironmentProblem: the index has none, or does not answer.
        """
        done = self._run(["index", "versions", *QUIET[1:], *(["--pre"] if pre else []), package])
        lines = [line for line in done.stdout.splitlines() if line.startswith("Available versions:")]
        if done.returncode or not lines:
            raise EnvironmentProblem(f"{package}: {_why(done.stderr)}")
        found = set()
        for text in lines[0].partition(":")[2].split(","):
            try:
                found.add(Version(text.strip()))
            except InvalidVersion:
                continue
        return sorted(found)

    def resolve(self, requirements: Sequence[str]) -> list[Chosen]:
        """What has to be installed, beside what is there, for these requirements; installs nothing.

        Raises:
            EnvironmentProblem: they cannot be met together.
        """
        with tempfile.TemporaryDirectory(prefix="qparity-pip-") as folder:
            report = Path(folder) / "report.json"
            loud = QUIET[1:]  # what a conflict comes from is not said quietly
            done = self._run(["install", *loud, "--dry-run", "--report", str(report), "--", *requirements])
            if done.returncode:
                raise EnvironmentProblem(f"{' '.join(requirements)}: {_why(done.stdout + done.stderr)}")
            found = read(_Report, json.loads(report.read_text(encoding="utf-8")))
        return [_chosen(entry) for entry in found.install]

    def install(self, chosen: Sequence[Chosen], folder: Path) -> None:
        """Unpack these releases, and nothing that they require, into a folder.

        Raises:
            EnvironmentProblem: one of them cannot be had or built.
        """
        if not chosen:
            return
        if uv := shutil.which("uv"):
            places = [f"{each.distribution.name} @ {each.url}" for each in chosen]
            command = [uv, "pip", "install", "--quiet", "--no-config", "--no-deps", "--no-index"]
            into = ["--python", self.interpreter, "--target", str(folder)]
            if not _finished([*command, *into, "--", *places]).returncode:
                return
            shutil.rmtree(folder, ignore_errors=True)  # an index that wants a password, say: pip knows it
        pins = [each.url if each.direct else each.pin for each in chosen]
        done = self._run(["install", *QUIET, "--no-deps", "--target", str(folder), "--", *pins])
        if done.returncode:
            raise EnvironmentProblem(f"{' '.join(each.pin for each in chosen)}: {_why(done.stderr)}")

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return _finished([*self.command, *arguments])


def pip_for(there: Installed, kept: Path) -> Pip:
    """The pip of an interpreter, else qparity's own, else one that is made in the folder `kept`.

    Raises:
        EnvironmentProblem: there is none.
    """
    if _new_enough(there.versions.get("pip")):
        return Pip((there.interpreter, "-m", "pip"), there.interpreter)
    on_it = ("-m", "pip", "--python", there.interpreter)
    done = _finished([sys.executable, "-m", "pip", "--version"])
    if not done.returncode and _new_enough(done.stdout.split()[1]):
        return Pip((sys.executable, *on_it), there.interpreter)
    own = kept / "bin" / "python"
    if not own.exists() or _finished([str(own), "-m", "pip", "--version"]).returncode:
        made = _finished([sys.executable, "-m", "venv", "--clear", str(kept)])
        if made.returncode:
            raise EnvironmentProblem(f"pip: expected one of {OLDEST} or newer for {there.interpreter} or for qparity")
    return Pip((str(own), *on_it), there.interpreter)


def _new_enough(version: str | None) -> bool:
    try:
        return version is not None and Version(version) >= OLDEST
    except InvalidVersion:
        return False


def _finished(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise EnvironmentProblem(f"{command[0]}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class _Archive:
    hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Checkout:
    vcs: str
    commit_id: str


@dataclass(frozen=True, slots=True)
class _Place:
    url: str
    archive_info: _Archive = field(default_factory=_Archive)
    vcs_info: _Checkout | None = None


@dataclass(frozen=True, slots=True)
class _Metadata:
    name: str
    version: str
    requires_dist: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    metadata: _Metadata
    download_info: _Place
    is_direct: bool = False


@dataclass(frozen=True, slots=True)
class _Report:
    """What `pip install --report` writes, as much of it as is read here."""

    install: tuple[_Entry, ...]


def _chosen(entry: _Entry) -> Chosen:
    name, version, place = entry.metadata.name, entry.metadata.version, entry.download_info
    url = f"{place.vcs_info.vcs}+{place.url}@{place.vcs_info.commit_id}" if place.vcs_info else place.url
    if known := place.archive_info.hashes.get("sha256"):
        url += f"#sha256={known}"
    one = Distribution(canonicalize_name(name), version, entry.metadata.requires_dist)
    return Chosen(one, url, entry.is_direct)


def _why(said: str) -> str:
    """What pip said went wrong, in one line: the causes of a conflict, else its first error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if (cause := "The conflict is caused by:") in lines:
        causes = lines[lines.index(cause) + 1 :]
        end = next((n for n, line in enumerate(causes) if line.startswith("To fix this")), len(causes))
        text = "these do not go together: " + "; ".join(causes[:end])
    else:
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        plain = [line for line in errors if line.startswith("No matching distribution")]  # after all versions there are
        text = (plain or errors or lines or ["pip failed and said nothing"])[0]
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
