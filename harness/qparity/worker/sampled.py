"""Where a step's time goes: the Python stack of the thread that trains, looked at every millisecond.

Taken in a timed child after its rounds, so that it is in none of them. A sample is the stack from `fit` on; one is
taken when the thread gives the interpreter away or runs compiled code, so what a C function does is its caller's. Where
a framework calls Python back on a thread of its own (PennyLane inside a compiled step), that thread's stack counts.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from qparity.records.timing import Profile

INTERVAL_S = 0.001
DEEPEST = 250
MOST_STACKS = 400
"""The most frequent stacks are kept."""
CALLED_BACK = "pennylane"
_SWITCH_S = 0.0002


class Sampler:
    """Takes samples while `sampling()` holds."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.seconds = 0.0

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Look at the thread that enters this until it leaves."""
        done, watched = threading.Event(), threading.get_ident()
        thread = threading.Thread(target=self._take, args=(watched, done), daemon=True)
        switch, start = sys.getswitchinterval(), time.perf_counter()
        sys.setswitchinterval(_SWITCH_S)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            sys.setswitchinterval(switch)
            self.seconds += time.perf_counter() - start

    def profile(self, steps: int) -> Profile:
        """What was seen, over so many steps."""
        kept = self.counts.most_common(MOST_STACKS)
        rest = self.counts.total() - sum(count for _, count in kept)
        numbers = {name: k for k, name in enumerate(dict.fromkeys(name for stack, _ in kept for name in stack))}
        stacks = tuple((tuple(numbers[name] for name in stack), count) for stack, count in kept)
        return Profile(steps, self.seconds, self.counts.total(), rest, tuple(numbers), stacks)

    def _take(self, watched: int, done: threading.Event) -> None:
        mine = threading.get_ident()
        while not done.wait(INTERVAL_S):
            frames = sys._current_frames()
            others = [stack_of(frame) for thread, frame in frames.items() if thread not in (watched, mine)]
            called = next((stack for stack in others if any(CALLED_BACK in name for name in stack)), None)
            seen = called or (stack_of(frames[watched]) if watched in frames else ())
            if seen:
                self.counts[seen] += 1


def stack_of(frame: FrameType | None) -> tuple[str, ...]:
    """The functions of a stack as `module:function`, the outermost first; from the innermost `fit` of Keras on."""
    names: list[str] = []
    while frame is not None and len(names) < DEEPEST:
        module, function = frame.f_globals.get("__name__", "?"), frame.f_code.co_name
        if function == "fit" and str(module).startswith("keras."):
            break
        names.append(f"{module}:{function}"[:120])
        frame = frame.f_back
    return tuple(reversed(names))
