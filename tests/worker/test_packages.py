"""The versions that a worker records are of what it has imported, and of what was put on top for it."""

import json
import sys
from types import ModuleType

from qparity.environments import MANIFEST
from qparity.worker.backends import about_packages


def test_what_is_imported_counts_and_not_what_is_installed(monkeypatch):
    installed = about_packages(1)["versions"]["autoray"]
    checkout = ModuleType("autoray")
    checkout.__version__ = "99.dev1"
    monkeypatch.setitem(sys.modules, "autoray", checkout)
    assert about_packages(1)["versions"]["autoray"] == "99.dev1" != installed


def test_what_was_put_on_top_is_recorded_whatever_it_is(tmp_path, monkeypatch):
    assert "packaging" not in about_packages(1)["versions"]
    told = {"requirements": ["rich>=1", "packaging"], "installed": {"packaging": "1", "absent": "2"}}
    (tmp_path / MANIFEST).write_text(json.dumps(told))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    versions = about_packages(1)["versions"]
    assert versions["packaging"] != "1", "as it is found, not as it was asked for"
    assert "rich" in versions, "what was there already was asked for, too"
    assert "absent" not in versions
