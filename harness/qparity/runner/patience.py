"""How long a cell may go on: a cap for the whole, and much less for one that has stopped making progress.

Nothing says beforehand how long a step takes on this machine, but the steps already done do: a cell that is silent
for far longer than its longest step is stuck, and need not hold a core until the cap.
"""

from __future__ import annotations

import asyncio

FLOOR_S = 60.0
FACTOR = 20.0


class Patience:
    """Moves the deadline of a cell as it reports progress. Made inside `asyncio.timeout`, whose `clock` it sets.

    Attributes:
        reason: why the cell was ended, if it was.
    """

    def __init__(self, clock: asyncio.Timeout, most_s: float) -> None:
        self.clock, self.most_s = clock, most_s
        self.now = asyncio.get_running_loop().time
        self.end = self.now() + most_s
        self.reason = f"no end after {most_s:g} s"
        self._step, self._last, self._longest = 0, self.now(), 0.0

    def heard(self, step: int) -> None:
        """Take in that `step` begins; counting anew from a lower one, such as the next phase, forgets the estimate."""
        now = self.now()
        self._longest = 0.0 if step < self._step else self._longest
        if step > self._step:
            self._longest = max(self._longest, now - self._last)
        self._step, self._last = step, now
        allowed = FLOOR_S + FACTOR * self._longest
        if self._longest and now + allowed < self.end:
            self.clock.reschedule(now + allowed)
            self.reason = (
                f"stuck: no progress for {allowed:.0f} s at step {step} (longest until then {self._longest:.2g} s)"
            )
        else:
            self.clock.reschedule(self.end)
            self.reason = f"no end after {self.most_s:g} s"
