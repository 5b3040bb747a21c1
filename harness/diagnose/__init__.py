"""Why does a cell disagree: one step run again beside its siblings, and a script that shows it alone."""

from harness.diagnose.diagnose import diagnose
from harness.diagnose.reproduce import reproduce
from harness.diagnose.shrink import shrink
from harness.diagnose.subject import DiagnosisError, find

__all__ = ["DiagnosisError", "diagnose", "find", "reproduce", "shrink"]
