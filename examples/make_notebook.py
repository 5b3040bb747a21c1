"""Make `fourier.ipynb` from `fourier.py`, whose cells start with `# %%`: `python examples/make_notebook.py`."""

import json
from pathlib import Path

SCRIPT = Path(__file__).parent / "fourier.py"
MARK, MARKDOWN = "# %%", "[markdown]"


def notebook(script: str) -> str:
    """The script as Jupyter JSON (nbformat 4.5), without outputs; what stands before the first cell is left out."""
    cells = [cell(number, text) for number, text in enumerate(f"\n{script}".split(f"\n{MARK}")[1:])]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def cell(number: int, text: str) -> dict[str, object]:
    """One cell: the rest of its mark's line, then its source."""
    mark, _, source = text.partition("\n")
    lines = source.strip("\n").splitlines(keepends=True)
    if mark.strip() == MARKDOWN:
        plain = [line.removeprefix("#").removeprefix(" ") for line in lines]
        return {"cell_type": "markdown", "id": f"cell-{number}", "metadata": {}, "source": plain}
    code = {"execution_count": None, "outputs": []}
    return {"cell_type": "code", "id": f"cell-{number}", "metadata": {}, **code, "source": lines}


if __name__ == "__main__":
    SCRIPT.with_suffix(".ipynb").write_text(notebook(SCRIPT.read_text(encoding="utf-8")), encoding="utf-8")
