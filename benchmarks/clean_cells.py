"""Does the judge ever accuse a correct program? Random clean cells on the real backends: false alarms must be 0.

    python benchmarks/clean_cells.py --cells 1000 [--computed] --write

The shipped circuits and random ones, 1 to 6 wires, both precisions, SGD (momentum, Nesterov, clipping) and Adam
(AMSGrad, weight decay, odd betas), every exact differentiation method, angles of up to hundreds of radians, batches of
one and batches with a remainder. One cell in ten is trained to a nearly perfect fit, where a judge that starts from its
own predictions would alarm. Prints the largest residual over tolerance of each stage; exit code 1 on any false alarm.
With `--computed` all circuits are random, and half their angles are functions of weights and features
(`random_circuit.random_computed`). `--write` makes its part of docs/clean-cells.md. Children only train: no `fit`, no
run folder.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qparity.parity import Judgement, Observation, judge
from qparity.runner.cell import CellEnded, Draft, audit, prepare
from qparity.runner.inputs import make_inputs
from qparity.runner.local import available_cores
from qparity.runner.plan import make_blocks
from qparity.runner.pool import Pool
from qparity.scenario.load import Block
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant

PAGE = Path(__file__).parents[1] / "docs" / "clean-cells.md"
# share of the cells; the compiled ones cost seconds each
SHARES = {"torch": 0.85, "jax-jit": 0.06, "tf-graph": 0.04, "tf": 0.02, "jax": 0.02, "tf-xla": 0.01}
SLOW = {"tf": "tf-graph", "jax": "jax-jit"}
# circuit -> (fewest wires, whether it takes one feature a wire)
CIRCUITS = {
    "data_reuploading": (1, False), "strongly_entangling": (1, True), "basic_entangler": (1, True), "qaoa": (1, False),
    "hardware_efficient": (1, False), "iqp": (1, True), "probabilities": (1, False), "vqe": (2, False),
    "deep": (1, False), "random": (1, False),
}  # fmt: skip
ODDS = [0.12, 0.1, 0.08, 0.08, 0.1, 0.08, 0.08, 0.08, 0.03, 0.25]
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "adam"}, {"name": "adam", "amsgrad": True}, {"name": "adam", "beta_1": 0.5, "beta_2": 0.9},
    {"name": "adam", "beta_1": 0.99, "beta_2": 0.9999}, {"name": "adam", "weight_decay": 0.01},
    {"name": "adam", "epsilon": 1e-3}, {"name": "adam", "clipnorm": 0.1}, {"name": "sgd"},
    {"name": "sgd", "momentum": 0.9}, {"name": "sgd", "momentum": 0.99, "nesterov": True},
    {"name": "sgd", "weight_decay": 0.01}, {"name": "sgd", "clipvalue": 0.05},
    {"name": "sgd", "momentum": 0.5, "global_clipnorm": 0.1},
)  # fmt: skip
METHODS = ("adjoint", "parameter-shift", "finite-diff", "hadamard", "lightning")
FITTED = 1e-6


@dataclass
class Findings:
    """What was seen: `largest` r by (dtype, optimizer) and by variant, for each stage."""

    alarms: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cells: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    fitted: int = 0
    largest: dict[tuple[str, str], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, scenario: Scenario, variant: str, draft: Draft, judged: Judgement | None) -> None:
        """Count one cell."""
        if judged is None or draft.trace is None or judged.verdict != "ROUNDING":
            why = judged.reason if judged else f"{draft.status}: {draft.reason}"
            kept = self.alarms if judged and judged.verdict != "NOT-COMPARED" else self.failed
            kept.append(f"{scenario.name} {variant}: {why}\n    {scenario.model_dump_json()}")
            print(kept[-1], flush=True)
            if kept is self.failed:
                return
        assert judged is not None
        assert draft.trace is not None
        self.cells[variant] += 1
        self.steps += len(draft.trace.loss)
        self.fitted += bool(np.abs(draft.trace.loss).min() < FITTED and scenario.training.loss == "mse")
        for key in ((scenario.dtype, scenario.training.optimizer.name), (scenario.dtype, variant)):
            for stage, series in judged.stages.items():
                self.largest[key][stage] = max(self.largest[key].get(stage, 0.0), float(np.nanmax(series.r)))


def main() -> None:
    """Run, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--variants", nargs="+", choices=SHARES, default=list(SHARES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--computed", action="store_true", help="random circuits with computed angles alone")
    parser.add_argument("--only", nargs="+", type=int, help="of those cells, the ones with these numbers")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    shares = np.array([SHARES[v] for v in options.variants])
    cells = [
        draw(rng, n, str(rng.choice(options.variants, p=shares / shares.sum())), "computed" if options.computed else "")
        for n in range(options.cells)
    ]
    cells = [cells[n] for n in options.only or range(len(cells))]
    start = time.perf_counter()
    found = asyncio.run(run(cells))
    text = table(found)
    print(f"{time.perf_counter() - start:.0f} s\n{text}")
    if options.write:
        more = " --computed" if options.computed else ""
        command = f"python benchmarks/clean_cells.py --cells {options.cells} --seed {options.seed}{more} --write"
        write(COMPUTED if options.computed else FORMS, f"`{command}`\n\n{text}")
    raise SystemExit(1 if found.alarms else 3 if found.failed else 0)


