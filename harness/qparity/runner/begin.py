"""Open the run folder a sweep writes to: a new one, or one to resume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qparity import __version__
from qparity.environments.interpreters import NOTHING, Interpreters
from qparity.records import Environment, read
from qparity.runner.plan import Block, blocks_of_shard, make_blocks, to_plan
from qparity.scenario.errors import ScenarioError
from qparity.scenario.load import Block as LoadedBlock
from qparity.scenario.schema import ABOUT
from qparity.store import Run, StoreError, differences, fingerprint, resolve
from qparity.store.fingerprint import PACKAGES


def begin(
    loaded: Sequence[LoadedBlock],
    results: Path,
    resume: str | None,
    shard: str | None,
    command: list[str],
    force: bool,
    interpreters: Interpreters = NOTHING,
) -> tuple[Run, list[Block]]:
    """The run and the blocks to run in it; what `interpreters` have on top is recorded as what it runs on.

    Raises:
        StoreError: the run to resume is not there, has other cells, or was made in another environment.
        ScenarioError: a module or data set is wrong.
        EnvironmentProblem: a backend does not go with what is on top of its interpreter.
    """
    blocks = make_blocks(loaded)
    if shard is not None:
        try:
            blocks = blocks_of_shard(blocks, shard)
        except ValueError as error:
            raise ScenarioError(str(error).partition("expected ")[2], key="--shard", value=shard) from None
    if not blocks:
        raise ScenarioError("fewer shards than scenarios", key="--shard", value=shard)
    interpreters.need({cell.variant.backend for block in blocks for cell in block.cells})
    environment = fingerprint()
    if interpreters.requirements:
        packages = {"qparity": __version__, **interpreters.packages(PACKAGES)}
        environment |= {"requirements": list(interpreters.requirements), "packages": packages}
    if resume is None:
        return Run.create(results, to_plan(blocks).to_dict(), environment, command), blocks
    run = Run.load(resolve(results, resume))
    planned = {place.cell_id: place.scenario for place in run.planned()}
    wanted = {cell.id: block.scenario for block in blocks for cell in block.cells}
    if missing := wanted.keys() - planned.keys():
        raise StoreError(f"{run.id}: cannot resume: {len(missing)} of these cells are not in its plan")
    for cell_id, scenario in wanted.items():
        for key in sorted(ABOUT):  # the rest is in the id
            there, here = getattr(planned[cell_id], key), getattr(scenario, key)
            if there != here:
                told = f"{key} is {there!r} in its plan, {here!r} here"
                raise StoreError(f"{run.id}: cannot resume {scenario.name}: {told}")
    changed = differences(run.record.environment, read(Environment, environment))
    if changed and not force:
        raise StoreError(f"{run.id}: cannot resume in another environment ({'; '.join(changed[:3])}); --force does")
    return run, blocks
