"""Every command, every Python block and every named file of the documentation, done as it says: `tox -e examples`.

A page is followed from its first block to its last, in a folder of its own that has what a clone has (`examples`,
`scenarios`, `docs/found`) and a `train.py`. Commands must end with the exit code that what they show stands for and
print what they show (`shown.py`). The file's name keeps it out of the ordinary suite; tests/test_docs.py holds there
that nothing is forgotten.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SOURCES
from tests.examples.blocks import PAGES, SHELLS, TOLD, Block, Command, blocks_of, commands_of, told_of
from tests.examples.shown import missing

FAULTY = re.compile(r"^(?:\[\d+/\d+\] )?✗ |: wrong$", re.MULTILINE)
SECONDS = 900


def of_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def followed() -> list[Path]:
    """The pages with something to do, the longest first."""
    done = [page for page in PAGES if any(b.language in (*SHELLS, "python") for b in blocks_of(page))]
    return sorted(done, key=lambda page: -sum(len(list(commands_of(block))) for block in blocks_of(page)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a clone has, `train.py`, and the command in a `bin` of its own."""
    for name in ("examples", "scenarios", "docs/found"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("train.py"), tmp_path)
    for name, command in (("qparity", "-m qparity.cli"), ("python", ""), ("pytest", "-m pytest")):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        program.chmod(0o755)
    return tmp_path


def started(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """A command in the folder; its output and errors as one text, as on a terminal."""
    path = os.pathsep.join((str(folder / "bin"), os.environ["PATH"]))
    environment = {name: value for name, value in os.environ.items() if name not in ("GITHUB_ACTIONS", "KERAS_BACKEND")}
    environment |= {"PATH": path, "PYTHONPATH": SOURCES, "QPARITY_ENVS": str(folder / "envs")}
    environment["CLONE"] = str(ROOT)
    return subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip


def wrong_with(folder: Path, command: Command) -> str:
    """Run a command; what is wrong with it, or nothing."""
    if told_of("not_run", command):
        return ""
    instead = told_of("instead", command)
    done = started(folder, ["bash", "-c", instead.get("run", command.words)])
    gate = "--check" in command.words or not command.words.startswith("qparity run")
    codes = instead.get("exit_code", [int(gate and bool(FAULTY.search(command.shown)))])
    lost = missing(command.shown, done.stdout) if instead.get("shown", True) else []
    if done.returncode in codes and not lost:
        return ""
    said = f"exit code {done.returncode}, expected {' or '.join(map(str, codes))}; shown and not printed: {lost}"
    return f"{command.place}: $ {command.words}\n{said}\n{done.stdout[-6000:]}"


def wrong_code(folder: Path, block: Block) -> str:
    """Run a block of Python; what is wrong with it, or nothing."""
    done = started(folder, ["python", "-c", told_of("given", block).get("before", "") + block.text])
    return f"{block.place}: exit code {done.returncode}\n{done.stdout[-3000:]}" if done.returncode else ""


@pytest.mark.timeout(0)
@pytest.mark.parametrize("document", followed(), ids=of_page)
def test_a_page_can_be_followed(document: Path, folder: Path):
    wrong, code = [], ""
    for block in blocks_of(document):
        if block.file:
            whole = code + block.text if "from above" in block.text else block.text
            (folder / block.file).write_text(whole, encoding="utf-8")
        elif block.language == "python" and not told_of("not_run", block):
            wrong.append(wrong_code(folder, block))
            code += block.text
        wrong += [wrong_with(folder, command) for command in commands_of(block)]
    for also in TOLD["also"]:
        if also["page"] == of_page(document):
            wrong.append(wrong_with(folder, Command(also["page"], also["run"], also.get("shown", ""))))
    assert not any(wrong), "\n\n".join(filter(None, wrong))
