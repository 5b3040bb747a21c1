"""What a cell prints is kept up to a size, and never holds the cell; its caches go with it."""

import asyncio
import os
import subprocess
import sys
import time

import pytest

from qparity.runner import log
from qparity.runner.log import Log
from tests.reliability.sweeps import Sweeps


def printed(path, code: str, seconds: float = 60.0, close_after: float | None = None) -> int:
    """Run a program that prints into a log; its exit code."""

    async def run() -> int:
        output = Log(path)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=output.inlet, stderr=output.inlet)
        os.close(output.inlet)
        end = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < end:
            await asyncio.sleep(0.01)
        output.close()
        output.close()  # twice is once
        process.kill()
        return process.wait()

    return asyncio.run(run())


def test_all_of_it_is_kept_in_order_and_appended(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"before\n")
    code = "import os\nfor k in range(20000): os.write(1 + k % 2, b'%d\\n' % k)"
    assert printed(path, code) == 0
    assert path.read_text() == "before\n" + "".join(f"{k}\n" for k in range(20000))


def test_what_is_too_much_is_dropped_and_the_program_goes_on_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "MOST_BYTES", 2**20)
    path = tmp_path / "x.log"
    code = "import os\nfor _ in range(40): os.write(1, bytes(2**20))\nos._exit(7)"
    assert printed(path, code) == 7
    content = path.read_bytes()
    assert content == bytes(2**20) + log.END
    assert printed(path, "print('more')") == 0
    assert path.read_bytes() == content


def test_output_without_end_is_only_read(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "MOST_BYTES", 2**20)
    before = time.process_time()
    assert printed(tmp_path / "x.log", "import os\nwhile True: os.write(1, bytes(2**20))", seconds=2.0) == -9
    assert time.process_time() - before < 1.0
    assert (tmp_path / "x.log").stat().st_size == 2**20 + len(log.END)


def test_a_log_that_cannot_be_written_costs_only_the_log(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log.os, "write", full)
    assert printed(tmp_path / "x.log", "import os\nfor _ in range(9): os.write(1, bytes(2**20))\nos._exit(3)") == 3
    assert (tmp_path / "x.log").stat().st_size == 0


def test_a_log_behind_a_link_is_an_error(tmp_path):
    (tmp_path / "x.log").symlink_to(tmp_path / "elsewhere")

    async def make():
        Log(tmp_path / "x.log")

    with pytest.raises(OSError, match="symbolic link"):
        asyncio.run(make())
    assert not (tmp_path / "elsewhere").exists()


def test_every_cell_has_caches_of_its_own_of_any_size_and_none_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("QPARITY_TEST_FLAG", str(tmp_path))
    run = Sweeps(tmp_path / "sweep", 4, how="cache").sweep()
    assert {outcome.status for outcome in run.outcomes().values()} == {"ok"}
    said = [line for _, cell, _ in run.planned() for line in run.log(cell).decode().splitlines() if "cache" in line]
    assert len(set(said)) == 4
    assert all(str(tmp_path / "temporary") in line for line in said)
    assert list((tmp_path / "temporary").iterdir()) == []
