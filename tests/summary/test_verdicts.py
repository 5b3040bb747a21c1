"""Every verdict and every way to end is explained once, on the page and in docs/verdicts.md."""

from qparity.parity import Verdict
from qparity.records.outcome import STATUSES
from qparity.summary.summarise import ERRORS
from qparity.summary.verdicts import ABOUT, page
from tests.conftest import ROOT


def test_all_of_them_are_explained():
    assert ABOUT.keys() == {*map(str, Verdict), *ERRORS, *STATUSES} - {"ok"}
    for name in ("LOCAL-FAULT", "PRECISION-LEAK", "SETUP-FAULT", "NOT-COMPARED", *ERRORS):
        assert ABOUT[name].usually, name
        assert ABOUT[name].next, name


def test_the_page_in_the_docs_is_the_same():
    said = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    assert said == page(), "run: python -m qparity.summary.verdicts > docs/verdicts.md"
