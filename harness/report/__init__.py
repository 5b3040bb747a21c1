"""Rendering: a run's view as one self-contained HTML file."""

from harness.report.html import render

__all__ = ["render"]
