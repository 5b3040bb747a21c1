"""Memory and time: what cannot fit is refused, what is stuck is ended, and neither touches what is merely slow."""

import asyncio
import re

import pytest

from qparity.runner import memory, patience
from qparity.runner.local import Cores
from qparity.runner.patience import Patience
from qparity.scenario.validate import validate
from tests.conftest import ROOT
from tests.reliability.sweeps import Sweeps


def least(**fields) -> int:
    return memory.least_bytes(validate({"name": "x", **fields}))


def test_the_least_a_cell_must_hold():
    amplitudes = 2**10
    batch = {"training": {"batch_size": 8}}
    assert least(wires=10, device="lightning.qubit", **batch) == 3 * 16 * amplitudes
    assert least(wires=10, diff_method="parameter-shift", **batch) == 3 * 16 * amplitudes
    assert least(wires=10, layers=2, **batch) == 16 * amplitudes * 8 * (2 + 2 * 10)
    assert least(wires=10, layers=2, dtype="float32", **batch) == 8 * amplitudes * 8 * (2 + 2 * 10)
    assert least(wires=5, layers=1, device="default.mixed", **batch) == 16 * amplitudes * 8 * (2 + 5)
    assert least(wires=10, circuit="os:path", weight_shapes={"w": [1]}, **batch) == 16 * amplitudes * 8 * 2


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), ("2K", 2048), ("1.5g", 3 * 2**29), ("4GiB", 2**32), ("1MB", 2**20)]
)
def test_sizes(text, count):
    assert memory.parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "G", "-1", "0", "nan", "inf", "8X", "1e999"])
def test_no_size(text):
    with pytest.raises((ValueError, OverflowError)):
        memory.parse_bytes(text)


def test_a_cell_that_cannot_fit_is_refused_and_the_others_run(tmp_path):
    sweeps = Sweeps(tmp_path, 2)
    with sweeps.file.open("a") as file:
        file.write("wires = [1, 30]\n")
    outcomes = list(sweeps.sweep(memory_bytes=2**33).outcomes().values())
    assert [o.status for o in outcomes] == ["ok", "ok", "unsupported", "unsupported"]
    assert outcomes[3].reason == "needs at least 1 TiB of memory for its states: 8 GiB may be used"


def test_cells_share_the_memory_and_one_that_needs_more_goes_alone():
    async def together(*needs: int) -> list[int]:
        cores, running, seen = Cores(8, 1, 100), 0, []

        async def one(need: int) -> None:
            nonlocal running
            async with cores.take(need):
                running += need
                seen.append(running)
                await asyncio.sleep(0.001)
                running -= need

        await asyncio.gather(*map(one, needs))
        return seen

    assert max(asyncio.run(together(40, 40, 40, 40))) == 80
    assert max(asyncio.run(together(30, 500, 30))) == 500


def test_the_gpu_is_one_cells_at_a_time():
    async def together() -> int:
        cores, running, most = Cores(8, 1, 100), 0, 0

        async def one() -> None:
            nonlocal running, most
            async with cores.take(gpu=True):
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001)
                running -= 1

        await asyncio.gather(*(one() for _ in range(5)))
        return most

    assert asyncio.run(together()) == 1


class Clock:
    """A deadline that is read, not waited for."""

    def reschedule(self, when: float) -> None:
        self.deadline = when


def waiting(reports: list[tuple[int, float]]) -> tuple[float, str]:
    """Deadline and reason of a cell of at most 900 s that has reported these (step, time)."""

    async def hear() -> tuple[float, str]:
        clock = Clock()
        patient = Patience(clock, 900.0)
        start = patient.now()
        for step, moment in reports:
            patient.now = lambda moment=moment: start + moment
            patient.heard(step)
        return round(clock.deadline - start, 2), patient.reason

    return asyncio.run(hear())


def test_a_first_step_may_take_until_the_cap():
    assert waiting([(0, 1.0), (0, 2.0)])[0] == 900.0


def test_a_cell_that_was_quick_is_stuck_long_before_the_cap():
    deadline, reason = waiting([(0, 0.0), (1, 2.0), (2, 3.0)])
    assert deadline == 3.0 + patience.FLOOR_S + patience.FACTOR * 2.0
    assert re.findall(r"\d+", reason) == ["100", "2", "2"]  # silent for, at step, the longest until then


def test_slow_steps_are_waited_for_and_the_next_phase_starts_anew():
    assert waiting([(0, 0.0), (1, 100.0)])[0] == 900.0
    assert waiting([(0, 0.0), (1, 1.0), (2, 2.0), (0, 3.0)])[0] == 900.0


def test_the_documented_dask_settings_are_the_ones_that_are_asked_for():
    yaml = pytest.importorskip("yaml")
    engine = pytest.importorskip("qparity.runner.dask")
    text = (ROOT / "docs" / "cluster.md").read_text().partition("```yaml\n")[2].partition("```")[0]

    def flat(table, path=""):
        for key, value in table.items():
            yield from flat(value, f"{path}{key}.") if isinstance(value, dict) else [(path + key, value)]

    assert dict(flat(yaml.safe_load(text))) == engine.SETTINGS
