"""Verdicts over releases: each cell with each of some releases of some packages on top, as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from packaging.utils import canonicalize_name

from qparity.parity import expected_verdict
from qparity.records.document import Table
from qparity.releases.evaluation import Bench, Evaluation
from qparity.scenario.backends import BACKENDS
from qparity.scenario.load import Block
from qparity.summary.summarise import mark_of
from qparity.summary.view import Mark


@dataclass(frozen=True, slots=True)
class Row:
    """One release of a package: what each cell came to, None for those that do not run it."""

    package: str
    release: str
    evaluations: tuple[Evaluation | None, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """All rows; `cells` are `scenario on variant`, and `expected` what a scenario's file expects of each."""

    cells: tuple[str, ...]
    rows: tuple[Row, ...]
    expected: tuple[str, ...]

    def mark(self, each: Evaluation, cell: int) -> Mark:
        """What an evaluation of a cell (its place) looks like, as a cell of a run does."""
        return mark_of(each.status, each.verdict, self.expected[cell])

    @property
    def exit_code(self) -> int:
        """0: every cell passes with every release, 1: one is faulty, 3: none is, and one has no verdict."""
        every = [each for row in self.rows for each in row.evaluations if each]
        return 1 if any(each.faulty for each in every) else 3 if not all(each.passes for each in every) else 0


def concerns(package: str, block: Block) -> bool:
    """Whether a cell runs a package at all: another backend's framework it does not."""
    name, backend = canonicalize_name(package), block.variants[0].backend
    others = {canonicalize_name(each) for facts in BACKENDS.values() for each in facts.distributions}
    mine = {canonicalize_name(each) for each in BACKENDS[backend].distributions}
    shared = {canonicalize_name(each) for each in ("numpy", "keras", "pennylane")}
    return name in mine | shared or name not in others


def over_releases(
    blocks: Sequence[Block],
    asked: Mapping[str, Sequence[str]],
    begin: Callable[[Block, str], Bench],
    tell: Callable[[str], None],
) -> Matrix:
    """Evaluate every cell with every release; what is kept of an earlier time is not run again.

    Args:
        blocks: one variant each.
        asked: package -> releases, oldest first.
        begin: the bench of a cell and a package, its folder made.
        tell: is told each evaluation, in a line.
    """
    benches: dict[tuple[int, str], Bench] = {}
    rows = []
    for package, releases in asked.items():
        for release in releases:
            found: list[Evaluation | None] = []
            for number, block in enumerate(blocks):
                if not concerns(package, block):
                    found.append(None)
                    continue
                if (number, package) not in benches:
                    benches[number, package] = begin(block, package)
                found.append(benches[number, package].evaluate(release))
                tell(f"{package} {release}, {name_of(block)}: {_short(found[-1])}")
            rows.append(Row(package, release, tuple(found)))
    expected = (str(expected_verdict(block.scenario.expect, str(block.variants[0]))) for block in blocks)
    return Matrix(tuple(map(name_of, blocks)), tuple(rows), tuple(expected))


def name_of(block: Block) -> str:
    """`scenario on variant`."""
    return f"{block.scenario.name} on {block.variants[0]}"


def markdown(found: Matrix) -> str:
    """A table a package, and below it the reasons of what did not pass."""
    parts = []
    for package in dict.fromkeys(row.package for row in found.rows):
        rows = [row for row in found.rows if row.package == package]
        shown = [k for k in range(len(found.cells)) if any(row.evaluations[k] for row in rows)]
        lines = [f"| {package} | {' | '.join(found.cells[k] for k in shown)} |", "|---" * (len(shown) + 1) + "|"]
        lines += [f"| {row.release} | {' | '.join(_short(row.evaluations[k]) for k in shown)} |" for row in rows]
        parts += ["\n".join(lines), *_reasons(rows, found.cells)]
    return "\n\n".join(parts)


def document(found: Matrix) -> Table:
    """A JSON object."""
    return {
        "schema": 1,
        "cells": list(found.cells),
        "rows": [
            {
                "package": row.package,
                "release": row.release,
                "evaluations": [each and (asdict(each) | {"said": each.said}) for each in row.evaluations],
            }
            for row in found.rows
        ],
        "exit_code": found.exit_code,
    }


def _short(each: Evaluation | None) -> str:
    if each is None:
        return "–"
    mark = "✓" if each.passes else "✗" if each.faulty else "?"
    return f"{mark} {each.said}"


def _reasons(rows: Sequence[Row], cells: Sequence[str]) -> Iterator[str]:
    told: dict[str, list[str]] = {}
    for row in rows:
        for cell, each in zip(cells, row.evaluations, strict=True):
            if each and not each.passes and each.reason:
                told.setdefault(each.reason, []).append(f"{row.release}, {cell}")
    if told:
        yield "\n".join(f"- {'; '.join(places)}: {_plain(reason)}" for reason, places in told.items())


def _plain(reason: str) -> str:
    return " ".join(reason.replace("|", "\\|").split())[:400]
