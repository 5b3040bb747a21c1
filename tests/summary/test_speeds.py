"""Speed in summaries: the gate on slowdowns, ratios of ratios between runs, shared means, growth with size."""

import json
from dataclasses import replace

import numpy as np
import pytest

from qparity.records import Timing
from qparity.reporting.html import render
from qparity.scenario.validate import validate
from qparity.store import Run
from qparity.summary import json as json_view
from qparity.summary import summarise
from qparity.summary.compare import compare
from qparity.summary.gate import Gate
from qparity.summary.speeds import overall, shared_means, told
from qparity.summary.terminal import lines
from qparity.timing import Interval, Point, Speed, growths
from tests.reporting.run_builder import build_run, scenario
from tests.timing.test_timing_block import document

VARIANTS = ("tf", "torch", "jax-jit")


def timed(folder, seeds=(0, 1), faults=None, **speeds):
    """A run of two scenarios whose variants take `speeds` times as long as each other, in recorded rounds."""
    run, judgements = build_run(folder, scenarios=("a", "b"), variants=VARIANTS, steps=4, faults=faults)
    for name, seed in zip(("a", "b"), seeds, strict=True):
        run.write_timing(name, Timing(document(seed=seed, **{v.replace("_", "-"): s for v, s in speeds.items()})))
    return Run.load(run.path), judgements


def test_a_sure_slowdown_against_a_variant_fails_the_gate(tmp_path):
    run, judgements = timed(tmp_path, torch=1.0, tf=1.5, jax_jit=0.1)
    view = summarise(run, judgements, Gate(max_slowdown=1.2, reference="torch"))
    assert view.exit_code == 1
    assert [line.split("takes 1.")[0] for line in view.problems] == ["Speed: a tf ", "Speed: b tf "]
    assert "the time of torch, more than 1.2x." in view.problems[0]
    assert summarise(run, judgements, Gate(max_slowdown=1.6, reference="torch")).exit_code == 0
    assert summarise(run, judgements, Gate(max_slowdown=1.5, reference="torch")).exit_code == 0, "not surely slower"
    assert summarise(run, judgements).exit_code == 0, "speed never gates unless asked"
    assert len(summarise(run, judgements, Gate(max_slowdown=1.6, reference="jax-jit")).problems) == 4


def test_a_speed_that_was_not_earned_is_no_slowdown(tmp_path):
    run, judgements = timed(tmp_path, faults={(0, "tf"): "fault", (1, "tf"): "fault"}, torch=1.0, tf=1.5)
    assert summarise(run, judgements, Gate(max_slowdown=1.2)).problems[1:] == ()


def test_what_was_too_slow_to_time_does_not_pass_the_gate(tmp_path):
    run, judgements = timed(tmp_path, torch=1.0, tf=1.1)
    base = summarise(run, judgements, Gate(reference="torch"))
    for name in ("a", "b"):
        found = document(torch=1.0)
        run.write_timing(name, Timing(found | {"left_out": {"tf": "a step takes 2.4 s: too long to repeat"}}))
    for gate in (Gate(max_slowdown=1.2, base=base), Gate(max_slowdown=1.2)):
        view = summarise(Run.load(run.path), judgements, gate)
        assert view.exit_code == 3
        assert "Speed: a tf was not compared: a step takes 2.4 s: too long to repeat." in view.problems
    assert "[not timed: a step takes 2.4 s: too long to repeat]" in "\n".join(lines(view))


