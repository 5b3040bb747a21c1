"""The cache: an environment is made once for what was asked, the interpreter below, and all that is installed there.

It is built in a folder beside its place and renamed when it is whole; one process at a time builds it, under a lock
that ends with the process, so what lies in a building folder while nobody holds the lock is rubbish.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from json import dumps
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from qparity.environments import MANIFEST
from qparity.environments.base import Installed, broken, installed
from qparity.environments.errors import EnvironmentProblem
from qparity.environments.manifest import Environment, Manifest
from qparity.environments.overlay import link
from qparity.environments.pip import Chosen, Pip, pip_for
from qparity.records import read
from qparity.records.document import Table
from qparity.scenario.backends import NEEDED
from qparity.store import atomic, trust

PLACE = "QPARITY_ENVS"
"""The folder of the cache, where it is not the user's usual one."""
BUILDING = ".building-"
SPARED = ("qparity", "pip")
"""Whose requirements do not matter: a worker loads qparity from where the parent has it, and nothing is installed."""


def cache() -> Path:
    """The folder of the cache."""
    if own := os.environ.get(PLACE):
        return Path(own).absolute()
    usual = os.environ.get("XDG_CACHE_HOME")
    return (Path(usual) if usual else Path.home() / ".cache") / "qparity" / "envs"


def normal(requirements: Sequence[str]) -> tuple[str, ...]:
    """Requirements as they are written once and for all, in order.

    Raises:
        EnvironmentProblem: one of them is none, or a package is named twice.
    """
    found: dict[str, str] = {}
    for text in requirements:
        try:
            one = Requirement(text)
        except InvalidRequirement:
            raise EnvironmentProblem(f"--with = {text!r}: expected a requirement such as keras==3.14.1") from None
        one.name = canonicalize_name(one.name)
        if one.name in found:
            raise EnvironmentProblem(f"--with = {text!r}: expected one requirement of {one.name}")
        found[one.name] = str(one)
    return tuple(found[name] for name in sorted(found))


def make(requirements: Sequence[str], interpreter: str) -> Environment:
    """The environment for these requirements on top of an interpreter: the one in the cache, else a new one.

    Raises:
        EnvironmentProblem: the requirements are none, do not go together, or cannot be installed.
    """
    wanted = normal(requirements)
    below = installed(interpreter)
    path = cache() / key(wanted, below)
    if (there := _read(path)) is None:
        with _building(path) as folder:
            if (there := _read(path)) is None:
                _build(wanted, below, folder)
                os.rename(folder, path)
                there = _read(path)
    if there is None:
        raise EnvironmentProblem(f"{path}: expected {MANIFEST} of an environment (qparity envs prune removes it)")
    with contextlib.suppress(OSError):
        os.utime(path / MANIFEST)  # when it was last used
    return there


def key(requirements: Sequence[str], below: Installed) -> str:
    """The name of an environment: what was asked, the interpreter, and all that is installed there."""
    lock = [list(requirements), below.interpreter, below.python, list(below.folders), below.versions]
    return sha256(dumps(lock, sort_keys=True).encode()).hexdigest()[:16]


def envs() -> list[Environment]:
    """The environments of the cache, the one used last at the end."""
    folder = cache()
    found = [_read(each) for each in (folder.iterdir() if folder.is_dir() else ()) if not each.name.startswith(".")]
    return sorted((each for each in found if each), key=used)


def used(environment: Environment) -> float:
    """When it was last used, in seconds since the epoch."""
    try:
        return (environment.path / MANIFEST).stat().st_mtime
    except OSError:
        return 0.0


def prune(everything: bool = False, unused_s: float | None = None) -> list[Path]:
    """Remove environments that nothing can use any more, and what was left half made; the paths of the former.

    Args:
        everything: all of them.
        unused_s: also those that were not used for so many seconds.
    """
    removed = []
    for path in sorted(cache().iterdir()) if cache().is_dir() else ():
        if path.name.startswith("."):
            _clear(path)
            continue
        there = _read(path)
        old = there is not None and unused_s is not None and time.time() - used(there) > unused_s
        if path.is_dir() and (everything or old or there is None or _outdated(there)):
            shutil.rmtree(path)
            removed.append(path)
    return removed


