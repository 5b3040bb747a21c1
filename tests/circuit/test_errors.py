"""Whether PennyLane itself broke is told by the folder that it was imported from, wherever that is."""

import sys
from types import ModuleType

import pytest

from qparity.circuit.errors import fails_in_pennylane


@pytest.mark.parametrize("where", ["pennylane", "mine"])
def test_code_is_pennylanes_by_the_folder_of_the_package(tmp_path, monkeypatch, where):
    module = tmp_path / where / "math.py"
    module.parent.mkdir()
    module.write_text("def breaks():\n    {}['gone']\n")
    package = ModuleType("pennylane")
    package.__file__ = str(tmp_path / "pennylane" / "__init__.py")
    monkeypatch.setitem(sys.modules, "pennylane", package)
    names = {}
    exec(compile(module.read_text(), str(module), "exec"), names)
    with pytest.raises(KeyError) as error:
        names["breaks"]()
    # the test's own frame is the outermost: PennyLane's is the first that is asked
    assert fails_in_pennylane(error.value) == (where == "pennylane")