def test_what_cannot_be_compared_any_more_does_not_pass_the_gate(tmp_path):
    run, judgements = timed(tmp_path, torch=1.0, tf=1.1, jax_jit=0.1)
    base = summarise(run, judgements, Gate(reference="torch"))
    gate = Gate(max_slowdown=1.2, reference="torch", base=base)
    run.write_outcome(run.outcome(run.planned()[0][1]).changed(status="unsupported", reason="no tf here"))
    run.write_timing("a", Timing(document(torch=1.0, jit=0.1)))
    view = summarise(Run.load(run.path), judgements, gate)
    assert view.exit_code == 3
    assert "Speed: a tf was not compared: unsupported: no tf here." in view.problems
    (run.path / "timings" / "a.json").unlink()
    (run.path / "timings" / "b.json").unlink()
    view = summarise(Run.load(run.path), judgements, gate)
    assert len(view.problems) == 1, "one line, not one a cell"
    run.write_timing("a", Timing({"lanes": {"torch": {}, "tf": {}}, "rounds": [{"samples": {}}], "left_out": {}}))
    view = summarise(Run.load(run.path), judgements)
    assert view.cell("a", "torch").untimed == "its timed rounds cannot be read"


def test_a_reference_that_got_slower_is_named_and_does_not_make_the_others_faster(tmp_path):
    run, judgements = timed(tmp_path / "base", torch=1.0, tf=1.0)
    base = summarise(run, judgements, Gate(reference="torch"))
    for name, seed in (("a", 0), ("b", 1)):
        found = document(seed=seed, torch=1.0, tf=1.0)
        for each in found["rounds"]:
            each["samples"]["torch"]["step_s"] *= 2
        run.write_timing(name, Timing(found))
    found = compare(base, summarise(Run.load(run.path), judgements, Gate(reference="torch")))
    assert "speed: relative to torch, whose own steps take 2x as long (unpaired: drift is in it)" in found.lines()
    assert found.speeds["tf"].contains(0.5)
    assert found.document()["reference"] == {"variant": "torch", "times": pytest.approx(2.0)}


def test_a_mean_is_over_the_scenarios_of_the_runs_reference(tmp_path):
    run, judgements = timed(tmp_path, torch=1.0, tf=1.5)
    run.write_timing("b", Timing(document(tf=1.0, jit=0.1) | {"left_out": {"torch": "no answer within 900 s"}}))
    view = summarise(Run.load(run.path), judgements, Gate(reference="torch"))
    found = overall(view.cells)
    assert (found.reference, found.shared, found.timed) == ("torch", ("a",), ("a", "b"))
    assert found.over == "over 1 of 2 timed scenarios"
    assert "tf: 1.5" in "\n".join(lines(view))


def test_an_unstable_mean_says_so(tmp_path):
    run, judgements = timed(tmp_path, torch=1.0, tf=1.5)
    for name in ("a", "b"):
        found = document(torch=1.0, tf=1.5)
        for each in found["rounds"]:
            each["samples"]["torch"]["cpu_s"] /= 5
        run.write_timing(name, Timing(found))
    view = summarise(Run.load(run.path), judgements, Gate(reference="torch"))
    assert overall(view.cells).unstable
    assert "over all 2 timed scenarios, some of them not to be relied on" in "\n".join(lines(view))
    assert "torch, the reference: used only 20% of its core" in view.cell("a", "tf").timing.notes


def test_asking_about_speed_where_nothing_was_timed_is_no_pass(tmp_path):
    run, judgements = build_run(tmp_path, steps=4)
    view = summarise(run, judgements, Gate(max_slowdown=1.2))
    assert view.exit_code == 3
    assert view.problems == ("Speed: nothing was compared: no cell was timed against another.",)
    run, judgements = timed(tmp_path, torch=1.0, tf=1.5)
    assert summarise(run, judgements, Gate(max_slowdown=1.2, reference="jax")).exit_code == 3


