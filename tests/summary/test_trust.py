"""What the verdicts rest on, and how far the times can be relied on."""

from dataclasses import replace

import pytest

from qparity.parity import judge
from qparity.summary import summarise
from qparity.summary.trust import judged_by, power, quiet
from tests.diagnose.test_hostile_run import make
from tests.parity.fake import Setting, observe
from tests.reporting.run_builder import build_view


def test_who_judged_is_said_as_the_judge_has_it(tmp_path):
    assert judge([observe(Setting())])["torch"].judges == ("oracle",)
    (said, *more) = judged_by(summarise(make(tmp_path)))
    assert said.startswith("All predictions, losses, gradients and updates were judged")
    assert said.endswith("(the oracle)")
    assert more == []


@pytest.mark.parametrize(("judged", "share"), [(9, "90% of all"), (9999, "99.9% of all"), (10_000, "All")])
def test_a_share_is_never_rounded_to_all(tmp_path, judged, share):
    view = build_view(tmp_path, scenarios=("a",), variants=("torch",))
    whole = 10 if judged < 10 else 10_000
    cells = [replace(view.cells[0], judged=judged, judgeable=whole, judges=("oracle", "reference"))]
    said = judged_by(replace(view, cells=tuple(cells)))[0]
    assert said.startswith(f"{share} predictions")
    assert said.endswith("(the oracle) or Keras and PennyLane on NumPy in float64 (the reference)")


def test_what_nobody_judged_drew_or_was_spoilt_is_said(tmp_path):
    view = build_view(tmp_path, scenarios=("a",), variants=("torch",))
    assert judged_by(view) == ("nothing was judged by anything independent",)  # the builder's judge counts nothing
    odd = replace(view.cells[0], verdict="PEERS-AGREE", injected=True)
    said = " ".join(judged_by(replace(view, cells=(odd,))))
    assert "1 cell rests in part on other backends alone (PEERS-AGREE)" in said
    assert "1 cell had a fault injected on purpose" in said


def test_disturbed_rounds_and_the_widest_interval_are_said(tmp_path, monkeypatch):
    from tests.reporting import run_builder

    rounds = run_builder._rounds

    def starved(speeds):
        document = rounds(speeds)
        for k, each in enumerate(document["rounds"]):
            each["samples"]["tf"]["cpu_s"] /= 5
            each["kept"] = k % 5 != 0
        return document

    quietly = {"scenarios": ("a",), "variants": ("torch", "tf"), "speeds": {"torch": 1.0, "tf": 3.0}}
    calm = build_view(tmp_path / "a", **quietly)
    assert quiet(calm)[0] == "30 measurements of 2 step times"
    ratio = calm.cell("a", "tf").timing.ratio
    assert quiet(calm)[1] == f"the least certain ratio is known to ±{ratio.half_width / ratio.estimate:.1%} (a · tf)"
    seen = power(calm)
    assert (
        quiet(calm)[2]
        == f"a step that became {seen.typical - 1:.1%} slower would be called slower at least 9 times in 10"
    )
    assert [share for _, share in seen.curve] == sorted(share for _, share in seen.curve)
    assert seen.curve[0][1] < 0.1 < 0.9 < seen.curve[3][1]
    monkeypatch.setattr(run_builder, "_rounds", starved)
    said = quiet(build_view(tmp_path / "b", **quietly))
    assert said[0] == "24 measurements of 2 step times, 6 more disturbed and not counted"
    assert said[1] == "1 of these 2 are not to be relied on (used only 20% of its core)"
    assert "nothing was timed" in quiet(build_view(tmp_path / "c"))[0]
