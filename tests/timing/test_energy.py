"""The processor's energy counters, read from files as Linux shows them."""

import pytest

from qparity.runner.probe import Backends, Machine
from qparity.summary.doctor import backends_text
from qparity.timing.energy import Counters


def zone(folder, name, called, energy="0", most="1000000"):
    """One of the kernel's zones, or a part of one."""
    place = folder / name
    place.mkdir(parents=True)
    for file, text in (("name", called), ("energy_uj", energy), ("max_energy_range_uj", most)):
        if text is not None:
            (place / file).write_text(f"{text}\n")
    return place / "energy_uj"


def test_the_packages_are_added_up_and_nothing_is_counted_twice(tmp_path):
    first, second = (zone(tmp_path, f"intel-rapl:{n}", f"package-{n}", "100") for n in (0, 1))
    parts = [
        zone(tmp_path, "intel-rapl:0:0", "core"),
        zone(tmp_path, "intel-rapl:2", "psys"),
        zone(tmp_path, "intel-rapl-mmio:0", "package-0"),
    ]
    counters = Counters.found(tmp_path)
    before = counters.now_uj()
    first.write_text("250100\n")
    second.write_text("500100\n")
    for part in parts:
        part.write_text("900000\n")
    assert counters.joules(before, counters.now_uj()) == 0.75


def test_a_counter_that_began_anew_goes_on_from_where_it_ends(tmp_path):
    file = zone(tmp_path, "intel-rapl:0", "package-0", "900000")
    counters = Counters.found(tmp_path)
    before = counters.now_uj()
    file.write_text("100000\n")
    assert counters.joules(before, counters.now_uj()) == pytest.approx(0.2)


def test_where_nobody_says_where_it_ends_nothing_is_claimed(tmp_path):
    file = zone(tmp_path, "intel-rapl:0", "package-0", "900000", most=None)
    counters = Counters.found(tmp_path)
    before = counters.now_uj()
    file.write_text("100000\n")
    assert counters.joules(before, counters.now_uj()) is None


@pytest.mark.parametrize("how", ["unreadable", "gone", "no number", "empty", "standing still"])
def test_a_counter_that_says_nothing_gives_nothing(tmp_path, how):
    zone(tmp_path, "intel-rapl:0", "package-0", "5")
    file = zone(tmp_path, "intel-rapl:1", "package-1", "5")
    counters = Counters.found(tmp_path)
    before = counters.now_uj()
    if how == "unreadable":  # whoever runs this: root may read any file, but no folder as one
        file.unlink()
        file.mkdir()
    elif how == "gone":
        file.unlink()
    elif how != "standing still":
        file.write_text("many\n" if how == "no number" else "")
    after = counters.now_uj()
    assert (after is None) == (how != "standing still")
    assert counters.joules(before, after) is None


def test_a_machine_without_counters_has_none(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        counters = Counters.found(folder)
        assert counters.now_uj() is None
        assert counters.joules(None, None) is None
        assert "no energy counters" in counters.told()


def test_doctor_says_whether_they_can_be_read(tmp_path):
    without = backends_text(Backends(Machine("3.11", 2, None, Counters.found(tmp_path).told()), ()))
    assert without.splitlines()[-1].startswith("energy not measured: ")
    file = zone(tmp_path, "intel-rapl:0", "package-0")
    there = backends_text(Backends(Machine("3.11", 2, None, Counters.found(tmp_path).told()), ()))
    assert there.splitlines()[-1].startswith("energy measured ")
    file.unlink()
    file.mkdir()
    unreadable = backends_text(Backends(Machine("3.11", 2, None, Counters.found(tmp_path).told()), ()))
    assert str(file) in unreadable.splitlines()[-1]
