"""A run folder from elsewhere: what is in it is what was planned, of its type, inside it, and of a size that fits."""

import contextlib
import hashlib
import io
import json
import os
import resource
import shutil
import socket
import struct
import zipfile

import numpy as np
import pytest

from qparity.records import Outcome, Resolved, Timing, Variable
from qparity.store import Run, StoreError, atomic, files, traces, trust
from tests.parity import fake
from tests.reliability.fuzz_folder import make_run

TORCH, JAX = f"{0:016x}", f"{1:016x}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    return make_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def run(whole, tmp_path) -> Run:
    """A whole run of two cells, to be changed."""
    shutil.copytree(whole.path, tmp_path / "run")
    return Run.load(tmp_path / "run")


def rewrite(run: Run, name: str, change) -> None:
    """A document changed by hand: without its seal."""
    document = json.loads((run.path / name).read_bytes())
    document.pop("sha256", None)
    change(document)
    (run.path / name).write_text(json.dumps(document))


def faults(run: Run) -> dict[str, str]:
    return dict(Run.load(run.path).damaged)


def replace_trace(run: Run, content: bytes) -> None:
    """Another file as the trace of a cell, and the hash in its outcome to match."""
    (run.path / f"traces/{TORCH}.npz").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    rewrite(run, f"cells/{TORCH}.json", lambda d: d.update(trace_sha256=digest))


# plan = outcome


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(id=JAX), "another cell"),
        (lambda d: d.update(variant="jax"), "another variant"),
        (lambda d: d["scenario"].update(dtype="float32"), "another scenario"),
        (lambda d: d["scenario"].update(expect="LOCAL-FAULT"), "another scenario"),
        (lambda d: d["scenario"]["training"]["optimizer"].update(beta_1=0.99), "another scenario"),
        (lambda d: d.update(scenario={}), "another scenario"),
        (lambda d: d.update(status="unsupported"), "unsupported without a reason"),
    ],
)
def test_an_outcome_is_of_the_cell_in_the_plan_or_it_is_none(run, change, said):
    rewrite(run, f"cells/{TORCH}.json", change)
    found = Run.load(run.path)
    assert said in dict(found.damaged)[f"cells/{TORCH}.json"]
    assert found.missing() == [TORCH]
    assert found.outcome(JAX) is not None


def test_a_scenario_without_its_defaults_is_the_same_one(run):
    rewrite(run, f"cells/{TORCH}.json", lambda d: d["scenario"].pop("layers"))
    found = Run.load(run.path)
    assert found.damaged == []
    assert found.outcome(TORCH).scenario == found.planned()[0].scenario


def test_an_id_or_a_place_that_is_planned_twice_is_named(run):
    def twice(record):
        (block,) = record["plan"]["blocks"]
        block["cells"].append({"id": TORCH, "variant": "tf"})
        block["cells"].append({"id": "f" * 16, "variant": "jax"})
        record["plan"]["blocks"].append(block)

    rewrite(run, "run.json", twice)
    found = Run.load(run.path)
    assert [place.variant for place in found.planned()] == ["torch", "jax"]
    assert len(found.plan_faults) == 3
    assert all("planned twice" in fault for fault in found.plan_faults)


def test_the_rounds_of_another_scenario_or_of_other_cells_are_not_taken(run):
    rewrite(run, "timings/fake.json", lambda d: d["lanes"]["torch"].update(id="e" * 16))
    assert "other cells" in (Run.load(run.path).timing("fake") or faults_of_timing(run))
    rewrite(run, "timings/fake.json", lambda d: d.update(scenario="other"))
    assert "another scenario" in (Run.load(run.path).timing("fake") or faults_of_timing(run))


def faults_of_timing(run: Run) -> str:
    found = Run.load(run.path)
    assert found.timing("fake") is None
    return dict(found.damaged)["timings/fake.json"]


