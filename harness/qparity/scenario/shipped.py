"""The scenario files that come with qparity, by name: `qparity run smoke` works from any folder."""

from __future__ import annotations

from pathlib import Path, PurePath

from qparity.scenario.errors import ScenarioError
from qparity.scenario.suggest import one_of

FOLDER = Path(__file__).parents[1] / "scenarios"


def names() -> list[str]:
    """The shipped scenario files, without `.toml`."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def file_of(name: str) -> Path:
    """The file of a shipped name.

    Raises:
        ScenarioError: there is none of that name.
    """
    if name not in names():
        raise ScenarioError(one_of("the name of a shipped scenario file", name, names()), value=name)
    return FOLDER / f"{name}.toml"


def short(file: str) -> str:
    """The name of a shipped file, wherever qparity was installed; of another file the path."""
    path = PurePath(file)
    return path.stem if path.parts[-3:-1] == FOLDER.parts[-2:] and path.stem in names() else file


def resolve(given: Path | str) -> Path:
    """The file meant: the one at this path; if there is none and the word has neither folder nor ending, a shipped one.

    Raises:
        ScenarioError: a bare word that is neither.
    """
    path = Path(given)
    bare = path.name == str(given) and not path.suffix
    return file_of(str(given)) if bare and not path.exists() else path
