"""Which experiment is it: the id of a cell, and the hash of the source file that defines what is under test.

Sources are found and read, never imported: the parent must know the ids before any worker runs.
"""

import ast
import sys
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from json import dumps
from pathlib import Path

from qparity.scenario.errors import ScenarioError
from qparity.scenario.schema import ABOUT, WAYS, Scenario
from qparity.scenario.suggest import one_of
from qparity.scenario.variant import Variant

_PROJECT = Path(__file__).parents[2]


def cell_id(scenario: Scenario, variant: Variant, source_hash: str) -> str:
    """16 hex digits: SHA-256 of canonical JSON of scenario (without `ABOUT`), variant, source."""
    content = scenario.model_dump(mode="json", exclude=set(ABOUT), exclude_none=True)  # new keys change no id
    return sha256(canonical({"scenario": content, "variant": str(variant), "source": source_hash})).hexdigest()[:16]


def family(scenario: Scenario) -> bytes:
    """What scenarios share that differ in device and differentiation method alone, and in what is asked of them."""
    return canonical(scenario.model_dump(mode="json", exclude={*ABOUT, *WAYS}))


def canonical(content: object) -> bytes:
    """JSON with sorted keys, no spaces, ASCII only: equal content, equal bytes."""
    return dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def search_path(folder: Path) -> tuple[Path, ...]:
    """Where modules named in a scenario file of `folder` are looked for: beside it, here, then as usual.

    A worker must put the first two at the head of `sys.path` to import the same files.
    """
    return folder.resolve(), Path.cwd(), *(Path(entry) for entry in sys.path if entry)


def source_hash(scenario: Scenario, search: Sequence[Path]) -> str:
    """The hash of what is under test: the file of the circuit or model, or the script beside its scenario.

    Where the loss is a function of the user's own, of the two files' hashes.

    Raises:
        ScenarioError: it is not there.
    """
    if scenario.script is None:
        found = source_hash_of(scenario.source, search)
    else:
        try:
            found = sha256((search[0] / scenario.script.file).read_bytes()).hexdigest()
        except OSError as error:
            raise ScenarioError(f"a script: {error.strerror}", value=scenario.script.file) from None
    if scenario.own_loss is None:
        return found
    return sha256(f"{found} {source_hash_of(scenario.own_loss, search)}".encode()).hexdigest()


def source_hash_of(source: str, search: Sequence[Path]) -> str:
    """SHA-256 of the file that defines `package.module:function`; ScenarioError if it is not there."""
    module, _, function = source.partition(":")
    file = find_module(module, search)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ScenarioError(f"a readable file {file}: {error.strerror}", value=source) from None
    names = _names_in(content, module)
    if function not in names and "*" not in names:
        raise ScenarioError(one_of(f"a name that {module} defines", function, sorted(names)), value=source)
    return sha256(content).hexdigest()


def find_module(module: str, search: Sequence[Path]) -> Path:
    """The source file of a module, by name alone."""
    roots = (_PROJECT, *search) if module.partition(".")[0] == "qparity" else tuple(search)
    relative = Path(*module.split("."))
    for root in roots:
        for candidate in (root / relative / "__init__.py", (root / relative).with_suffix(".py")):
            try:
                if candidate.is_file():
                    return candidate
            except (OSError, ValueError):  # such as a name that is too long for the file system
                continue
    places = ", ".join(map(str, search[:2]))
    expected = f"a module that can be found: no {relative.as_posix()}.py in {places} or on sys.path"
    raise ScenarioError(expected, value=module)


@lru_cache(maxsize=64)
def _names_in(content: bytes, module: str) -> frozenset[str]:
    """What a module defines at its top level; `*` where a star import or __getattr__ leaves that open."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ScenarioError(f"a Python module: {error.__class__.__name__}{where}", value=module) from None
    names: set[str] = set()
    for node in _statements(tree.body):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add("*" if name == "__getattr__" else name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name.partition(".")[0] for alias in aliases}
            case ast.Assign() | ast.AnnAssign():
                names |= {
                    each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
                }
    return frozenset(names)


def _statements(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Top-level statements, and those inside a top-level if, try or with."""
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.If | ast.Try | ast.With):
            handlers = [each for handler in getattr(node, "handlers", ()) for each in handler.body]
            inner = [*node.body, *getattr(node, "orelse", ()), *handlers, *getattr(node, "finalbody", ())]
            found += _statements(inner)
    return found