async def run(cells: list[tuple[Scenario, str]]) -> Findings:
    """Train every cell in a child of its own, as many at a time as there are cores, and judge it."""
    found, cores = Findings(), asyncio.Semaphore(len(available_cores()))
    with tempfile.TemporaryDirectory() as folder:
        async with Pool(Path(folder), 1, {}) as pool, asyncio.TaskGroup() as tasks:

            async def one(scenario: Scenario, variant: str) -> None:
                async with cores:
                    draft = await train(pool, scenario, variant)
                o = Observation.of(draft.outcome, draft.trace)
                found.add(scenario, variant, draft, judge([o]).get(o.cell))
                if found.cells.total() % 50 == 0:
                    print(f"{found.cells.total()} cells, {len(found.alarms)} alarms", flush=True)

            for cell in cells:
                tasks.create_task(one(*cell))
    return found


async def train(pool: Pool, scenario: Scenario, variant: str) -> Draft:
    """The recorded training of one cell."""
    (block,) = make_blocks([Block(scenario, (Variant.parse(variant),), Path(__file__))])
    (cell,) = block.cells
    draft, inputs = Draft(cell, ""), make_inputs(scenario)
    server = await pool.server(cell.variant)
    child = await server.child(cell.id, pool.logs / f"{cell.id}.log", None)
    try:
        await prepare(child, block, cell, inputs, _untold, draft)
        await audit(child, cell, inputs, _untold, draft)
        await child.close()
    except CellEnded as ended:
        draft.end(ended.status, str(ended))
        await child.kill()
    return draft


def draw(rng: np.random.Generator, number: int, variant: str, only: str = "") -> tuple[Scenario, str]:
    """A random scenario that the variant can run, of one circuit where `only` says so.

    Every tenth is trained to a nearly perfect fit.
    """
    dtype = str(rng.choice(["float32", "float64"]))
    common: dict[str, Any] = {"name": f"clean-{number}", "dtype": dtype, "seed": int(rng.integers(2**32))}
    if number % 10 == 9 and not only:
        optimizer = {"name": "sgd", "learning_rate": 0.4, "momentum": 0.3} if rng.random() < 0.7 else {"name": "adam"}
        training = {"batch_size": int(rng.integers(1, 3)), "epochs": 60, "optimizer": optimizer}
        training["optimizer"].setdefault("learning_rate", 0.1)
        return _scenario(common, layers=2, data={"samples": 2}, training=training), SLOW.get(variant, variant)
    circuit = only or str(rng.choice(list(CIRCUITS), p=ODDS))
    fewest, one_a_wire = CIRCUITS.get(circuit, (1, False))
    method = str(rng.choice(METHODS)) if variant == "torch" and circuit != "deep" and rng.random() < 0.25 else ""
    # deep has hundreds of gates; shift methods run a circuit for each
    wires = int(rng.integers(fewest, 3 if circuit == "deep" or method else 7))
    features = wires if one_a_wire else int(rng.integers(1, wires + 1))
    layers = 1 if circuit == "deep" or method else int(rng.integers(1, 4))
    samples = int(rng.integers(1, 13))
    rates = [0.003, 0.03] if only else [0.003, 0.03, 0.3, 3]  # an exponential soon overflows
    optimizer = {**OPTIMIZERS[rng.integers(len(OPTIMIZERS))], "learning_rate": float(rng.choice(rates))}
    if dtype == "float64" and any("norm" in key for key in optimizer):
        optimizer = {"name": "adam", "learning_rate": 0.03}  # Keras clips by norm in float32 (scenarios/leaks.toml)
    return _scenario(
        common,
        wires=wires,
        layers=layers,
        data={"name": "random", "samples": samples, "features": features},
        training={
            "batch_size": int(rng.integers(1, samples + 1)) if samples < 6 else samples // 2 + 1,
            "epochs": int(rng.integers(1, 4)),
            "loss": "energy" if circuit == "vqe" else "mse",
            "optimizer": optimizer,
        },
        **_circuit(rng, circuit, wires),
        **_method(rng, method, circuit, dtype),
    ), variant