def test_runs_are_compared_by_ratios_of_ratios(tmp_path):
    base, head = (
        summarise(*timed(tmp_path / side, seeds=seeds, torch=1.0, tf=tf, jax_jit=0.1), Gate(reference="torch"))
        for side, seeds, tf in (("base", (0, 1), 1.0), ("head", (2, 3), 1.4))
    )
    found = compare(base, head)
    speeds = {(c.cell.scenario, c.cell.variant): c.speed for c in found.changes}
    assert speeds["a", "torch"] is None, "the reference"
    assert speeds["a", "tf"].contains(1.4)
    assert speeds["b", "jax-jit"].contains(1.0)
    assert found.speeds["tf"].low > 1.3
    assert found.exit_code == 0
    text = "\n".join(found.lines())
    assert text.count(" slower") == 3
    assert "~ a tf: ROUNDING (r 0." in text
    assert "jax-jit: ROUNDING" not in text
    cell = next(c for c in json.loads(json.dumps(found.document()))["cells"] if c["speed"])
    assert cell["speed"].keys() == {"ratio", "ratio_low", "ratio_high", "speed"}

    run, judgements = timed(tmp_path / "again", seeds=(2, 3), torch=1.0, tf=1.4, jax_jit=0.1)
    view = summarise(run, judgements, Gate(max_slowdown=1.2, reference="torch", base=base))
    assert [line.split(" takes ")[0] for line in view.problems] == ["Speed: a tf", "Speed: b tf"]
    assert f"relative to the reference in {base.id}" in view.problems[0]


def test_a_scenario_that_has_become_another_is_not_compared(tmp_path):
    base = summarise(*timed(tmp_path, torch=1.0, tf=1.4))
    deeper = [replace(cell, settings=cell.settings.model_copy(update={"layers": 4})) for cell in base.cells]
    found = compare(base, replace(base, cells=tuple(deeper)))
    assert not any(change.speed for change in found.changes)
    assert "with the same settings" in found.no_speed


def test_speeds_of_two_machines_are_never_compared(tmp_path):
    run, judgements = timed(tmp_path, torch=1.0, tf=1.4)
    base = summarise(run, judgements)
    cells = tuple(replace(c, timed_on={**c.timed_on, "cpu.count": 64}) if c.timing else c for c in base.cells)
    other = replace(base, cells=cells)
    found = compare(other, base)
    assert not any(change.speed for change in found.changes)
    assert "speed: not compared: the runs were made on different machines (cpu.count: 64 -> 2)" in found.lines()
    assert summarise(run, judgements, Gate(max_slowdown=1.2, base=other)).exit_code == 3


def test_means_are_over_scenarios_that_all_variants_have():
    one, two = Interval(1.9, 2.0, 2.1), Interval(7.9, 8.0, 8.1)
    ratios = {("a", "x"): one, ("b", "x"): two, ("a", "y"): one}
    assert shared_means(ratios)["x"].estimate == pytest.approx(2.0)
    assert shared_means(ratios | {("b", "y"): two})["x"].estimate == pytest.approx(4.0)
    assert shared_means({("a", "x"): one, ("b", "y"): one}) == {}


def test_the_distance_from_the_machines_limit_is_a_shared_mean_too(tmp_path):
    run, judgements = timed(tmp_path, torch=1.0, tf=1.5)
    view = summarise(run, judgements)
    assert view.above_limits == {}
    limits = {"torch": 1e-5, "tf": 1e-5}
    cells = tuple(replace(c, limit_s=limits.get(c.variant)) for c in view.cells)
    view = replace(view, cells=cells)
    torch, tf = (np.sqrt(view.cell("a", v).step_s * view.cell("b", v).step_s) / 1e-5 for v in ("torch", "tf"))
    assert view.above_limits == {"tf": pytest.approx(tf), "torch": pytest.approx(torch)}
    (line,) = (line for line in lines(view) if line.startswith("above the machine's limit: tf "))
    assert line.endswith("x, over the scenarios that all of them passed")


def family(axis, sizes):
    for size in sizes:
        base = scenario(f"grow-{size}{axis}-default", "ROUNDING") | {"data": {"samples": 8 * size}}
        training = base["training"] | ({"batch_size": size} if axis == "batch" else {})
        yield base | {"training": training} | ({axis: size} if axis != "batch" else {})


def point(scenario, variant, time):
    ratio = Interval(time * 0.98, time, time * 1.02)
    return Point(validate(scenario), variant, scenario["training"]["batch_size"], time, ratio, "r")


