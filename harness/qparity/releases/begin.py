"""Begin a bisect: one cell, a package, the folder where its evaluations are kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from json import dumps
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from qparity import __version__
from qparity.environments import cache
from qparity.environments.base import installed
from qparity.environments.errors import EnvironmentProblem
from qparity.environments.pip import pip_for
from qparity.releases.bisect import candidates
from qparity.releases.evaluation import Bench
from qparity.releases.pace import PaceBench
from qparity.runner.local import Options
from qparity.runner.plan import make_blocks
from qparity.scenario.errors import ScenarioError
from qparity.scenario.load import Block


def one_cell(blocks: Sequence[Block]) -> Block:
    """The only block there is, with one variant.

    Raises:
        ScenarioError: there are several.
    """
    if len(blocks) > 1:
        some = ", ".join(block.scenario.name for block in blocks[:6])
        raise ScenarioError(f"one scenario, which -k chooses by its name (there are {some})", key="SCENARIO")
    return blocks[0]


def by_variant(blocks: Sequence[Block]) -> list[Block]:
    """The same blocks with one variant each."""
    return [replace(block, variants=(each,)) for block in blocks for each in block.variants]


def bench(
    block: Block, package: str, pins: Sequence[str], paths: Mapping[str, str], results: Path, options: Options
) -> Bench:
    """The bench for a cell, with a folder of its own: for the cell, what is pinned, and all that is installed below.

    Raises:
        EnvironmentProblem: a requirement is none, or is one of the package.
        ScenarioError: a module or data set is wrong.
    """
    name, wanted, folder = _place(block, package, pins, paths, results, ())
    return Bench(folder, block, name, wanted, paths, options)


def pace_bench(bench: Bench, pins: Sequence[str], results: Path, good: str, rounds: int) -> PaceBench:
    """A bench that times what another one judges, each release beside a good one, in so many rounds at the most.

    Its folder is for that release and these rounds, too.
    """
    name, wanted, folder = _place(bench.block, bench.package, pins, bench.paths, results, ("speed", good, str(rounds)))
    return PaceBench(folder, bench.block, name, wanted, bench.paths, bench.options, good, rounds)


def _place(
    block: Block, package: str, pins: Sequence[str], paths: Mapping[str, str], results: Path, more: tuple[str, ...]
) -> tuple[str, tuple[str, ...], Path]:
    """A package's normal name, what is pinned, and the folder of a bench."""
    name, wanted = canonicalize_name(package), cache.normal(pins)
    if own := next((pin for pin in wanted if canonicalize_name(Requirement(pin).name) == name), None):
        raise EnvironmentProblem(f"--with = {own!r}: expected another package than {name}, whose releases are tried")
    below = installed(_below(block, paths))
    cell = make_blocks([block])[0].cells[0].id
    what = [cell, name, cache.key(wanted, below), __version__, *more]
    short = sha256(dumps(what).encode()).hexdigest()[:8]
    kind = f"-{more[0]}" if more else ""
    return name, wanted, results / f"bisect-{block.scenario.name}-{block.variants[0]}-{name}{kind}-{short}"


def releases(bench: Bench, good: str | None, bad: str | None, pre: bool) -> list[str]:
    """The releases to look at, oldest first; pre-releases only if they are asked for, or named as an end.

    Raises:
        EnvironmentProblem: the index has none, or an end is none of them.
    """
    pip = pip_for(installed(_below(bench.block, bench.paths)), cache.cache() / ".pip")
    there = pip.releases(bench.package, pre or any(map(_is_pre, (good, bad))))
    kept = [each for each in there if pre or not each.is_prerelease or str(each) in (good, bad)]
    return candidates(bench.package, kept, good, bad)


def installed_release(bench: Bench) -> str | None:
    """The release of the bench's package that is installed below; None where there is none."""
    found = installed(_below(bench.block, bench.paths)).distributions.get(bench.package)
    return found.version if found else None


def _below(block: Block, paths: Mapping[str, str]) -> str:
    variant = block.variants[0]
    named = f"{variant.backend}@{variant.accelerator}"
    return paths.get(named) or paths.get(variant.backend) or sys.executable


def _is_pre(text: str | None) -> bool:
    try:
        return text is not None and Version(text).is_prerelease
    except InvalidVersion:
        return False