def _circuit(rng: np.random.Generator, name: str, wires: int) -> dict[str, Any]:
    if name in ("random", "computed"):
        function = {"random": "random_circuit", "computed": "random_computed"}[name]
        return {"circuit": f"random_circuit:{function}", "circuit_options": {"draw": int(rng.integers(2**31))},
                "weight_shapes": {"weights": [int(rng.integers(2, 4 * wires + 1))]}}  # fmt: skip
    options = {}
    if name == "data_reuploading":
        options = {"scaling": float(rng.choice([1.0, 0.3, 30.0]))}
    if name == "vqe":
        options = {"coupling": float(rng.choice([1.0, 0.37, 50.0]))}
    return {"circuit": name, "circuit_options": options}


def _method(rng: np.random.Generator, name: str, circuit: str, dtype: str) -> dict[str, Any]:
    if name in ("", "hadamard") and (not name or circuit in ("random", "computed", "probabilities", "qaoa")):
        return {}
    if name == "lightning":
        return {"device": "lightning.qubit", "diff_method": "best"}
    if name == "adjoint" and circuit in ("random", "computed", "probabilities"):
        return {}
    if name == "finite-diff" and dtype == "float32":
        return {"diff_method": name, "diff_options": {"h": float(rng.choice([1e-2, 1e-3, 1e-4]))}}
    return {"diff_method": name}


def _scenario(common: dict[str, Any], **entries: Any) -> Scenario:
    return Scenario.model_validate({**common, **entries})


def _untold(*_: Any) -> None:
    """Nobody watches."""


def table(found: Findings) -> str:
    """The findings as Markdown."""
    cells = ", ".join(f"{variant} {count}" for variant, count in found.cells.most_common())
    rows = [
        f"| {dtype} | {what} | " + " | ".join(f"{row.get(s, math.nan):.2f}" for s in STAGES) + " |"
        for (dtype, what), row in sorted(found.largest.items())
    ]
    return "\n".join([
        f"{found.cells.total()} cells ({cells}), {found.steps} steps, {found.fitted} cells with a loss below "
        f"{FITTED:g}; false alarms: {len(found.alarms)}; not run or not compared: {len(found.failed)}.",
        "",
        f"| precision | optimizer or variant | {' | '.join(STAGES)} |",
        "|---" * (2 + len(STAGES)) + "|",
        *rows,
    ])  # fmt: skip


STAGES = ("forward", "loss", "gradient", "update")
FORMS, COMPUTED = "Shipped circuits, and random ones with any gate", "Random circuits with computed angles"
TEXT = """# Clean cells

Correct programs must never be accused. Made by benchmarks/clean_cells.py (do not edit by hand): random circuits and
trainings on the real backends, every step of each judged. The numbers are the largest residual over tolerance; 1 would
be an alarm. An update reaches 0.5 by construction: storing a weight rounds by up to u|w|, and the tolerance counts that
twice. Half the angles of the second part are functions of weights and features, such as `arctan(x)` or
`pi / (1 + exp(-w x))`.

{parts}
"""


def write(title: str, text: str) -> None:
    """Put one part of the page in place of what stood there."""
    parts = {}
    if PAGE.exists():
        for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
            name, _, rest = part.partition("\n")
            parts[name] = rest.strip()
    parts[title] = text
    told = "\n\n".join(f"## {name}\n\n{parts[name]}" for name in (FORMS, COMPUTED) if name in parts)
    PAGE.write_text(TEXT.format(parts=told), encoding="utf-8")


if __name__ == "__main__":
    main()
