"""What is said of a run: one view model behind gate, terminal, Markdown, JUnit and HTML report."""

from harness.summary.judging import judgements
from harness.summary.summarise import summarise
from harness.summary.view import CellView, Group, Pair, RunView, Series

__all__ = ["CellView", "Group", "Pair", "RunView", "Series", "judgements", "summarise"]