def test_growth_is_fitted_within_families_and_crossings_found():
    sizes = (2, 4, 6, 8)
    points = [point(s, "slow-start", 0.04 * (2 ** s["wires"]) ** 0.1) for s in family("wires", sizes)]
    points += [point(s, "steep", 0.001 * 2 ** s["wires"]) for s in family("wires", sizes)]
    points += [
        point(s | {"device": "lightning.qubit", "diff_method": "best"}, "steep", 1.0)
        for s in family("wires", sizes[:2])
    ]
    found = growths(points)
    assert [(g.axis, g.group, g.variant, g.sizes) for g in found] == [
        ("wires", "grow-default", "slow-start", sizes),
        ("wires", "grow-default", "steep", sizes),
    ]
    assert [g.law.exponent.estimate for g in found] == pytest.approx([0.1, 1.0])
    (batch,) = growths([point(s, "v", s["training"]["batch_size"] * 2.0) for s in family("batch", (1, 4, 16))])
    assert (batch.axis, batch.law.exponent.estimate) == ("batch size", pytest.approx(1.0))


def test_growth_and_crossings_are_shown(tmp_path):
    points = [point(s, "flat", 0.04) for s in family("wires", (2, 4, 6, 8))]
    points += [point(s, "steep", 0.001 * 2 ** s["wires"]) for s in family("wires", (2, 4, 6, 8))]
    run, judgements = timed(tmp_path, torch=1.0, tf=1.5)
    view = replace(summarise(run, judgements), growths=tuple(growths(points)))
    (crossing,) = view.crossings
    assert (crossing.below, crossing.above) == ("steep", "flat")
    assert (crossing.low, crossing.high) == (4, 6)
    text = "\n".join(lines(view))
    assert "grow-default steep: step time ~ (2^wires)^1 [1, 1]" in text
    assert "grow-default: by wires, steep is faster at 4, flat at 6" in text
    json.dumps(json_view.document(view), allow_nan=False)
    assert overall(view.cells).ratios["torch"].contains(1 / 1.5)


@pytest.mark.parametrize(
    ("ratio", "speed", "said"),
    [
        (Interval(0.04, 0.05, 0.0625), Speed.FASTER, "20x faster than torch [16, 25]"),
        (Interval(3.0, 3.1, 3.2), Speed.SLOWER, "3.1x slower than torch [3, 3.2]"),
        (Interval(0.97, 1.0, 1.03), Speed.NOT_RESOLVED, "cannot tell from torch [0.97x to 1.03x its time]"),
        (Interval(0.0, 0.5, 0.6), Speed.FASTER, "2x faster than torch [1.67, inf]"),
    ],
)
def test_a_ratio_is_said_as_times_faster_or_slower(ratio, speed, said):
    assert told(ratio, speed, "torch") == said


def test_an_exponent_whose_interval_says_nothing_is_not_shown(tmp_path):
    """The sample report had 0.427 [-2.22, 3.08]: three sizes, and one of them measured badly."""
    sizes = (2, 4, 6)
    points = [point(s, "steep", 0.001 * 2 ** s["wires"]) for s in family("wires", sizes)]
    points += [point(s, "noisy", time) for s, time in zip(family("wires", sizes), (0.01, 0.2, 0.04), strict=True)]
    run, judgements = timed(tmp_path, torch=1.0, tf=1.5)
    view = replace(summarise(run, judgements), growths=tuple(growths(points)))
    assert [growth.law.told for growth in view.growths] == [True, False]
    said = "\n".join(lines(view))
    assert "grow-default steep: step time ~ (2^wires)^1 [1, 1]" in said
    assert "grow-default noisy: how a step grows with wires: cannot tell" in said
    page = render(view)
    assert "<td>1 [1, 1]</td>" in page
    assert "<td>cannot tell</td>" in page
    assert f"{view.growths[1].law.exponent.low:.3g}" not in page.split("<script")[0]