def _outdated(environment: Environment) -> bool:
    try:
        return key(environment.manifest.requirements, installed(environment.manifest.below)) != environment.key
    except EnvironmentProblem:
        return True


def _clear(path: Path) -> None:
    """Remove a building folder that nobody builds in."""
    if path.is_dir() and path.name.startswith(BUILDING):
        with contextlib.suppress(BlockingIOError), _building(path.parent / path.name.removeprefix(BUILDING), False):
            pass


def _read(path: Path) -> Environment | None:
    try:
        return Environment(path, read(Manifest, trust.read_json(path, MANIFEST)))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _building(path: Path, wait: bool = True) -> Iterator[Path]:
    """A new folder beside a path of the cache; nobody else builds there meanwhile, and nothing of it is left after.

    Raises:
        BlockingIOError: somebody builds there, and this was not to `wait`.
    """
    import fcntl

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path.parent / f".{path.name}.lock", "ab")  # noqa: SIM115
    except OSError as error:
        raise EnvironmentProblem(f"{error.filename}: {error.strerror}; {PLACE} names another folder") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = path.parent / f"{BUILDING}{path.name}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _build(requirements: Sequence[str], below: Installed, folder: Path) -> None:
    """Make an environment in a folder that is not there yet."""
    pip = pip_for(below, cache() / ".pip")
    chosen = pip.resolve(requirements)
    new = {each.distribution.name: each.distribution for each in chosen}
    without = broken(below, {**below.distributions, **new}, SPARED)
    asked = " ".join(requirements)
    for name in NEEDED:
        if name in without:
            raise EnvironmentProblem(f"{asked}: {_because(name, below, without)}; ask for releases that go together")
    away = [below.distributions[name] for name in {*new, *without, "pip"} if name in below.distributions]
    listed = installed(below.interpreter, [*away, *below.shadowed])
    hidden = [file for one in listed.shadowed for file in one.files or ()]
    for one in away:
        files = listed.distributions[one.name].files
        if not files and one.name in new:
            raise EnvironmentProblem(f"{asked}: {one} cannot be replaced: no record of its files is installed")
        hidden += files or ()
    interpreter = _venv(below.interpreter, folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    _filled(pip, chosen, packages, folder)
    link(below.folders, packages, hidden)
    got = installed(interpreter)
    expected = {n: d.version for n, d in {**below.distributions, **new}.items() if n not in without and n != "pip"}
    if wrong := sorted(n for n in expected.keys() | got.versions.keys() if expected.get(n) != got.versions.get(n)):
        said = ", ".join(f"{n} {got.versions.get(n, 'absent')}, not {expected.get(n, 'absent')}" for n in wrong[:3])
        raise EnvironmentProblem(f"{asked}: the environment came out with {said}")
    manifest: Table = {
        "requirements": list(requirements),
        "below": below.interpreter,
        "python": below.python,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "installed": {name: one.version for name, one in sorted(new.items())},
        "without": {name: _because(name, below, without) for name in sorted(without)},
        "packages": got.versions,
    }
    atomic.write_json(folder / MANIFEST, manifest)


def _because(name: str, below: Installed, without: Mapping[str, Requirement]) -> str:
    """Why a distribution is left out, back to what was asked for."""
    required, said = without[name], []
    while True:
        said.append(f"{below.distributions[name]} requires {required.name}{required.specifier}")
        name = canonicalize_name(required.name)
        if name not in without:
            return ", and ".join(said)
        required = without[name]


def _venv(interpreter: str, folder: Path) -> str:
    done = subprocess.run(
        [interpreter, "-m", "venv", "--without-pip", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise EnvironmentProblem(f"{interpreter} -m venv: {why[-1]}")
    for script in (folder / "bin").glob("[aA]ctivate*"):  # they would name the folder that it was built in
        script.unlink()
    return str(folder / "bin" / "python")


def _filled(pip: Pip, chosen: Sequence[Chosen], packages: Path, folder: Path) -> None:
    """Unpack releases; a folder of its own first, since both pip and uv may leave one that is half filled."""
    unpacked = folder / "unpacked"
    pip.install(chosen, unpacked)
    if unpacked.is_dir():
        for entry in unpacked.iterdir():
            if entry.name not in ("bin", ".lock"):
                os.rename(entry, packages / entry.name)
        shutil.rmtree(unpacked)
