"""For mkdocs: links mean on the site what they mean in a checkout, and the published reports come along."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
AFTER_SNIPPETS = 31  # pymdownx.snippets has 32: what it includes is seen here


class _Links(Preprocessor):
    """A link to docs/x.md of a file that is included from the root, and one to ../reports/x.html of a page."""

    def run(self, lines: list[str]) -> list[str]:
        return [re.sub(r"\]\((?:docs/|\.\./(?=reports/))", "](", line) for line in lines]


class _AsInACheckout(Extension):
    def extendMarkdown(self, md: Any) -> None:
        md.preprocessors.register(_Links(md), "as_in_a_checkout", AFTER_SNIPPETS)


def on_config(config: Any) -> Any:
    """Add the rewriting of links."""
    config.markdown_extensions.append(_AsInACheckout())
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the published reports."""
    for report in sorted((ROOT / "reports").glob("*.html")):
        if f"!reports/{report.name}" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines():
            files.append(File.generated(config, f"reports/{report.name}", abs_src_path=str(report)))
    return files


def on_post_page(output: str, **_: Any) -> str:
    """Give the switch between light and dark the style sheets of highlight.js, empty: without them it breaks."""
    return output.replace("</head>", '<style id="hljs-light"></style><style id="hljs-dark"></style></head>', 1)
