"""Why does a cell disagree: one step run again beside its siblings, and a script that shows it alone."""

from qparity.diagnose.diagnose import diagnose
from qparity.diagnose.evidence import Evidence, gather
from qparity.diagnose.explain import Explained, explain
from qparity.diagnose.reproduce import reproduce
from qparity.diagnose.shrink import shrink
from qparity.diagnose.subject import DiagnosisError, find

__all__ = ["DiagnosisError", "Evidence", "Explained", "diagnose", "explain", "find", "gather", "reproduce", "shrink"]
