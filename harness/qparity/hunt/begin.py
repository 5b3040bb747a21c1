"""Begin a hunt: a new run, or one that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qparity import __version__
from qparity.environments.interpreters import Interpreters
from qparity.hunt import kept
from qparity.hunt.kept import State
from qparity.records import Environment, Plan, read
from qparity.scenario.errors import ScenarioError
from qparity.scenario.variant import Variant
from qparity.store import Run, StoreError, differences, fingerprint, resolve
from qparity.store.fingerprint import PACKAGES


def begin(
    results: Path,
    seed: int,
    variants: Sequence[Variant],
    limits: tuple[float | None, int | None],
    command: list[str],
    interpreters: Interpreters,
) -> tuple[Run, State]:
    """A new run, whose plan is still empty; `limits` are seconds and cells.

    Raises:
        EnvironmentProblem: a backend does not go with what is on top of its interpreter.
    """
    interpreters.need({variant.backend for variant in variants})
    run = Run.create(results, Plan().to_dict(), _environment(interpreters), command)
    return run, State(seed, tuple(map(str, variants)), *limits)


def resume(results: Path, reference: str, interpreters: Interpreters) -> tuple[Run, State]:
    """The run of a hunt that goes on.

    Raises:
        StoreError: it is no hunt, or was begun in another environment.
        EnvironmentProblem: as `begin`.
    """
    run = Run.load(resolve(results, reference))
    state = kept.load(run.path)
    try:
        found = [Variant.parse(name) for name in state.variants]
    except ScenarioError as error:
        raise StoreError(f"{run.path / kept.FILE}: {error}") from None
    interpreters.need({variant.backend for variant in found})
    if changed := differences(run.record.environment, read(Environment, _environment(interpreters))):
        raise StoreError(f"{run.id}: cannot resume in another environment ({'; '.join(changed[:3])})")
    return run, state


def _environment(interpreters: Interpreters) -> dict[str, object]:
    environment = fingerprint()
    if interpreters.requirements:
        packages = {"qparity": __version__, **interpreters.packages(PACKAGES)}
        environment |= {"requirements": list(interpreters.requirements), "packages": packages}
    return environment
