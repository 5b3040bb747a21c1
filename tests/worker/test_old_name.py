"""A module written for 0.1 imports the package by its old name."""

import importlib
import sys

import pytest

from qparity.worker import old_name


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "harness":
            del sys.modules[name]


def test_the_old_name_is_the_same_module():
    old_name.accept()
    import qparity.oracle.constraints as new

    with pytest.warns(FutureWarning, match=r"harness.oracle.constraints is qparity.oracle.constraints since 0.2"):
        old = importlib.import_module("harness.oracle.constraints")
    assert old is new
    assert new.__spec__.name == "qparity.oracle.constraints"


def test_what_was_never_there_is_not_there_now():
    old_name.accept()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("harness.nonsense")


def test_a_package_of_that_name_is_its_owners(tmp_path, monkeypatch):
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness/__init__.py").touch()
    (tmp_path / "harness/oracle.py").write_text("mine = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    old_name.accept()
    assert importlib.import_module("harness.oracle").mine


def test_outside_workers_there_is_one_name():
    with pytest.raises(ImportError):
        importlib.import_module("harness.oracle.constraints")
