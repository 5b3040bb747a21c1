"""A person who has only the HTML: variant, stage, cause and next step of five faults planted in one real sweep.

Four are put into the backends' own steps (`harness/qparity/worker/faults.py`), the fifth is a circuit that loops in
Python on one backend: right everywhere, and slow there.
"""

import json
import re
from dataclasses import dataclass

import pytest

pytestmark = pytest.mark.backend("torch", "jax")


@dataclass(frozen=True)
class Planted:
    """What is put where, and the words by which a reader knows it."""

    fault: str
    variant: str
    stage: str
    verdict: str
    looks_like: str


FAULTS = {
    "wrong-sign": Planted("gradient-sign", "torch", "gradient", "LOCAL-FAULT", "opposite sign"),
    "float32-leak": Planted("forward-float32", "jax-jit", "forward", "PRECISION-LEAK", "float32 number"),
    "wrong-wire": Planted("wrong-wire", "torch", "forward", "LOCAL-FAULT", "on wire 1"),
    "stale-weights": Planted("stale-weights", "jax-jit", "forward", "LOCAL-FAULT", "stale by 1 step"),
}
RIGHT = {"torch": "jax-jit", "jax-jit": "torch"}
SCENARIO = """
name = "{name}"
variants = ["torch", "jax-jit"]
wires = 2
seed = {seed}
data = {{ samples = 6 }}
training = {{ batch_size = 3, epochs = 1 }}
"""
SLOW = """
name = "slow-loop"
circuit = "slow:circuit"
weight_shapes = { weights = [3] }
variants = ["jax-jit", "torch"]
data = { samples = 6 }
training = { batch_size = 3, epochs = 1 }
"""
CIRCUIT = """
import keras
import pennylane as qml


def polish(angles):
    for _ in range(1_000_000):
        pass
    return angles


def circuit(weights, inputs):
    if keras.backend.backend() == "torch":
        inputs = polish(inputs)
    qml.RX(inputs[..., 0], wires=0)
    qml.Rot(weights[0], weights[1], weights[2], wires=0)
    return qml.expval(qml.Z(0))
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory, qparity):
    """The page that `qparity run --report` leaves, diagnosis and timing included."""
    folder = tmp_path_factory.mktemp("five")
    for seed, name in enumerate(FAULTS, start=1):
        (folder / f"{name}.toml").write_text(SCENARIO.format(name=name, seed=seed))
    (folder / "slow.toml").write_text(SLOW)
    (folder / "slow.py").write_text(CIRCUIT)
    faults = [{"name": f.fault, "step": 1, "scenario": name, "variant": f.variant} for name, f in FAULTS.items()]
    with pytest.MonkeyPatch.context() as user:
        user.setenv("QPARITY_FAULT", json.dumps(faults))
        files = [*(f"{name}.toml" for name in FAULTS), "slow.toml"]
        done = qparity("run", *files, "--rounds", 18, "--report", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (page,) = (folder / "reports").glob("*.html")
    return page


@pytest.mark.parametrize("name", FAULTS)
def test_variant_stage_cause_and_next_step_of_a_fault_are_on_the_page(opened, swept, name):
    path = swept
    planted = FAULTS[name]
    page = opened(path)
    cell = page.locator(f"#matrix a[href='#{name}/{planted.variant}']")
    assert re.fullmatch(rf"✗ {planted.stage} \d+/53", cell.inner_text())
    assert page.locator(f"#matrix a[href='#{name}/{RIGHT[planted.variant]}']").inner_text().startswith("✓")
    cell.click()
    page.locator("#why a").click()
    why = page.locator(".evidence", has=page.locator("summary", has_text=f"{name} · {planted.variant}"))
    assert page.locator("article.cause", has=why).locator("h3").inner_text() == (
        f"{planted.variant}, {planted.stage}, default.qubit: 1 cell"
    )
    assert why.is_visible()
    assert f"{planted.verdict} step 1 {planted.stage}" in why.inner_text()
    facts = why.locator(".cause-of").inner_text()
    assert planted.looks_like in facts
    assert f"In this scenario {RIGHT[planted.variant]} is right" in facts
    assert planted.variant in facts.partition("run again")[2].partition("beside it")[0]
    assert "The script below" in why.locator(".next").inner_text()
    why.locator("details", has=page.locator(".script")).locator("summary").click()
    compile(why.locator(".script").inner_text(), "script.py", "exec")
    assert f"qparity run {name}.toml -k {name} -v {planted.variant}" in page.locator("#again").inner_text()


def test_the_first_screen_names_each_cause(opened, swept):
    page = opened(swept)
    said = page.locator("section[aria-labelledby='q-wrong']").inner_text()
    assert "4 different causes in 4 of 10 cells" in said
    listed = page.locator("section[aria-labelledby='q-wrong'] li").all_inner_texts()
    assert sum(f.looks_like in line for f in FAULTS.values() for line in listed) >= 2
    assert "every variant" not in page.locator("#problems").inner_text()


def test_the_slow_loop_is_so_many_times_slower_and_its_function_is_named(opened, swept):
    page = opened(swept)
    said = page.locator(".slower")
    assert said.count() == 1
    assert re.search(r"slow-loop · torch is [\d.]+× slower than jax-jit \[", said.inner_text())
    assert "Python code of yours" in said.inner_text()
    assert "in slow:polish itself" in said.inner_text()
    assert "qparity run slow.toml -k slow-loop -v torch -v jax-jit" in said.inner_text()
    said.locator("a", has_text="what calls it").click()
    picture = page.locator("#why-slower details", has=page.locator("summary", has_text="in slow-loop"))
    picture.locator("summary").click()
    assert picture.locator("svg").first.is_visible()
