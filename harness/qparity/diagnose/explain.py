"""After a sweep: why do its red cells disagree? One cell of each cause is diagnosed, all together within a time.

Servers are shared between them, since starting those is most of what a small cell's diagnosis takes. Modules that the
run names are imported only where it is trusted: a sweep that made the folder has done so itself, a resumed folder may
come from anywhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qparity.diagnose.diagnose import diagnosed
from qparity.diagnose.finding import Diagnosis
from qparity.diagnose.subject import DiagnosisError, find
from qparity.runner.pool import Pool
from qparity.store import Run
from qparity.summary.causes import Cause

WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class Explained:
    """What was found of a cause, from its first cell; where that is None, `why_not`."""

    cause: Cause
    found: Diagnosis | None
    why_not: str = ""

    @property
    def line(self) -> str:
        """In one line for people."""
        if self.found is None:
            return f"not diagnosed: {self.why_not}"
        parts = [
            self.found.likeness,
            self.found.blame,
            *(each.reason for each in (self.found.layer, self.found.gates) if each),
        ]
        return "; ".join(part for part in parts if part)


def explain(
    run: Run,
    causes: Iterable[Cause],
    trust: bool,
    within_s: float = WITHIN_S,
    interpreters: dict[str, str] | None = None,
    before: Callable[[Cause], None] = lambda _: None,
) -> list[Explained]:
    """Diagnose the first cell of each cause of disagreement, in their order; cells that did not finish are no such.

    Args:
        run: the sweep, closed.
        causes: the largest first.
        trust: whether modules that the run names may be imported.
        within_s: seconds for all of them; what is under way then is given up.
        interpreters: backend -> Python.
        before: is told each cause whose turn it is.

    Returns:
        One a cause of disagreement. What was found is kept in the run folder, as `diagnose` does.
    """
    wrong = [cause for cause in causes if cause.first.mark == "fail"]
    return asyncio.run(_explain(run, wrong, trust, within_s, interpreters, before))


async def _explain(
    run: Run,
    causes: list[Cause],
    trust: bool,
    within_s: float,
    interpreters: dict[str, str] | None,
    before: Callable[[Cause], None],
) -> list[Explained]:
    until, found = time.monotonic() + within_s, list[Explained]()
    if not causes:
        return found
    late = f"not within {within_s:g} s"
    async with Pool(run.logs(), 1, interpreters or {}) as pool:
        for cause in causes:
            left = until - time.monotonic()
            if left <= 0:
                found.append(Explained(cause, None, late))
                continue
            before(cause)
            try:
                subject = find(run, cause.first.id, trust, within_s=left)
                async with asyncio.timeout(until - time.monotonic()):
                    found.append(Explained(cause, await diagnosed(pool, run, subject)))
            except TimeoutError:
                found.append(Explained(cause, None, late))
            except DiagnosisError as error:
                found.append(Explained(cause, None, str(error)))
    return found
