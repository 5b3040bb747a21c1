"""Environments for --with: what is on top is all of the new release, what is below is left as it was."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qparity.environments import cache
from qparity.environments.base import installed
from qparity.environments.errors import EnvironmentProblem
from qparity.environments.interpreters import with_releases
from qparity.environments.pip import pip_for
from tests.planted import index, unpacked, wheel

INDEX = ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CONSTRAINT")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """planted 2 and 3, and helper 2, which planted 2 needs."""
    folder = tmp_path_factory.mktemp("wheels")
    for version in ("2.0", "3.0"):
        files = {"planted/__init__.py": f"V = '{version}'", "shared/planted.py": "", "planted_tool.py": ""}
        wheel(folder, "planted", version, files, ["helper>=2"] if version == "2.0" else ())
    wheel(folder, "helper", "2.0", {"helper.py": "V = 2"})
    wheel(folder, "helper", "3.0rc1", {"helper.py": "V = 3"})
    return folder


@pytest.fixture(scope="module")
def below(tmp_path_factory) -> Path:
    """An interpreter that has planted 1, helper 1, and packages that need planted."""
    folder = tmp_path_factory.mktemp("below") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    old = {"planted/__init__.py": "V = '1.0'", "planted/gone.py": "", "shared/planted.py": "", "shared/gone.py": ""}
    unpacked(packages, "planted", "1.0", old)
    unpacked(packages, "helper", "1.0", {"helper.py": "V = 1", "shared/helper.py": ""})
    unpacked(packages, "user", "1.0", {"user.py": "import planted", "shared/user.py": ""}, ["planted<3"])
    unpacked(packages, "keras", "3.0", {"keras.py": ""}, ["helper<3"])
    return folder / "bin" / "python"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, wheels, monkeypatch):
    monkeypatch.setenv(cache.PLACE, str(tmp_path / "envs"))
    for name in INDEX:
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


def said(interpreter: str | Path, code: str) -> str:
    done = subprocess.run([interpreter, "-P", "-c", code], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def content(below: Path) -> dict[str, bytes]:
    packages = below.parent.parent / "lib"
    return {str(file): file.read_bytes() for file in packages.rglob("*") if file.is_file() and file.suffix != ".pyc"}


def test_a_new_release_takes_the_place_of_the_old_one(below, monkeypatch, qparity):
    before = content(below)
    made = cache.make(["Planted == 2.0"], str(below))
    assert made.manifest.requirements == ("planted==2.0",)
    assert made.manifest.installed == {"planted": "2.0", "helper": "2.0"}, "what it needs comes with it"
    assert made.manifest.without == {}
    assert said(made.interpreter, "import planted, helper, user; print(planted.V, helper.V)") == "2.0 2"
    names = "import shared.user, shared.planted, planted_tool; print('all')"
    assert said(made.interpreter, names) == "all", "files of one folder that several packages share"
    for gone in ("planted.gone", "shared.gone", "shared.helper", "pip"):
        assert "No module named" in said(made.interpreter, f"import {gone}"), "nothing of the old release is left"
    versions = "from importlib.metadata import distributions as d; print(*sorted(x.name + x.version for x in d()))"
    assert said(made.interpreter, versions) == "helper2.0 keras3.0 planted2.0 user1.0"
    assert content(below) == before
    assert said(below, "import planted; print(planted.V)") == "1.0"

    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    assert cache.make(["planted==2.0"], str(below)) == made, "it is not made twice"
    listed = json.loads(qparity("envs", "list", "--json").stdout)["environments"]
    assert [(each["key"], each["interpreter"]) for each in listed] == [(made.key, made.interpreter)]
    assert "removed: 0, left: 1" in qparity("envs", "prune").stdout
    assert made.path.is_dir()
    assert "removed: 1, left: 0" in qparity("envs", "prune", "--unused", "0").stdout
    assert not made.path.exists()


def test_what_does_not_go_with_a_release_is_left_out_and_said(below, tmp_path):
    made = with_releases(["planted==3.0"], {"torch": str(below), "numpy": "/kept"} | _others(below))
    told = made.environment("torch", "cpu").manifest
    assert told.without == {"user": "user 1.0 requires planted<3"}
    assert "No module named 'user'" in said(made.paths["torch"], "import user")
    assert made.paths["numpy"] == "/kept", "the judge stays"
    assert made.packages(["planted", "helper", "user"]) == {"planted": "3.0", "helper": "1.0"}
    packages = next(below.parent.parent.glob("lib/python*/site-packages"))
    unpacked(packages, "later", "1.0", {"later.py": ""})
    assert cache.prune() == [Path(made.environment("torch", "cpu").path)], "another environment is below by now"


def _others(below: Path) -> dict[str, str]:
    return {"tensorflow": str(below), "jax": str(below)}


@pytest.mark.parametrize(
    ("requirements", "line"),
    [
        (["planted==9"], "planted==9: No matching distribution found for planted==9"),
        (["planted=="], "--with = 'planted==': expected a requirement such as keras==3.14.1"),
        (["planted==2.0", "Planted"], "--with = 'Planted': expected one requirement of planted"),
        (["planted==2.0", "helper==1.0"], "helper==1.0 planted==2.0: "),
        (["helper==3.0rc1"], "helper==3.0rc1: keras 3.0 requires helper<3; ask for releases that go together"),
    ],
)
def test_what_cannot_be_is_one_line(below, requirements, line):
    with pytest.raises(EnvironmentProblem) as refused:
        cache.make(requirements, str(below))
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)
    assert cache.envs() == []


DIES = """
import os, signal, sys
from qparity.environments import cache
cache.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cache.make(["planted==3.0"], sys.argv[1])
"""


def test_one_that_was_half_made_is_made_again(below):
    killed = subprocess.run(
        [sys.executable, "-c", DIES, below], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert killed.returncode == -signal.SIGKILL
    left = list(cache.cache().glob(f"{cache.BUILDING}*"))
    assert len(left) == 1
    assert cache.envs() == []
    made = cache.make(["planted==3.0"], str(below))
    assert said(made.interpreter, "import planted; print(planted.V)") == "3.0"
    left[0].mkdir()
    cache.prune()
    assert not left[0].exists()
    assert [each.key for each in cache.envs()] == [made.key]


def test_the_index_says_what_there_is_but_for_what_was_yanked(below, wheels, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", index(tmp_path / "simple", sorted(wheels.iterdir()), yanked=["3.0"]))
    pip = pip_for(installed(str(below)), tmp_path / "pip")
    assert [*map(str, pip.releases("planted", pre=False))] == ["2.0"]
    assert [*map(str, pip.releases("helper", pre=False))] == ["2.0"]
    assert [*map(str, pip.releases("helper", pre=True))] == ["2.0", "3.0rc1"]
    with pytest.raises(EnvironmentProblem, match=r"^absent: .*absent"):
        pip.releases("absent", pre=False)
