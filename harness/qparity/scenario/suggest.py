"""Did you mean: the words of an error about an unknown name."""

from collections.abc import Iterable
from difflib import get_close_matches


def one_of(what: str, given: object, names: Iterable[str]) -> str:
    """`a circuit: iqp, qaoa, ... (did you mean qaoa?)`."""
    names = list(names)
    return f"{what}: {', '.join(names[:24])}{', ...' if names[24:] else ''}{did_you_mean(given, names)}"


def did_you_mean(given: object, names: Iterable[str], likeness: float = 0.6) -> str:
    """` (did you mean qaoa?)`, or nothing where no name is close (`likeness` 1 is the same)."""
    close = get_close_matches(str(given)[:100], list(names), 1, likeness)
    return f" (did you mean {close[0]}?)" if close else ""
