"""What a verdict or an end means, what it usually comes from, and what to do next: for the page and docs/verdicts.md.

python -m qparity.summary.verdicts > docs/verdicts.md
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class About:
    """One verdict, or one way to end, in plain words."""

    means: str
    usually: str = ""
    next: str = ""


SCRIPT = "`qparity reproduce RUN CELL` writes the smallest step that shows it as a script without qparity"
ABOUT = {
    "ROUNDING": About("The pass: within what rounding can do, at every step that something independent judged."),
    "PEERS-AGREE": About(
        "A weaker pass: within rounding where something independent judged; of the rest it is known only that other "
        "backends agree, at the steps that are counted.",
        "A part that the oracle does not simulate and the reference cannot run, such as a layer of your own that NumPy "
        "has no way to run, or random numbers of each backend's own.",
        "Take `qparity check --require-judge` where that is not enough.",
    ),
    "LOCAL-FAULT": About(
        "One stage of one step is wrong by more than rounding, given what the variant itself had just then. Step, "
        "tensor and index are where it was first seen.",
        "A wrong gate or wire, a sign, a sum in place of a mean, weights of an earlier step, a bug of the framework "
        "or of PennyLane on this device. In the prediction: the circuit or a layer. In the loss: its reduction. In "
        "the gradient alone: the differentiation method. In the update alone: the optimizer.",
        "Look whether the other variants of the scenario are red too: then it is what they share. "
        "`qparity diagnose RUN CELL` runs the step again on all of them, another device and another method, and names "
        f"the first wrong gate or layer. {SCRIPT}.",
    ),
    "PRECISION-LEAK": About(
        "Right only to the next lower precision: declared float64, right to about 24 bits.",
        "A tensor cast to float32 on its way: a loss or an optimizer of stock Keras, a Python number that became a "
        "float32 constant, a device that computes in single precision.",
        "The stage says where: `training.numerics = \"exact\"` avoids what Keras itself casts. Declare "
        '`dtype = "float32"` if that is what you need, or expect the verdict where you can live with it '
        "(docs/expectations.md). " + SCRIPT + ".",
    ),
    "SETUP-FAULT": About(
        "What the variant started from is not what was declared or sent: data, weights, their order, a "
        "hyper-parameter, the circuit; or `fit` trains something else than one step after the other does.",
        "A default that differs, a number read through float32, a circuit that depends on the backend, a `train_step` "
        "of the model's own.",
        "The entry that is named is the place to look; nothing after it can be trusted before it is as declared.",
    ),
    "NOT-COMPARED": About(
        "Nothing could judge it. Never a pass.",
        "A gate that the oracle does not know and no majority of other backends, devices or methods, a model that "
        "draws random numbers of its own, a circuit too large for the time that judging may take.",
        "The reason names it; more backends, `training.draws = \"shared\"`, `judge = [\"methods\"]` "
        "(docs/scenarios.md) or `--judge-within` may help.",
    ),
    "failed": About(
        "The cell ended with an error.",
        "The message is the backend's own, or PennyLane's.",
        "The log's last lines are here; the whole of it is in the run folder, `logs/<cell>.log`.",
    ),
    "timeout": About(
        "The cell gave no answer in the time that `--timeout` allows.",
        "Compiling a large circuit, too little memory, a machine that others use.",
        "Try fewer wires, layers or steps, or a longer `--timeout`; the run's command with `--resume RUN --retry` "
        "does it again.",
    ),
    "crashed": About(
        "The cell's process died.",
        "Memory that ran out, or a fault in compiled code.",
        "The log's last lines say what it did last; `--max-memory` and `-j 1` leave it more room.",
    ),
    "diverged": About(
        "The training left the finite numbers.",
        "A learning rate too large, or a gradient that is not a number.",
        "The step is named. Where the other variants of the scenario stay finite, it is this one; else the scenario.",
    ),
    "missing": About(
        "There is no outcome that can be read.",
        "The sweep was interrupted, or a file of the run folder is damaged.",
        "The run's command with `--resume RUN` does what is missing.",
    ),
    "unsupported": About("It cannot run here, for the reason that is named; neither a pass nor a fault."),
}  # fmt: skip


def page() -> str:
    """The text of docs/verdicts.md."""
    parts = ["# What a verdict means, and what to do next\n"]
    parts.append(
        "A cell has a verdict if it ran to its end, and a status if it did not. The report's own guide says the same;\n"
        "how a verdict is reached: [architecture.md](architecture.md).\n"
    )
    for name, about in ABOUT.items():
        parts.append(f"## {name}\n\n{about.means}\n")
        parts += [f"Usually: {about.usually}\n"] if about.usually else []
        parts += [f"Next: {about.next}\n"] if about.next else []
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
