"""Scenarios of training scripts: a script runs in a worker of the first backend that is there, up to its `fit`.

What it handed to `fit` becomes a scenario, with the data and the starting values beside it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qparity.data import OptionError
from qparity.data.own import single
from qparity.records import answers, read, requests
from qparity.records.document import Table
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import ChildDied, ServerDied
from qparity.runner.sources import SourceError, Sources
from qparity.scenario.errors import ScenarioError
from qparity.scenario.load import Block, load_files, variants_asked_for
from qparity.scenario.matrix import slug
from qparity.scenario.own_data import Given, digest_of
from qparity.scenario.schema import CAPTURED, DATA, SAMPLE_WEIGHT, SCRIPTED
from qparity.scenario.select import selector
from qparity.scenario.validate import validate
from qparity.scenario.variant import DEFAULT_VARIANTS, Variant
from qparity.worker.protocol import Message, ProtocolError

PATIENCE_S = 900.0
"""Seconds that a script may take up to its `fit`."""
BROKE = "line "
"""How the reason of a script begins that an error ended, and not what qparity cannot take of it."""

OWN = {
    "loss": "its loss is its own, which has no law: the reference judges it where it can, else the backends each other",
    "optimizer": "its optimizer does more than its law knows: its updates are not judged",
}


class CaptureError(Exception):
    """A script or function that gives nothing to train: one line."""


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """How a script is run and cut: its `arguments`, which `fit` of it, how many `steps`, of which `batch_size`."""

    arguments: tuple[str, ...] = ()
    fit: int | None = None
    steps: int | None = None
    batch_size: int | None = None

    def given(self) -> str | None:
        """The first option that is given, as it is written."""
        named = {"--": self.arguments, "--fit": self.fit, "--steps": self.steps, "--batch-size": self.batch_size}
        return next((name for name, value in named.items() if value), None)


def load_all(
    paths: Sequence[Path | str],
    k: str | None = None,
    variants: Sequence[str] | None = None,
    options: ScriptOptions = ScriptOptions(),
    interpreters: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Block]:
    """The blocks of scenario files and of training scripts (files that end in `.py`).

    Args:
        paths: the files.
        k: keep cells by scenario name and variant.
        variants: instead of those that the files name.
        options: for the scripts.
        interpreters: backend -> path of another interpreter for it.
        tell: is told, in a line each, what is being run, and what of a script is left out.

    Raises:
        ScenarioError: a file is wrong, or nothing is left.
        CaptureError: a script or function gives nothing to train.
    """
    scripts = [Path(path) for path in paths if Path(path).suffix == ".py"]
    files = [path for path in paths if Path(path).suffix != ".py"]
    if not scripts and (option := options.given()):
        raise ScenarioError("a training script (FILE.py) with this option", key=option)
    blocks = load_files(files, k, variants) if files or not scripts else []
    made = Sources(interpreters or {}, tell)
    try:
        blocks = [made.given(block) for block in blocks]
    except SourceError as error:
        raise CaptureError(str(error)) from None
    chosen = variants_asked_for(variants) or DEFAULT_VARIANTS
    keep = selector(k) if k is not None else None
    names = {block.scenario.name.lower() for block in blocks}
    for script in scripts:
        name = slug(script.stem) or "script"
        left = tuple(each for each in chosen if keep is None or keep(name, str(each)))
        if name.lower() in names:
            raise ScenarioError("no duplicate name", file=script, key="name", value=name)
        names.add(name.lower())
        if left:
            blocks.append(asyncio.run(_script(script, name, left, options, dict(interpreters or {}), tell)))
    if not blocks:
        raise ScenarioError("an expression that matches a scenario name or a variant", key="-k", value=k)
    return blocks


async def _script(
    path: Path,
    name: str,
    variants: tuple[Variant, ...],
    options: ScriptOptions,
    interpreters: dict[str, str],
    tell: Callable[[str], None],
) -> Block:
    """The block of a script."""
    if not path.is_file():
        raise ScenarioError("a training script that is there", file=path)
    spec = {"file": path.name, "arguments": list(options.arguments), "fit": options.fit or 1}
    asked = requests.Capture(spec, str(path.parent.resolve()))
    answer, on = await _ask(path, variants, asked.body(), interpreters, tell)
    found = read(answers.Capture, answer.body).captured
    start, length = answer.arrays, read(answers.Length, found.training)
    x, y, weight = (start.pop(name, None) for name in DATA)
    assert x is not None
    assert y is not None
    notes = list(found.notes)
    size = min(options.batch_size, len(x)) if options.batch_size else length.batch_size
    epochs = length.epochs
    if options.steps:
        kept, epochs = cut(len(x), size, options.steps)
        x, y, weight = x[:kept], y[:kept], None if weight is None else weight[:kept]
    try:
        targets = y if y.ndim == 1 else None
        x, y = single(x, "x of fit", path), single(y, "y of fit", path)
        weight = None if weight is None else single(weight, "sample weights of fit", path).reshape(-1)
    except OptionError as error:
        raise CaptureError(f"{path}: expected {error.expected}") from None
    y = y if targets is None else y.reshape(-1)
    captured = [array for array in (x, y, weight, *_in_order(start)) if array is not None]
    weighted = {} if weight is None else {"weight": SAMPLE_WEIGHT}
    scenario = validate(
        {
            "name": name,
            "model": SCRIPTED,
            "script": {**spec, "own": list(found.own), "given": found.given, "notes": notes},
            "dtype": found.dtype,
            "data": {"name": CAPTURED, "samples": len(x), "sha256": digest_of(*captured), **weighted},
            "training": found.training | {"batch_size": size, "epochs": epochs},
        }
    )
    for note in notes:
        tell(f"{path}: {note}")
    for part in found.own:
        tell(f"{path}: {OWN[part]}")
    told = scenario.training
    tell(
        f"{path}: taken at its fit on {on}: {len(x)} samples, {told.epochs} epochs of batches of {told.batch_size}, "
        f"{told.loss if 'loss' not in found.own else 'a loss of its own'}, "
        f"{told.optimizer.name if 'optimizer' not in found.own else 'an optimizer of its own'}, {scenario.dtype}"
    )
    return Block(scenario, variants, path, Given(x, y, start, weight))


def _in_order(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [arrays[name] for name in sorted(arrays)]


def cut(samples: int, batch: int, steps: int) -> tuple[int, int]:
    """Samples and epochs that have about so many steps: fewer samples where an epoch has more, whole epochs else."""
    per_epoch = -(-samples // batch)
    return (min(samples, steps * batch), 1) if steps <= per_epoch else (samples, -(-steps // per_epoch))


async def _ask(
    path: Path,
    variants: Sequence[Variant],
    body: Table,
    interpreters: dict[str, str],
    tell: Callable[[str], None],
) -> tuple[Message, str]:
    """The answer of the first backend that can run the script, and its name; one that the script breaks on is told."""
    unavailable, broken = [], []
    of_backends = {variant.backend: variant for variant in reversed(variants)}
    with tempfile.TemporaryDirectory(prefix="qparity-capture-") as folder:
        async with Pool(Path(folder), 1, interpreters) as pool:
            for variant in reversed(of_backends.values()):
                try:
                    server = await pool.server(variant)
                except (Unavailable, ServerDied) as error:
                    unavailable.append(f"{variant}: {error}")
                    continue
                tell(f"{path}: running it on {variant.backend} up to its fit")
                log = Path(folder) / "script.log"
                child = await server.child("script", log, None)
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        answer = await child.request("capture", body)
                except TimeoutError:
                    await child.kill()
                    raise CaptureError(f"{path}: it did not come to its fit in {PATIENCE_S:g} s") from None
                except (ChildDied, ProtocolError) as error:
                    raise CaptureError(f"{path}: {error}") from None
                except BaseException:
                    await asyncio.shield(child.kill())
                    raise
                await child.close()
                if answer.kind != "error":
                    return answer, variant.backend
                reason = read(answers.Refusal, answer.body).reason.removeprefix("ScriptError: ")
                if reason in broken or not reason.startswith(BROKE):  # on another it would say the same
                    raise CaptureError(f"{path}: {reason}")
                broken.append(reason)
                tell(f"{path}: it breaks on {variant.backend}: {reason}")
    if broken:
        raise CaptureError(f"{path}: {broken[0]}")
    raise CaptureError(f"{path}: no backend can run it here: {'; '.join(unavailable)}")
