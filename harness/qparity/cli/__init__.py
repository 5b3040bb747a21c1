"""The command line: thin commands over the rooms below, the values they are given, and what they read and write."""

from qparity.cli import bisecting, envs, hunting, versions, watching
from qparity.cli.commands import app
from qparity.cli.entry import main

__all__ = ["app", "bisecting", "envs", "hunting", "main", "versions", "watching"]
