"""The clocks of a timed stretch."""

import os
import subprocess
import sys
import time

import pytest

from qparity.timing import energy
from qparity.worker.timed import Stretch, delayed_s

RIVAL = "import os; os.sched_setaffinity(0, {core})\nwhile True: pass"


@pytest.fixture
def rival():
    """Another process that wants the only core this one may use."""
    cores = os.sched_getaffinity(0)
    (core,) = [max(cores)]
    os.sched_setaffinity(0, {core})
    process = subprocess.Popen([sys.executable, "-c", RIVAL.replace("{core}", f"{{{core}}}")])
    yield
    process.kill()
    process.wait()
    os.sched_setaffinity(0, cores)


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not tell")
def test_time_for_which_another_process_had_the_core_is_not_counted(rival, backend):
    stretch = Stretch(backend, 2)
    until = delayed_s() + 0.05
    while delayed_s() < until:  # the rival has come
        pass
    stretch.on_train_batch_begin(0)
    start = time.process_time()
    while time.process_time() < start + 0.2:
        pass
    stretch.on_train_batch_begin(2)
    sample = stretch.sample()
    assert sample.delayed_s > 0.02
    assert 2 * sample.step_s == pytest.approx(sample.wall_s - sample.delayed_s)
    assert sample.cpu_s <= 2 * sample.step_s < sample.wall_s


def test_a_stretch_has_the_energy_between_its_two_ends_where_there_are_counters(tmp_path, monkeypatch, backend):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    alone = Stretch(backend, 2)
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    (counter.parent / "name").write_text("package-0\n")
    counter.write_text("1000\n")
    stretch = Stretch(backend, 2)
    for each, used in ((stretch, 0.75), (alone, None)):
        each.on_train_batch_begin(0)
        counter.write_text(f"{int(counter.read_text()) + 750_000}\n")
        each.on_train_batch_begin(1)
        each.on_train_batch_begin(2)
        counter.write_text("0\n")
        assert each.sample().energy_j == used
