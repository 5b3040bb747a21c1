"""Is a verdict the one the scenario expects?"""

from __future__ import annotations

from collections.abc import Mapping

from harness.parity.types import Judgement, Verdict


def expected_verdict(expect: str | Mapping[str, str] | None, variant: str) -> Verdict:
    """The verdict a scenario expects of a variant: its `expect`, or a table's entry, or ROUNDING.

    A table's key is a variant's name or `default`. Raises ValueError for a word that is no verdict.
    """
    word = expect if isinstance(expect, str) else (expect or {}).get(variant, (expect or {}).get("default"))
    return Verdict(word or Verdict.ROUNDING)


def as_expected(judgement: Judgement, expect: str | Mapping[str, str] | None, variant: str) -> bool:
    """Whether the judgement carries the expected verdict."""
    return judgement.verdict == expected_verdict(expect, variant)
