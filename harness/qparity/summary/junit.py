"""JUnit XML: a test suite a scenario, a test case a cell; what is known of one stands in its output."""

import re
from xml.etree import ElementTree

from qparity.scenario.text import printable_lines
from qparity.summary.view import CellView, RunView

# XML 1.0 has no way at all to write these characters
_ILLEGAL = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(view: RunView) -> str:
    """`failure`: an unexpected verdict; `error`: a cell that did not finish; `skipped`: no verdict."""
    root = ElementTree.Element("testsuites", {"name": "qparity", **_tally(view.cells, view.problems)})
    for scenario in view.scenarios:
        cells = tuple(cell for cell in (view.cell(scenario, variant) for variant in view.variants) if cell)
        suite = ElementTree.SubElement(root, "testsuite", {"name": _legal(scenario), **_tally(cells)})
        for cell in cells:
            _case(suite, cell)
    if view.problems:
        gate = ElementTree.SubElement(root, "testsuite", {"name": "gate", **_tally((), view.problems)})
        for number, problem in enumerate(view.problems, start=1):
            case = ElementTree.SubElement(gate, "testcase", classname="gate", name=f"problem {number}", time="0")
            ElementTree.SubElement(case, "failure", message=_legal(problem))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, cell: CellView) -> None:
    time = f"{cell.phases.get('audit_s', 0.0):.3f}"
    case = ElementTree.SubElement(
        suite, "testcase", classname=_legal(cell.scenario), name=_legal(cell.variant), time=time
    )
    kind = {"fail": "failure", "error": "error", "uncompared": "skipped", "unsupported": "skipped"}.get(cell.mark)
    if kind is not None:
        entry = ElementTree.SubElement(case, kind, message=_legal(cell.line))
        if kind != "skipped":
            entry.set("type", _legal(cell.verdict or cell.status))
            entry.text = _legal("\n".join(line for line in (cell.line, cell.where, cell.reproduce, cell.log) if line))
    if cell.known:
        known = (cell.line, f"known: {cell.known}", cell.link)
        ElementTree.SubElement(case, "system-out").text = _legal("\n".join(line for line in known if line))


def _tally(cells: tuple[CellView, ...], problems: tuple[str, ...] = ()) -> dict[str, str]:
    marks = [cell.mark for cell in cells]
    return {
        "tests": str(len(marks) + len(problems)),
        "failures": str(marks.count("fail") + len(problems)),
        "errors": str(marks.count("error")),
        "skipped": str(marks.count("uncompared") + marks.count("unsupported")),
    }


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", printable_lines(text))
