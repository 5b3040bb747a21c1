"""What README and docs/ say holds: links, commands, scenario files, code. No framework is needed."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.main import get_command

import qparity
from qparity.cli import app
from qparity.parity.expectation import load_expectations
from qparity.scenario.load import load_file
from tests.conftest import ROOT
from tests.examples.blocks import FENCE, PAGES, SHELLS, TOLD, Block, blocks_of, commands_of, told_of
from tests.examples.shown import missing

CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
COMMANDS: Any = get_command(app)


def fenced(language: str) -> list[Any]:
    """The blocks of a language in all pages, named by page and line."""
    every = (block for page in PAGES for block in blocks_of(page))
    return [pytest.param(block, id=block.place) for block in every if block.language == language]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def of_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_there_is_something_to_test():
    assert len(PAGES) > 25
    assert {name: len(fenced(name)) >= least for name, least in (("console", 20), ("python", 8), ("toml", 8))} == {
        "console": True,
        "python": True,
        "toml": True,
    }


# Links


@cache
def anchors(page: Path) -> set[str]:
    """What a link into a page may name: a heading's anchor both on GitHub and on the site, where they are the same."""
    names = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading) for heading in HEADING.findall(prose(page))]
    plain = [re.sub(r"[^\w\s-]", "", name.strip().lower()) for name in names]
    return {each.replace(" ", "-") for each in plain} & {re.sub(r"[-\s]+", "-", each) for each in plain}


@pytest.mark.parametrize("document", PAGES, ids=of_page)
def test_links_lead_somewhere(document: Path):
    dead = []
    for target in LINK.findall(CODE.sub("", prose(document))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.is_file() or ROOT not in file.parents or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


def test_every_page_has_one_place_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    places = Counter(re.findall(r": (\S+\.md)$", nav, re.MULTILINE))
    assert places == Counter(page.name for page in ROOT.glob("docs/*.md"))


# Commands


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of every qparity command behind a prompt, without what stands before and after it."""
    for line in text.replace("\\\n", " ").splitlines():
        prompt = re.match(r"\w*\$ (.*)", line)
        words = shlex.shlex(prompt[1] if prompt else "", posix=True, punctuation_chars="&|;")
        words.whitespace_split = True
        for joint, part in groupby(words, key=lambda word: set(word) <= set("&|;")):
            command = list(part)
            if not joint and "qparity" in command and all("=" in each for each in command[: command.index("qparity")]):
                yield command[command.index("qparity") + 1 :]


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the others."""
    command, left = COMMANDS, words
    while left and hasattr(command, "commands") and left[0] in command.commands:
        command, left = command.commands[left[0]], left[1:]
    return command, left


@pytest.mark.parametrize("block", fenced("console"))
def test_commands_parse(block: Block):
    for words in command_lines(block.text):
        command, arguments = resolved(words[: words.index("--")] if "--" in words else words)
        assert command is not COMMANDS, f"qparity {shlex.join(words)}: no such command"
        try:
            command.make_context("qparity", arguments)
        except Exception as error:  # click's own, of which typer may bring a copy
            said = error.format_message() if hasattr(error, "format_message") else repr(error)
            pytest.fail(f"{block.page}:{block.line}: qparity {shlex.join(words)}: {said}")


@pytest.mark.parametrize("document", PAGES, ids=of_page)
def test_commands_in_a_sentence_have_the_options_they_name(document: Path):
    """Commands in running text have gaps (`RUN`, `...`, `[--json]`), so only their names are looked up."""
    wrong = []
    for code in CODE.findall(prose(document)):
        words = code.replace("[", " ").replace("]", " ").replace("|", " ").split()
        words = words[: words.index("--")] if "--" in words else words
        if words[:1] != ["qparity"] or len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
            continue
        command, arguments = resolved(words[1:])
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        named = {word for word in arguments if re.fullmatch(r"--?[a-z][\w-]*", word)}
        if command is COMMANDS or not named <= options:
            wrong.append((code, sorted(named - options)))
    assert not wrong


# What tests/examples/run_blocks.py runs

PROGRAMS = ("qparity", "pytest", "python")


def every_block() -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page)]


def test_every_command_is_run_by_the_examples_or_listed_with_the_reason():
    """What is not listed is run; so it must be something that can be run there."""
    listed = {each["command"] for each in TOLD["not_run"] if "command" in each}
    unknown = []
    for command in (each for block in every_block() for each in commands_of(block)):
        words = [word for word in command.words.split() if not re.match(r"[A-Z_]+=", word)]
        if command.words not in listed and words[0] not in PROGRAMS:
            unknown.append(f"{command.place}: {command.words}")
    assert not unknown


def test_every_shell_block_has_a_prompt():
    """Or its commands would not be seen."""
    shells = [block for block in every_block() if block.language in SHELLS]
    assert not [block.place for block in shells if not re.match(r"\w*\$ ", block.text)]
    assert not {block.language for block in every_block()} - {*SHELLS, "python", "toml", "yaml", "text", ""}


