"""`qparity envs`: the environments that --with has made."""

from __future__ import annotations

from typing import Annotated

import typer

from qparity.cli.commands import Json, app
from qparity.cli.runs import as_json, say

envs = typer.Typer(help="The environments that --with has made: list them, remove what is of no use.")
app.add_typer(envs, name="envs", no_args_is_help=True)

DAY_S = 86_400.0


@envs.command(name="list")
def list_environments(json: Json = False) -> None:
    """List the environments, the one used last at the end: what is on top of which interpreter."""
    from datetime import datetime

    from qparity.environments import cache

    found = cache.envs()
    if json:
        say(as_json({"cache": str(cache.cache()), "environments": [each.to_dict() for each in found]}))
        return
    for each in found:
        told, when = each.manifest, datetime.fromtimestamp(cache.used(each))
        top = ", ".join(f"{name} {version}" for name, version in told.installed.items()) or "nothing"
        say(f"{each.key}  {' '.join(told.requirements)}: {top} on top of {told.below}; used {when:%Y-%m-%d %H:%M}")
        for why in told.without.values():
            say(f"  left out: {why}")
        say(f"  {each.interpreter}")
    say(f"environments: {len(found)}, in {cache.cache()}")


@envs.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove every environment.")] = False,
    unused: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Also what was not used for so many days.")
    ] = None,
) -> None:
    """Remove environments whose interpreter is gone or has other packages now, and what was left half made."""
    from qparity.environments import cache

    removed = cache.prune(everything, None if unused is None else unused * DAY_S)
    for path in removed:
        say(f"removed {path}")
    say(f"removed: {len(removed)}, left: {len(cache.envs())}")
