"""The run folder: whole or not at all, and read with suspicion."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qparity.records import Outcome, Timing
from qparity.store import Run, StoreError, atomic, resolve, schema, trust

A, B = "a" * 16, "b" * 16


def plan(*names: str) -> dict:
    return {
        "blocks": [
            {
                "scenario": {
                    "name": name,
                    "wires": 1,
                    "training": {"batch_size": 8, "optimizer": {"name": "adam"}},
                },
                "cells": [
                    {"id": f"{2 * i:016x}", "variant": "torch"},
                    {"id": f"{2 * i + 1:016x}", "variant": "jax"},
                ],
            }
            for i, name in enumerate(names)
        ],
        "sources": ["s.toml"],
    }


def outcome(cell_id: str, **fields) -> Outcome:
    """Of a cell of `plan("s", "t")`."""
    number = int(cell_id, 16)
    document = {
        "schema": 1,
        "id": cell_id,
        "scenario": plan("s", "t")["blocks"][number // 2 % 2]["scenario"],
        "variant": ("torch", "jax")[number % 2],
        "status": "ok",
        **fields,
    }
    return Outcome(document)


def trace() -> dict:
    return {
        "loss": np.array([0.5, 0.25], np.float32),
        "learning_rate": np.full(2, 0.03),
        "offsets": np.array([0, 4, 8]),
        "weights/0": np.array([[3.0, 4.0], [0.0, 0.0]]),
        "gradients/0": np.array([[1.0, 0.0], [0.0, np.nan]]),
    }


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, plan("s", "t"), {"packages": {}}, ["qparity", "run"])


def cell(i: int) -> str:
    return f"{i:016x}"


def test_a_trace_comes_back_bit_for_bit_in_its_own_dtypes(run: Run):
    run.write_outcome(outcome(cell(0)), trace())
    found = Run.load(run.path).trace(cell(0))
    assert found.keys() == trace().keys()
    for name, array in trace().items():
        assert found[name].dtype == array.dtype
        assert found[name].tobytes() == array.tobytes()


def test_an_outcome_comes_back_and_non_finite_numbers_become_null(run: Run):
    run.write_outcome(outcome(cell(0), fit={"history": [1.0, float("nan"), np.float64("inf")]}))
    text = (run.path / "cells" / f"{cell(0)}.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["fit"] == {"history": [1.0, None, None]}
    assert Run.load(run.path).outcomes().keys() == {cell(0)}
    assert Run.load(run.path).missing() == [cell(1), cell(2), cell(3)]


def test_the_record_survives_updates(run: Run):
    run.update(workers={"torch": {"import_s": 1.5}})
    run.finish("interrupted")
    record = Run.load(run.path).record
    assert record.state == "interrupted"
    assert record.workers["torch"].import_s == 1.5
    assert record.finished >= record.created
    assert run.id == run.path.name


def test_a_plan_grows_and_what_was_not_run_is_taken_out(run: Run):
    other = Run.create(run.path.parent, plan("s", "t", "u", "v"), {}, "")
    *_, u, v = other.plan.blocks
    run.plan_more([u, v])
    assert [place.scenario.name for place in run.planned()] == ["s", "s", "t", "t", "u", "u", "v", "v"]
    run.unplan(["u"])
    assert set(run.missing()) == {f"{i:016x}" for i in (0, 1, 2, 3, 6, 7)}
    again = Run.load(run.path)
    assert not again.damaged
    assert [place.cell_id for place in again.planned()] == [place.cell_id for place in run.planned()]


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_a_truncated_outcome_is_named_and_missing(run: Run, keep: int):
    run.write_outcome(outcome(cell(0)), trace())
    file = run.path / "cells" / f"{cell(0)}.json"
    file.write_bytes(file.read_bytes()[:keep].rstrip(b"}\n"))
    loaded = Run.load(run.path)
    assert [name for name, _ in loaded.damaged] == [f"cells/{cell(0)}.json"]
    assert cell(0) in loaded.missing()
    assert loaded.trace(cell(0)) is None


@pytest.mark.parametrize("keep", [0, 10, 500, -1])
def test_a_truncated_trace_makes_its_cell_missing(run: Run, keep: int):
    run.write_outcome(outcome(cell(0)), trace())
    file = run.path / "traces" / f"{cell(0)}.npz"
    file.write_bytes(file.read_bytes()[:keep])
    loaded = Run.load(run.path)
    assert [name for name, _ in loaded.damaged] == [f"traces/{cell(0)}.npz"]
    assert loaded.outcomes() == {}
    loaded.write_outcome(outcome(cell(0)), trace())  # the resume writes it anew
    assert loaded.damaged == []
    assert loaded.trace(cell(0)) is not None


def test_an_opened_run_checks_a_trace_when_it_is_asked_for(run: Run):
    for i in range(2):
        run.write_outcome(outcome(cell(i)), trace())
    file = run.path / "traces" / f"{cell(0)}.npz"
    file.write_bytes(file.read_bytes()[:-1])
    opened = Run.open(run.path)
    assert opened.damaged == []
    assert opened.recorded(cell(0)) is None
    assert [name for name, _ in opened.damaged] == [file.relative_to(run.path).as_posix()]
    whole = opened.recorded(cell(1), ["loss"])
    assert whole is not None
    assert (whole[0].id, list(whole[1] or ())) == (cell(1), ["loss"])


def test_newer_and_foreign_files_are_named(run: Run):
    run.write_outcome(outcome(cell(0)))
    run.write_outcome(outcome(cell(1)))
    atomic.write_json(run.path / "cells" / f"{cell(0)}.json", outcome(cell(0), schema=99).raw)
    atomic.write_json(run.path / "cells" / f"{cell(1)}.json", outcome(cell(2)).raw)
    atomic.write_json(run.path / "cells" / f"{cell(2)}.json", outcome(cell(2), status="fine").raw)
    (run.path / "cells" / "notes.txt").write_text("hello")
    (run.path / "traces" / f"{A}.npz").write_bytes(b"")
    reasons = dict(Run.load(run.path).damaged)
    assert "newer qparity" in reasons[f"cells/{cell(0)}.json"]
    assert "another cell" in reasons[f"cells/{cell(1)}.json"]
    assert "status: expected one of ok" in reasons[f"cells/{cell(2)}.json"]
    assert reasons.keys() >= {"cells/notes.txt", f"traces/{A}.npz"}
    assert Run.load(run.path).outcomes() == {}


def test_a_pickled_trace_is_never_opened(run: Run):
    run.write_outcome(outcome(cell(0)), trace())
    with pytest.raises(ValueError, match="allow_pickle"):
        run.write_outcome(outcome(cell(0)), {"loss": np.array([object()])})


@pytest.mark.parametrize("bad", ["../../etc/passwd", "", "A" * 16, "a" * 17, A + "\n", None, 5])
def test_no_cell_id_but_sixteen_hex_digits_becomes_a_path(run: Run, bad):
    with pytest.raises(StoreError, match="cell id"):
        run.write_outcome(outcome(A).changed(id=bad))
    with pytest.raises(StoreError, match="cell id"):
        run.trace(bad)


@pytest.mark.parametrize("bad", ["../x", "a/b", "", "x y", "<script>"])
def test_no_odd_scenario_name_becomes_a_path(run: Run, bad: str):
    with pytest.raises(StoreError, match="scenario name"):
        run.write_timing(bad, Timing({}))
    with pytest.raises(StoreError, match="scenario "):
        Run.create(run.path.parent, plan(bad), {}, "")


def test_hostile_names_in_run_json_are_dropped_and_named(run: Run):
    record = run.record.raw | {"plan": {"blocks": [
        {"scenario": {"name": "../up"}, "cells": [{"id": A, "variant": "jax"}]},
        {"scenario": {"name": "g"}, "cells": [{"id": "../x", "variant": "tf"}, {"id": B, "variant": "tf"}, 7]},
        "not a block",
    ]}}  # fmt: skip
    atomic.write_json(run.path / "run.json", record)
    loaded = Run.load(run.path)
    assert [cell_id for _, cell_id, _ in loaded.planned()] == [B]
    assert loaded.damaged[0][0] == "run.json"
    assert len(loaded.plan_faults) == 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
record_keys = st.sampled_from(["schema", "plan", "blocks", "environment", "expected", "created", "id"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(record_keys, json_values | st.fixed_dictionaries({"blocks": json_values})))
def test_no_run_json_gives_a_traceback(run: Run, mangled: dict):
    (run.path / "run.json").write_text(json.dumps({"schema": 1} | mangled))
    with contextlib.suppress(StoreError):
        loaded = Run.load(run.path)
        loaded.outcomes(), loaded.missing(), loaded.damaged, loaded.cells()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_in_an_outcome_give_a_traceback(run: Run, content: bytes):
    (run.path / "cells" / f"{cell(0)}.json").write_bytes(content)
    loaded = Run.load(run.path)
    assert cell(0) in loaded.missing()
    assert loaded.damaged


def test_latest_is_the_newest_by_creation_not_by_name(tmp_path: Path):
    runs = [Run.create(tmp_path, plan("s"), {}, "") for _ in range(3)]
    runs[1].update(created="2099-01-01T00:00:00+00:00")
    (tmp_path / "99999999-000000-ffff").mkdir()
    (tmp_path / "99999999-000000-ffff" / "run.json").write_text("{")
    assert resolve(tmp_path, "latest") == runs[1].path
    assert resolve(tmp_path, runs[0].id) == runs[0].path
    assert resolve(tmp_path / "elsewhere", str(runs[2].path)) == runs[2].path
    with pytest.raises(StoreError, match="no such run") as error:
        resolve(tmp_path, "20000101-000000-0000")
    assert runs[1].id in str(error.value)


def test_an_empty_or_missing_results_folder_is_one_line(tmp_path: Path):
    with pytest.raises(StoreError, match="latest: no such run"):
        resolve(tmp_path / "nothing", "latest")
    with pytest.raises(StoreError, match="not a run"):
        Run.load(tmp_path)


def test_an_old_document_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "SCHEMA", 3)
    steps = {1: lambda old: old | {"b": old["a"] + 1}, 2: lambda old: old | {"c": old["b"] + 1}}
    monkeypatch.setitem(schema.MIGRATIONS, "cell", steps)
    assert schema.upgrade({"schema": 1, "a": 1}, "cell") == {"schema": 3, "a": 1, "b": 2, "c": 3}
    with pytest.raises(schema.SchemaError, match="no longer"):
        schema.upgrade({"schema": 1}, "run")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "x.json"
    atomic.write_json(file, {"old": 1})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        atomic.write_json(file, {"new": 2})
    assert trust.read_json(tmp_path, "x.json") == {"old": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_a_leftover_of_a_killed_write_is_passed_over(run: Run):
    run.write_outcome(outcome(cell(0)))
    (run.path / "cells" / f".{cell(1)}.json.abc.tmp").write_text('{"half')
    assert Run.load(run.path).damaged == []