def test_what_is_listed_stands_in_the_documentation_and_has_a_reason():
    commands = {command.words for block in every_block() for command in commands_of(block)}
    code = [block for block in every_block() if block.language == "python"]
    for kind, entries in TOLD.items():
        for each in entries:
            assert len(each["why"]) > 8, each
            if "command" in each:
                assert each["command"] in commands, f"{kind}: {each['command']}"
            elif "code" in each:
                assert any(told_of(kind, block) is each for block in code), f"{kind}: {each}"
            else:
                assert (ROOT / each["page"]).is_file(), f"{kind}: {each}"


def test_what_is_shown_is_looked_for_in_what_was_printed():
    printed = "[2/3] ✗ mine torch: LOCAL-FAULT step 0 loss: got 0.25, expected 0.5 [3.4 ms]\n20261127-111713-5693"
    shown = "✗ mine torch: LOCAL-FAULT step 0 loss: got 0.26, expected 0.51 [12 µs]\n...\n20260101-000000-abcd"
    assert missing(shown, printed) == []
    assert missing("✗ mine torch: LOCAL-FAULT ... expected 0.5", printed) == []
    assert missing("✗ mine torch: LOCAL-FAULT step 1 ...", printed) == ["✗ mine torch: LOCAL-FAULT step 1"]
    assert missing("✓ mine torch", printed) == ["✓ mine torch"]


# Scenario and expectations files


def in_folder(folder: Path, raw: Any) -> None:
    """Put beside a scenario file what it names: modules with their functions, and files of data."""
    if isinstance(raw, list | dict):
        for each in raw.values() if isinstance(raw, dict) else raw:
            in_folder(folder, each)
    if isinstance(raw, str) and (path := re.fullmatch(r"(\w+):(\w+)", raw)):
        with (folder / f"{path[1]}.py").open("a", encoding="utf-8") as stream:
            stream.write(f"def {path[2]}(*arguments):\n    return arguments\n")
    if isinstance(raw, dict) and "file" in raw:
        names = [*raw.get("inputs", ["x"]), *raw.get("target", ["y"])]
        if raw["file"].endswith(".npz"):
            np.savez(folder / raw["file"], **{name: np.zeros((200, 2)) for name in names})
        else:
            (folder / raw["file"]).write_text(",".join(names) + "\n0,1\n1,0\n", encoding="utf-8")


def files_in(text: str) -> list[str]:
    """A block is one file, or, where a key occurs again, several of a line each."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if "overwrite" not in str(error):
            raise
        return [line for line in text.splitlines() if line.strip()]
    return [text]


@pytest.mark.parametrize("block", fenced("toml"))
def test_scenario_and_expectations_files_load(block: Block, tmp_path: Path):
    for number, text in enumerate(files_in(block.text)):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = folder / "example.toml"
        file.write_text(text, encoding="utf-8")
        raw = tomllib.loads(text)
        if "expectations" in raw:
            assert load_expectations(file)
        else:
            in_folder(folder, raw)
            assert load_file(file).scenarios


# Code


def module_tree(name: str) -> ast.Module:
    """The parsed source of a module of ours, without importing it."""
    place = importlib.util.find_spec(name)
    assert place is not None, f"{name}: no such module"
    return ast.parse(Path(place.origin or "").read_text(encoding="utf-8"))


def defined(module: str, name: str) -> ast.stmt | None:
    """Where a module defines a name; None where it does not."""
    for node in module_tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node
    return None


def keywords(name: str) -> set[str] | None:
    """The keywords that a public function or class takes; None for any."""
    node: Any = defined(qparity._HOMES[name], name)
    if isinstance(node, ast.ClassDef):
        node = next(each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__")
    given = node.args
    return None if given.kwarg else {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def public(name: str) -> bool:
    home = qparity._HOMES.get(name)
    return name in qparity.__all__ and (home is None or name in ("Run", "RunView") or defined(home, name) is not None)


@pytest.mark.parametrize("block", fenced("python"))
def test_code_compiles_and_what_it_takes_from_us_exists(block: Block):
    tree = ast.parse(block.text, f"{block.page}:{block.line}")
    compile(tree, block.page, "exec")
    called: dict[str, set[str]] = {}
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "qparity":
            imported = {each.name for each in node.names}
            assert all(map(public, imported)), imported
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qparity."):
            assert all(defined(node.module or "", each.name) for each in node.names), ast.unparse(node)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "qparity":
            assert public(node.attr), ast.unparse(node)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).removeprefix("qparity.")
            if name in imported or (name in qparity._HOMES and ast.unparse(node.func) != name):
                called.setdefault(name, set()).update(each.arg for each in node.keywords if each.arg)
    for name, given in called.items():
        known = keywords(name)
        assert known is None or given <= known, f"{name}: {sorted(given - known)}"


@pytest.mark.parametrize("block", fenced("yaml"))
def test_yaml_parses(block: Block):
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(block.text)


def test_the_commands_are_those_of_the_command_line():
    """What is introspected is the real thing."""
    assert isinstance(app, typer.Typer)
    assert {"run", "check", "envs", "bisect", "hunt"} <= set(COMMANDS.commands)
