"""Does a newer release change a verdict? What is installed beside the newest there is, and which release it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qparity.releases.bisect import Found, bisect, why
from qparity.releases.evaluation import Bench, Evaluation
from qparity.releases.matrix import name_of


@dataclass(frozen=True, slots=True)
class Watched:
    """One cell with a release of now and the newest; `found` is what a bisect came to where they differ."""

    cell: str
    package: str
    now: Evaluation
    newest: Evaluation
    found: Found | None = None

    @property
    def differs(self) -> bool:
        """Whether both have a verdict, and not the same one at the same stage."""
        ends = (self.now, self.newest)
        judged = all(each.passes or each.faulty for each in ends)
        return judged and not all(each.passes for each in ends) and self.now.kind != self.newest.kind

    @property
    def unknown(self) -> Evaluation | None:
        """The end that has no verdict, the newest first."""
        return next((each for each in (self.newest, self.now) if not (each.passes or each.faulty)), None)

    @property
    def line(self) -> str:
        """In one line."""
        ends = f"{self.package} {self.now.release} → {self.newest.release}"
        if self.unknown:
            return f"{self.cell}: {ends}: cannot say with {self.unknown.release}: {why(self.unknown)}"
        if not self.differs:
            return f"{self.cell}: {ends}: {self.newest.said}, as before"
        blamed = f" {self.found.sentence}" if self.found else ""
        return f"{self.cell}: {ends}: {self.now.said} → {self.newest.said}.{blamed}"


def watch(bench: Bench, releases: Sequence[str], tell: Callable[[str], None]) -> Watched:
    """Evaluate both ends of these releases, and look for the one to blame where they differ.

    Args:
        bench: of one cell and a package.
        releases: at least two, the one of now first.
        tell: is told every evaluation, in a line.

    Raises:
        KeyboardInterrupt: what was finished until then is kept.
    """
    now, newest = (bench.evaluate(each) for each in (releases[0], releases[-1]))
    seen = Watched(name_of(bench.block), bench.package, now, newest)
    for each in (now, newest):
        tell(f"{bench.package} {each.release}, {seen.cell}: {each.said}")
    if not seen.differs:
        return seen

    def told(one: Evaluation, meaning: str) -> None:
        tell(f"{bench.package} {one.release}, {seen.cell}: {one.said} ({meaning})")

    return Watched(seen.cell, bench.package, now, newest, bisect(bench, releases, told))


def exit_code(seen: Sequence[Watched]) -> int:
    """0: no verdict differs, 1: some does, 3: none does, and some end has none."""
    return 1 if any(each.differs for each in seen) else 3 if any(each.unknown for each in seen) else 0


def issue(seen: Sequence[Watched], unchanged: Sequence[str]) -> str:
    """The text of an issue, as Markdown; `unchanged` are packages of which nothing newer is there."""
    parts = []
    for title, chosen in (
        ("A newer release changes a verdict", [each for each in seen if each.differs]),
        ("No verdict with a newer release", [each for each in seen if each.unknown]),
        ("As before", [each for each in seen if not each.differs and not each.unknown]),
    ):
        if chosen:
            parts.append(f"## {title}\n\n" + "\n".join(f"- {_plain(each.line)}" for each in chosen))
    if unchanged:
        parts.append(f"There is nothing newer than {', '.join(unchanged)}.")
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    return " ".join(text.split())[:600]
