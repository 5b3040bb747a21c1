"""The blocks of README.md, CONTRIBUTING.md, CHANGELOG.md and docs/*.md, the commands in them, and what they show."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/*.md"))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SHELLS = ("console", "bash", "sh")
TOLD: dict[str, list[dict[str, Any]]] = tomllib.loads(Path(__file__).with_name("examples.toml").read_text("utf-8"))
NAMED_BEFORE = re.compile(r"`([\w.]+\.(?:py|toml))`[^`]*:\s*\Z", re.DOTALL)
NAMED_INSIDE = re.compile(r"# ([\w.]+\.(?:py|toml))\b")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page and line, its language, its text without the indent, the paragraph before it."""

    page: str
    line: int
    language: str
    text: str
    before: str

    @property
    def place(self) -> str:
        """Such as `docs/gpu.md:6`."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that the block is: in its first line, or at the end of the paragraph before it."""
        named = NAMED_INSIDE.match(self.text) or NAMED_BEFORE.search(self.before)
        return (
            named[1]
            if named and named[1].endswith({"python": ".py", "toml": ".toml"}.get(self.language, "?"))
            else None
        )


@dataclass(frozen=True)
class Command:
    """A command behind a prompt, without its comment, and what the block shows below it."""

    place: str
    words: str
    shown: str


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text, found, last = page.read_text(encoding="utf-8"), [], 0
    for each in FENCE.finditer(text):
        content = re.sub(f"^{each[1]}", "", each[3], flags=re.MULTILINE)
        paragraphs = re.split(r"\n\s*\n", text[last : each.start()].rstrip())
        line = text[: each.start()].count("\n") + 1
        found.append(Block(page.relative_to(ROOT).as_posix(), line, each[2], content, paragraphs[-1]))
        last = each.end()
    return found


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a block of a shell; none of another block."""
    if block.language in SHELLS:
        for part in re.split(r"^(?=\w*\$ )", block.text, flags=re.MULTILINE)[1:]:
            whole = part.replace("\\\n", " ")
            first, _, shown = whole.partition("\n")
            prompt, words = re.fullmatch(r"(\w*\$) (.*)", re.sub(r"\s+#\s.*", "", first)).groups()
            host = "" if prompt == "$" else f"{prompt} "
            yield Command(block.place, host + " ".join(words.split()), shown.strip("\n"))


def told_of(kind: str, about: Command | Block) -> dict[str, Any]:
    """The entry of examples.toml on a command or a block of Python; empty where there is none."""
    for entry in TOLD[kind]:
        if isinstance(about, Command):
            found = entry.get("command") == about.words
        else:
            found = "code" in entry and entry["page"] == about.page and about.text.startswith(entry["code"])
        if found:
            return entry
    return {}
