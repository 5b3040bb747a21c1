"""The run folder under fire: damaged, copied, shared, on a full or a read-only disk, under a clock that jumps."""

import datetime
import json
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qparity.store import Run, StoreError, atomic, run
from qparity.summary import summarise
from tests.conftest import ROOT
from tests.reliability.sweeps import Sweeps, assert_same, wait_for


@pytest.fixture
def copied(sweeps, undisturbed) -> Run:
    """The undisturbed run where `sweeps` can resume it: on another machine, so to speak."""
    shutil.copytree(undisturbed.path, sweeps.results / undisturbed.id)
    return Run.load(sweeps.results / undisturbed.id)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 4]) + content[-2:]


def foreign(content: bytes) -> bytes:
    return b'{"hello": "world"}'


def from_the_future(content: bytes) -> bytes:
    return json.dumps({**json.loads(content), "schema": 99}).encode() if content[:1] == b"{" else b"\x93NUMPY\x09"


@pytest.mark.parametrize("damage", [truncated, flipped, foreign, from_the_future])
def test_what_is_damaged_is_named_and_a_resume_mends_it(sweeps, copied, undisturbed, damage):
    first, second, *_ = (block.cells for block in copied.plan.blocks)
    files = [f"cells/{first[0].id}.json", f"traces/{second[1].id}.npz"]
    for name in files:
        path = copied.path / name
        path.write_bytes(damage(path.read_bytes()))
    found = Run.load(copied.path)
    assert set(found.missing()) == {first[0].id, second[1].id}
    assert {name for name, _ in found.damaged} == set(files)
    assert len(found.outcomes()) == 10  # the rest is readable
    assert_same(sweeps.sweep(copied.id), undisturbed)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_flipped_bit_goes_unseen(undisturbed, tmp_path_factory, data):
    """Whatever bit of whatever file flips: the file reads as before, or it is named."""
    folder = tmp_path_factory.getbasetemp() / "flips"
    if not folder.exists():
        shutil.copytree(undisturbed.path, folder)
    cell = undisturbed.planned()[0][1]
    name = data.draw(st.sampled_from([f"cells/{cell}.json", f"traces/{cell}.npz"]))
    content = bytearray((undisturbed.path / name).read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    try:
        (folder / name).write_bytes(content)
        found = Run(folder, undisturbed.record, undisturbed.plan)
        pairs = [(found.outcome(cell), undisturbed.outcome(cell))]
        same = all(read is not None and {**read.raw, **kept.raw} == read.raw for read, kept in pairs)
        whole = same and found.trace(cell) is not None
        assert whole or name in dict(found.damaged)  # whole, though a bit of the seal's own name has changed
    finally:
        shutil.copy(undisturbed.path / name, folder / name)


@pytest.mark.parametrize("damage", [truncated, flipped, foreign, from_the_future])
def test_a_run_without_its_record_is_one_line(copied, damage):
    record = copied.path / "run.json"
    record.write_bytes(damage(record.read_bytes()))
    with pytest.raises(StoreError, match=r"run\.json: .") as error:
        Run.load(copied.path)
    assert str(error.value).isprintable()


def test_a_copied_folder_is_judged_and_resumed_where_it_is(sweeps, copied, undisturbed):
    next((copied.path / "cells").iterdir()).unlink()
    view = summarise(Run.load(copied.path))
    assert (view.counts["pass"], len(view.cells)) == (11, 12)
    assert_same(sweeps.sweep(str(copied.path)), undisturbed)


def test_two_sweeps_share_a_results_folder_but_never_a_run(sweeps, undisturbed):
    both = [sweeps.start(), sweeps.start()]
    assert [(process.communicate(timeout=120), process.returncode)[1] for process in both] == [0, 0]
    runs = [Run.load(path) for path in sweeps.results.iterdir()]
    assert len(runs) == 2
    for each in runs:
        assert_same(each, undisturbed)
    with runs[0].claimed(), pytest.raises(StoreError, match="another process is writing"):
        sweeps.sweep(runs[0].id)
    sweeps.sweep(runs[0].id)  # free again


def test_leftovers_of_a_killed_writer_are_cleared(sweeps, copied):
    (copied.path / "cells" / ".x.json.abc.tmp").write_text("{")
    sweeps.sweep(copied.id)
    assert not list(copied.path.rglob("*.tmp"))


def test_a_clock_that_jumps_back_a_day_changes_no_result(sweeps, undisturbed, monkeypatch):
    class Jumping(datetime.datetime):
        readings = 0

        @classmethod
        def now(cls, tz=None):
            cls.readings += 1
            return datetime.datetime.now(tz) - datetime.timedelta(days=min(1, cls.readings - 1))

    monkeypatch.setattr(run, "datetime", Jumping)
    found = sweeps.sweep()
    assert Jumping.readings > 1
    assert found.record.finished < found.record.created
    assert all(seconds >= 0 for outcome in found.outcomes().values() for seconds in outcome.phases.values())
    assert_same(found, undisturbed)


SMALL_DISK = """
mount -t tmpfs -o size=200k tmpfs {results} || exit 77
"$@" ; echo "full: $?" >&2
mount -o remount,size=20m,ro {results}
"$@" ; echo "read-only: $?" >&2
mount -o remount,size=20m,rw {results}
"$@" --resume latest; echo "resumed: $?" >&2
cp -a {results} {saved}
"""


def test_a_full_and_a_read_only_disk_are_one_line_and_a_resume_completes(sweeps: Sweeps, undisturbed):
    """In a mount namespace of its own; where the system forbids that, the next test stands alone."""
    sweeps.results.mkdir()
    script = SMALL_DISK.format(results=sweeps.results, saved=sweeps.folder / "saved")
    command = ["unshare", "-rm", "sh", "-c", script, "-", sys.executable, "-m", "qparity.cli", *sweeps.arguments()]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        pytest.skip("no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    lines = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    full = next(line for line in lines if "No space left on device" in line)
    assert "--resume" in full
    assert any("Read-only file system" in line for line in lines)
    assert [line for line in lines if line.startswith(("full: ", "read-only: ", "resumed: "))] == [
        "full: 3",
        "read-only: 2",
        "resumed: 0",
    ]
    (path,) = (sweeps.folder / "saved").iterdir()
    assert_same(Run.load(path), undisturbed)


def test_a_file_that_cannot_grow_halts_the_sweep(sweeps, monkeypatch):
    """The same without a mount: the third outcome meets a limit of the process."""
    import resource

    from qparity.runner.sweep import Halted

    written = atomic.write_bytes

    def write(path, content):
        if len(sweeps.stored()) == 3:
            monkeypatch.setattr(atomic, "write_bytes", written)
            raised = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
            try:
                return written(path, content)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                signal.signal(signal.SIGXFSZ, raised)
        return written(path, content)

    monkeypatch.setattr(atomic, "write_bytes", write)
    with pytest.raises(Halted, match=r"File too large"):
        sweeps.sweep()
    assert len(sweeps.run.outcomes()) == 3
    assert sweeps.run.record.state == "interrupted"


def test_a_results_folder_that_vanishes_halts_the_sweep_with_one_line(sweeps):
    process = sweeps.start("-j", 1)
    wait_for(sweeps.stored)
    shutil.rmtree(sweeps.results)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, out + err
    assert "Traceback" not in out + err
    (line,) = [line for line in err.splitlines() if "No such file or directory" in line]
    assert line.startswith(f"qparity: {sweeps.results}")
    assert "--resume" not in line  # there is nothing to go on with
    assert not sweeps.results.exists()
    wait_for(lambda: not sweeps.processes(), 5.0)
