"""The folder of packages of an environment: new releases, and links to all that lies below and is not replaced.

The result is what the interpreter's own folder would be with the old releases taken out and the new ones put in: a
module that only the old release had is gone, and so is its name. Links point into the environment below, so no
installer may run in here; what is unpacked is unpacked before the first link is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

CACHE = "__pycache__"


def link(below: Iterable[str], into: Path, hidden: Iterable[str]) -> None:
    """Link what lies in folders into another, but for hidden files, and for what is there already.

    Args:
        below: folders of packages, the first one comes first.
        into: the folder to fill.
        hidden: paths of files that are not to be seen.
    """
    without = {os.path.normpath(path) for path in hidden}
    touched = {folder for path in without for folder in _parents(path)}
    for folder in below:
        _merge(folder, str(into), without, touched)


def _merge(source: str, target: str, without: set[str], touched: set[str]) -> None:
    for entry in os.scandir(source):
        path, place = os.path.normpath(entry.path), os.path.join(target, entry.name)
        if path in without or entry.name == CACHE:
            continue
        folder = entry.is_dir()
        if os.path.islink(place):
            if not (folder and os.path.isdir(place)) or os.path.exists(os.path.join(place, "__init__.py")):
                continue  # an earlier folder has it
            first = os.path.realpath(place)  # a namespace, which lies in several
            os.unlink(place)
            os.mkdir(place)
            _merge(first, place, without, touched)
        if folder and (path in touched or os.path.isdir(place)):
            os.makedirs(place, exist_ok=True)
            _merge(path, place, without, touched)
            if not os.listdir(place):
                os.rmdir(place)
        elif not os.path.lexists(place):
            os.symlink(path, place)


def _parents(path: str) -> list[str]:
    found = []
    while (parent := os.path.dirname(path)) != path:
        found.append(parent)
        path = parent
    return found