# Types


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("memory",), "much"), (("memory", "peak_bytes"), "1"), (("memory", "peak_bytes"), 10**30),
        (("memory", "peak_bytes"), -1), (("worker",), {"a": 1}), (("phases", "step_s"), "1"), (("phases",), []),
        (("phases", "step_s"), True), (("reason",), 5), (("resolved", "device"), "a\nb"),
        (("resolved", "device"), '"; import os; "'), (("resolved", "quantum_layers"), {"a": 1}),
        (("audit", "hashes", "x"), "0" * 63), (("audit", "hyperparameters", "beta_1"), "0.9"),
        (("fault",), "gradient"), (("log",), "../../etc/passwd"), (("expected", "hashes", "weights"), "x"),
        (("diverged_step",), 1.5), (("fit",), 1),
    ],
)  # fmt: skip
def test_an_entry_of_another_type_makes_its_cell_missing(run, place, value):
    def put(document):
        *outer, last = place
        for key in outer:
            document = document.setdefault(key, {})
        document[last] = value

    rewrite(run, f"cells/{TORCH}.json", put)
    said = faults(run)[f"cells/{TORCH}.json"]
    assert said.isprintable()
    assert said.startswith(".".join(map(str, place))) or "integer" in said


@pytest.mark.parametrize("text", ["1e400", "-1e999", "NaN", "Infinity", "9" * 30, "9" * 5000])
def test_no_number_is_read_that_a_float_cannot_hold(run, text):
    name = f"cells/{TORCH}.json"
    content = (run.path / name).read_text().partition("\n")[2]
    (run.path / name).write_text(f'{{"diverged_step": {text}, "fit": {{"history": [{text}]}},{content}')
    assert name in faults(run)


@pytest.mark.parametrize("key", ["environment", "workers", "nodes", "merged", "command", "created", "state", "id"])
@pytest.mark.parametrize("value", ["text", 5, ["a"], {"a": {"b": ["c"]}}, {"a": "b"}, None])
def test_an_odd_entry_of_the_record_is_left_out_and_named(run, key, value):
    rewrite(run, "run.json", lambda record: record.update({key: value}))
    found = Run.load(run.path)
    assert len(found.planned()) == 2
    assert found.plan_faults == ()
    for table in ("environment", "workers", "nodes"):
        assert isinstance(found.record.table(table), dict)
        assert getattr(found.record, table) is not None
    assert found.id


def test_text_is_printable_once_it_is_read(run):
    rewrite(run, f"cells/{TORCH}.json", lambda d: d.update(status="failed", reason="a\u202eb\x1b[31m\ud800"))
    rewrite(run, "run.json", lambda d: d.update(command=["\u2067x"]))
    found = Run.load(run.path)
    assert found.outcome(TORCH).reason == "a\\u202eb\\ud800"  # a colour is left out
    assert found.record.command == ("\\u2067x",)


# Links, and what is no file


def test_a_link_is_not_followed_to_read(run, tmp_path):
    """The very same content, behind a link."""
    for name in (f"cells/{TORCH}.json", f"traces/{JAX}.npz", "timings/fake.json"):
        path = run.path / name
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    found = Run.load(run.path)
    assert found.outcomes() == {}
    assert found.timing("fake") is None
    assert {reason for _, reason in found.damaged} == {files.LINK}


@pytest.mark.parametrize("folder", ["cells", "traces", "logs", "diagnosis", "timings"])
def test_no_folder_behind_a_link_is_read_or_written(run, tmp_path, folder):
    (run.path / folder).mkdir(exist_ok=True)
    outside = tmp_path / "outside"
    (run.path / folder).rename(outside)
    (run.path / folder).symlink_to(outside)
    (outside / ".leftover.tmp").touch()
    before = {path: path.read_bytes() for path in outside.iterdir()}
    found = Run.load(run.path)
    outcome = found.outcome(JAX) or Outcome({"id": JAX})
    for write in (
        lambda: found.write_outcome(outcome, {"loss": np.zeros(1)}),
        lambda: found.write_timing("fake", Timing({})),
        lambda: found.write_diagnosis(JAX, {"story": []}),
        lambda: found.write_log(JAX, b"printed"),
        found.logs,
    ):
        with contextlib.suppress(StoreError):
            write()
    with found.claimed():  # which clears away what a killed writer left
        pass
    assert {path: path.read_bytes() for path in outside.iterdir()} == before
    if folder in ("cells", "traces"):
        assert found.outcomes() == {}
        assert dict(found.damaged)[folder] == files.LINK


