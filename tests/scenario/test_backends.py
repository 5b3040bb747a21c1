"""What is known of a backend stands in one place, and everybody reads it there."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import qparity
from qparity.scenario.backends import BACKENDS, REFERENCE, trainable
from qparity.scenario.variant import DEFAULT_VARIANTS, MODES, Variant
from qparity.worker import backends

ROOT = Path(qparity.__file__).parent
PLACES = {
    "scenario/backends.py": "the facts",
    "circuit": "the layer and its cures are written for the frameworks that PennyLane knows",
    "worker/backends": "one file a backend",
    "worker/reference/keras_on_numpy.py": "the reference, in place of such a file",
    "diagnose/snippets.py": "parts of scripts, one entry a backend",
}
WORDS = {
    word
    for facts in BACKENDS.values()
    for word in (
        facts.name,
        facts.package,
        facts.interface,
        *facts.distributions,
        *(mode.variant for mode in facts.modes),
    )
} - {"numpy"}


def test_no_other_file_names_a_framework():
    named = []
    for file in ROOT.rglob("*.py"):
        place = file.relative_to(ROOT).as_posix()
        if any(place == known or place.startswith(f"{known}/") for known in PLACES):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in WORDS:
                named.append(f"{place}:{node.lineno}: {node.value}")
    assert named == []


@pytest.mark.parametrize("facts", trainable(), ids=lambda facts: facts.name)
def test_the_class_of_a_backend_is_the_one_of_its_name(facts):
    assert backends.backend_class(facts.name).name == facts.name
    assert len({mode.name for mode in facts.modes}) == len(facts.modes)


def test_the_reference_only_runs_forward():
    assert [facts.name for facts in BACKENDS.values() if not facts.trains] == [REFERENCE]


def test_names_of_variants_are_those_of_recorded_runs():
    """They stand in run folders: one that goes or changes its meaning makes old runs unreadable."""
    known = {"tf": ("tensorflow", "eager"), "tf-graph": ("tensorflow", "graph"), "tf-xla": ("tensorflow", "xla")}
    known |= {"torch": ("torch", "eager"), "torch-compile": ("torch", "compile")}
    known |= {"jax": ("jax", "eager"), "jax-jit": ("jax", "jit")}
    assert known.items() <= MODES.items()
    assert list(map(str, DEFAULT_VARIANTS)) == ["tf-graph", "torch", "jax-jit"]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_framework_is_told_its_threads_and_sees_a_gpu_only_where_it_may(threads):
    tf, torch, jax = (
        {place: BACKENDS[name].variables(place, threads) for place in ("cpu", "gpu")}
        for name in ("tensorflow", "torch", "jax")
    )
    assert tf["cpu"]["TF_NUM_INTRAOP_THREADS"] == torch["cpu"]["TORCHINDUCTOR_COMPILE_THREADS"] == str(threads)
    assert ("intra_op_parallelism_threads=1" in jax["cpu"]["XLA_FLAGS"]) == (threads == 1)
    assert [each["cpu"]["CUDA_VISIBLE_DEVICES"] for each in (tf, torch, jax)] == ["-1", "", ""]
    assert not any("CUDA_VISIBLE_DEVICES" in each["gpu"] for each in (tf, torch, jax))
    assert backends.environment("jax", "gpu", threads)["KERAS_BACKEND"] == "jax"
    assert "CUDA_VISIBLE_DEVICES" not in backends.environment("jax", "cpu", threads, simulator="lightning.gpu")


NEW = """
from dataclasses import replace
from qparity.scenario import backends
from qparity.scenario.backends import BACKENDS, Mode

mode = Mode("eager", "new", ("#123456", "#654321"), (3, 1), ("brand-new",))
BACKENDS["new"] = replace(
    BACKENDS["torch"], name="new", package="no_such_package", modes=(mode,), environment={"NEW": "{threads}"}
)

from pathlib import Path
from qparity.cli.values import interpreters
from qparity.reporting import palette
from qparity.runner.pool import Pool
from qparity.runner.probe import SERVERS
from qparity.scenario.json_schema import file_schema
from qparity.scenario.variant import Variant
from qparity.worker import backends as started

variant = Variant.parse("new@gpu")
assert (variant.backend, variant.mode, str(variant)) == ("new", "eager", "new@gpu")
assert palette.style("new") == ("#123456", "#654321", (3, 1))
assert "new" in SERVERS and "new@gpu" in SERVERS
assert interpreters([f"new={__import__('sys').executable}"])
assert Pool(Path("logs"), 2, {}).key(variant).backend == "new"
assert started.environment("new", "cpu", 2)["NEW"] == "2"
assert started.backend_class("new").name == "torch"
assert "no_such_package" in started.missing("new", "cpu") and "[new]" in started.missing("new", "cpu")
assert '"new@gpu"' in __import__("json").dumps(file_schema())
"""


def test_a_new_backend_is_one_entry():
    """Variants, colours, servers, interpreters and the schema follow from it."""
    done = subprocess.run([sys.executable, "-c", NEW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_people_write_instead_leads_to_a_variant():
    for facts in trainable():
        for mode in facts.modes:
            for alias in mode.aliases:
                with pytest.raises(Exception, match=f'"{mode.variant}"'):
                    Variant.parse(alias)
