"""What is said of a run: one view model behind gate, terminal, Markdown, JUnit and HTML report."""

from qparity.summary.judging import judgements
from qparity.summary.summarise import summarise
from qparity.summary.view import CellView, Group, Pair, RunView, Series

__all__ = ["CellView", "Group", "Pair", "RunView", "Series", "judgements", "summarise"]