def test_a_log_is_no_link_and_is_not_written_through_one(run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    run.log_path(TORCH).unlink()
    run.log_path(TORCH).symlink_to(secret)
    assert run.log(TORCH) is None
    with pytest.raises(OSError, match="symbolic link"):
        files.appended(run.log_path(TORCH))
    run.write_log(TORCH, b"printed")
    assert (secret.read_text(), run.log(TORCH)) == ("mine", b"printed")


def test_the_lock_is_not_made_through_a_link(run, tmp_path):
    (run.path / ".lock").symlink_to(tmp_path / "made")
    with pytest.raises(StoreError), run.claimed():
        pass
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket"])
def test_what_is_no_regular_file_is_named_and_holds_nobody(run, kind, monkeypatch):
    for name in (f"cells/{TORCH}.json", f"traces/{JAX}.npz"):
        path = run.path / name
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "socket":
            monkeypatch.chdir(path.parent)  # the name of a socket is short
            socket.socket(socket.AF_UNIX).bind(path.name)
        else:
            path.symlink_to("/dev/zero")
    found = Run.load(run.path)
    assert found.outcomes() == {}
    assert len(found.damaged) == 2


def test_a_run_may_be_named_through_a_link(run, tmp_path):
    (tmp_path / "newest").symlink_to(run.path)
    assert len(Run.load(tmp_path / "newest").outcomes()) == 2


# Sizes


def test_a_document_that_is_too_large_is_not_read(run, monkeypatch):
    with (run.path / f"cells/{TORCH}.json").open("r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no room
    with (run.path / f"traces/{JAX}.npz").open("r+b") as file:
        file.truncate(1 << 40)
    found = faults(run)
    assert all("is larger than it can be (1 TiB" in reason for reason in found.values())
    assert len(found) == 2


def test_what_a_trace_may_hold_follows_from_the_plan(run):
    place, _ = run.planned()
    outcome = run.outcome(place.cell_id)
    assert (run.path / outcome.trace).stat().st_size < traces.LEAST_BYTES
    assert traces.most_bytes(place.scenario, outcome.resolved) < 2 * traces.LEAST_BYTES
    large = Resolved(weights=(Variable(shape=(10**6,)),))
    assert (
        traces.most_bytes(place.scenario, large) > 7 * 8 * 10**6 * 3
    )  # seven arrays of a million float64, three steps


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return stream.getvalue()


def header(shape: tuple[int, ...], descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def bomb() -> bytes:
    """A quarter of a megabyte that unfolds to a thousand times as much."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped, zipped.open("loss.npy", "w") as member:
        member.write(header((2**25,)))
        for _ in range(4):
            member.write(bytes(2**26))
    return stream.getvalue()


def overlapping() -> bytes:
    """A thousand members that are one and the same mebibyte."""
    content = archive({"loss.npy": header((2**17,)) + bytes(2**20)})
    start = content.index(b"PK\1\2")
    entry, end = content[start : content.index(b"PK\5\6")], content[content.index(b"PK\5\6") :]
    entries = b"".join(entry.replace(b"loss.npy", f"l{k:03}.npy".encode()) for k in range(1000))
    counted = end[:8] + struct.pack("<HHI", 1000, 1000, len(entries)) + end[16:]
    return content[:start] + entries + counted


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archive({"loss.npy": header((10**13,))}), "has not the bytes that its shape needs"),
        (archive({"loss.npy": header((2**64, 2**64))}), "has not the bytes"),
        (archive({"loss.npy": header((-1,))}), "is not of numbers"),
        (archive({"loss.npy": header((1,), "'|O'") + bytes(8)}), "loss"),
        (archive({"loss.npy": header((1,), "[('a', '<f8')]") + bytes(8)}), "is not of numbers"),
        (archive({"loss.npy": header((1,), "'<c16'") + bytes(16)}), "is not of numbers"),
        (archive({"loss.npy": b"no array"}), "is no array"),
        (archive({"loss.npy": b"\x93NUMPY\1\0\xff\xff{" + b"[" * 9000}), "loss has no"),
        (archive({"../../x.npy": header((1,)) + bytes(8)}), "has an array named"),
        (archive({"loss.npy": header((1,)) + bytes(8)}, zipfile.ZIP_DEFLATED), "compressed"),
        (archive({"loss.npy": header((3,)) + bytes(24)})[:-1], "no archive"),
        (b"PK\3\4 no archive", "no archive"),
        (b"", "no archive"),
    ],
)
def test_a_trace_that_claims_what_it_does_not_hold_is_refused(run, content, said):
    replace_trace(run, content)
    found = Run.load(run.path)
    assert found.trace(TORCH) is None
    assert said in dict(found.damaged)[f"traces/{TORCH}.npz"]
    assert found.outcome(TORCH) is None
    assert found.trace(JAX) is not None


@pytest.mark.parametrize("make", [bomb, overlapping])
def test_what_unfolds_is_refused_before_it_does(run, make):
    content = make()
    assert len(content) < 3 * 2**20
    replace_trace(run, content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = Run.load(run.path)
    assert found.trace(TORCH) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert {"claims more than it holds", "loss is compressed: expected arrays as they are"} & set(
        dict(found.damaged).values()
    )


# Shapes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("weights/0"), "not numbered"),
        (lambda t: t.update(offsets=t["offsets"][::-1]), "offsets"),
        (lambda t: t.update(offsets=t["offsets"].astype(float)), "offsets"),
        (lambda t: t.update(offsets=t["offsets"] - 1), "offsets"),
        (lambda t: t.update(loss=t["loss"][:-1]), "loss has not a row a step"),
        (lambda t: t.update(loss=np.float64(1)), "loss is not a number a step"),
        (lambda t: t.update(loss=t["loss"][:, None]), "loss is not a number a step"),
        (lambda t: [t.pop("offsets"), t.update(loss=t["loss"][:-1])], "has not a row a step"),
        (lambda t: t.update({"gradients/0": t["gradients/0"][..., None]}), "gradients/0 has not the shape"),
        (lambda t: t.update(batch_index=t["batch_index"] + 10**6), "batch_index"),
        (lambda t: t.update(batch_index=t["batch_index"][:-1]), "batch_index"),
        (lambda t: t.update(batch_index=-t["batch_index"]), "batch_index"),
        (lambda t: t.update(y=t["y"][:-1]), "x and y"),
        (lambda t: t.update(predictions=np.float64(1)), "single number"),
    ],
)
def test_a_trace_of_other_shapes_is_one_odd_cell(run, change, said):
    arrays = dict(run.trace(TORCH))
    change(arrays)
    replace_trace(run, traces.to_bytes(arrays))
    found = Run.load(run.path)
    assert found.trace(TORCH, ["loss"]) is None  # also where it is not the odd array that is asked for
    assert said in dict(found.damaged)[f"traces/{TORCH}.npz"]
    assert found.trace(JAX) is not None


@pytest.mark.parametrize("setting", [fake.Setting(), fake.Setting(probs=True, dtype="float32", fault="dropped sample")])
def test_every_array_of_an_archive_comes_back_as_numpy_has_it(setting):
    trace = dict(fake.observe(setting).trace) | {"slots/0/m": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    trace["weights/0"] = trace["weights/0"][..., None]
    del trace["slots/0/m"]
    trace |= {"gradients/0": trace["gradients/0"][..., None], "new_weights/0": trace["new_weights/0"][..., None]}
    trace["x"] = np.asfortranarray(np.hstack([trace["x"], trace["x"]]))
    content = traces.to_bytes(trace)
    with np.load(io.BytesIO(content)) as archive:
        theirs = {name: archive[name] for name in archive.files}
    ours = traces.from_bytes(content)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, strict=True)
        assert ours[name].flags.writeable
        assert ours[name].flags.aligned
    assert traces.from_bytes(content, ["loss"]).keys() == {"loss"}


def test_reading_twice_looks_once_and_a_change_in_between_is_seen(run):
    assert run.outcome(TORCH) is not None
    rewrite(run, f"cells/{TORCH}.json", lambda d: d.update(memory="much"))
    assert run.outcome(TORCH) is None


def test_a_record_behind_a_link_is_no_run(run, tmp_path):
    (run.path / "run.json").rename(tmp_path / "run.json")
    (run.path / "run.json").symlink_to(tmp_path / "run.json")
    with pytest.raises(StoreError, match=files.LINK):
        Run.load(run.path)


def test_writing_to_a_folder_that_is_gone_makes_no_other(run):
    shutil.rmtree(run.path)
    with pytest.raises(FileNotFoundError):
        run.write_outcome(Outcome({"id": TORCH}), {"loss": np.zeros(1)})
    with pytest.raises(FileNotFoundError):
        atomic.write_json(run.path / "run.json", {"a": 1})
    assert not run.path.exists()


@pytest.mark.parametrize("hidden", ["\b", "\r", "\f", "\x1b", "\u202e", "\ud800"])
def test_what_moves_the_cursor_is_shown_as_an_escape(hidden):
    for more in ({}, {"drawing": "──RX"}):
        found = trust.parse(json.dumps({"note": f"a{hidden}b", **more}).encode())
        assert found["note"].isprintable()
        assert found == {"note": found["note"], **more}
