"""Mangled data files and training scripts: a data set or a training, or one line; nothing else of a folder is run."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from qparity.runner.capture import CaptureError, load_all
from qparity.scenario.errors import ScenarioError
from qparity.scenario.own_data import read_own, with_file_read
from qparity.scenario.validate import validate

# Data files

COLUMNS = ["x0", "x1", "label", "x0 ", "", "1", "\x1b[2J", "wéight", "a,b", "\u202e"]
CELLS = st.sampled_from(
    ["1", "0.5", "-2e3", "1e39", "nan", "inf", "", "one", "0x10", '"', "1_000", "1,5", "\u0661", " 3"]
)
TABLES = st.tuples(
    st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4),
    st.lists(st.lists(st.floats(-3, 3).map(repr) | CELLS, min_size=1, max_size=5), max_size=6),
    st.sampled_from([",", ";", "\t", ", "]),
    st.sampled_from(["utf-8", "utf-16", "latin-1"]),
)
ARRAYS = st.dictionaries(
    st.sampled_from(["x", "y", "w", "data"]),
    st.tuples(
        st.lists(st.integers(0, 4), max_size=4),
        st.sampled_from(["f8", "f4", "i2", "u1", "?", "c16", "U3", "M8[s]", "O", "S2"]),
        st.sampled_from([0, 1, 1e300, float("nan")]),
    ),
    max_size=3,
)
CUTS = st.lists(st.tuples(st.integers(0), st.integers(0, 40), st.binary(max_size=6)), max_size=2)
SUFFIXES = st.sampled_from([".csv", ".csv", ".npz", ".parquet", ".CSV", ".txt"])
NAMES = st.none() | st.lists(st.sampled_from([*COLUMNS, "y", "w"]), min_size=1, max_size=2)
DATA_FILES = st.tuples(SUFFIXES, TABLES, ARRAYS, CUTS, NAMES, NAMES, st.none() | st.sampled_from(["x1", "w", "no"]))


def check_data_file(value: tuple[Any, ...], folder: Path) -> None:
    """Written, mangled, and read as a scenario reads it."""
    suffix, table, arrays, cuts, target, inputs, weight = value
    content = _content(suffix.lower(), table, arrays)
    for at, length, piece in cuts:
        start = at % (len(content) + 1)
        content = content[:start] + piece + content[start + length :]
    path = folder / f"mine{suffix}"
    path.write_bytes(content)
    data = {"file": path.name, "target": target, "inputs": inputs, "weight": weight}
    try:
        given = {key: each for key, each in data.items() if each is not None}
        scenario = with_file_read(validate({"name": "mine", "data": given}), folder)
        found = read_own(scenario.data, folder)
    except ScenarioError as error:
        _one_line(error)
        return
    assert len(found.x) == len(found.y) == scenario.data.samples > 0
    assert np.isfinite(found.x).all()
    assert np.isfinite(found.y).all()


def _content(suffix: str, table: tuple[Any, ...], arrays: dict[str, Any]) -> bytes:
    names, rows, separator, encoding = table
    stream = io.BytesIO()
    if suffix == ".npz":
        with contextlib.suppress(ValueError):  # NaN is no date
            np.savez(
                stream, **{name: np.full(shape, value).astype(kind) for name, (shape, kind, value) in arrays.items()}
            )
    elif suffix == ".parquet":
        columns = {f"{name}{k}" if k else name: [row[k % len(row)] for row in rows] for k, name in enumerate(names)}
        with contextlib.suppress(ImportError):
            pd.DataFrame(columns).to_parquet(stream)
    else:
        lines = [separator.join(names), *(separator.join(row) for row in rows)]
        return "\n".join(lines).encode(encoding, errors="replace")
    return stream.getvalue()


# Scripts

SENTINEL = "neighbour was run"
NEIGHBOUR = f"import pathlib\npathlib.Path(__file__).with_name('ran').write_text({SENTINEL!r})\n"
SCRIPT = """\
import numpy as np
import keras
{before}
x = {x}
y = {y}
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense({units})])
{middle}
model.compile({compiled})
{last}
model.fit({given})
"""
STATEMENTS = [
    "", "", "", "raise ValueError('no\\n\\x1b[2Jluck')", "import sys; sys.exit(3)", "import nothing_of_that_name",
    "1 / 0", "raise SystemExit('done')", "import os; os._exit(5)", "x = x[:1]", "keras.config.set_floatx('float16')",
    "def f(:", "keras.config.set_backend('jax')", "raise KeyboardInterrupt", "print('\\x1b[31m' * 3)", "del model",
    "class E(Exception):\n    __str__ = None\nraise E()", "raise Exception", "import os; os.abort()", "return 3",
    "model.trainable = False", "keras.backend.clear_session()", "\0", "\ufeff", "model.fit = None", "await x",
    "import threading; threading.Thread(target=print).start()", "import os; os.environ.clear(); os.chdir('/')",
    "keras.Model.fit = lambda *a, **k: None", "x = x * float('nan')",
]  # fmt: skip
XS = [
    "np.ones((6, 2))", "np.ones((6, 2))", "np.ones((6, 3))", "[[1, 2]] * 4", "None", "'x'", "np.ones((0, 2))",
    "np.ones((3, 2), 'c8')", "{}", "iter([])",
]  # fmt: skip
YS = [
    "np.ones((6, 1))", "np.ones(6)", "np.ones((5, 1))", "None", "['a'] * 6", "np.full((6, 1), 1e300)",
    "np.ones((6, 1), object)",
]  # fmt: skip
COMPILED = [
    "'adam', 'mse'", "loss='mse'", "'sgd', 'no_such_loss'", "'no_such_optimizer', 'mse'", "'adam'", "", "3, 4",
    "keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e300, 1, 2.0)), 'mse'",
    "'adam', ['mse', 'mae']", "'adam', lambda y, f: y", "'adam', 'mse', metrics=['no_such_metric']",
    "keras.optimizers.SGD(float('nan')), 'mse'",
]  # fmt: skip
GIVEN = [
    "x, y", "x, y", "x, y, epochs=2, batch_size=4", "x", "", "x, y, batch_size=0", "x, y, epochs=-1", "y, x",
    "x, y, batch_size='a'", "x, y, epochs=0", "x, y, sample_weight=[1]", "x, y, class_weight={0: 'a'}",
    "x, y, validation_split=2.0", "x, y, steps_per_epoch=10**9", "x, y, no_such_argument=1",
    "((x, y) for _ in range(2))", "x, y, initial_epoch=7", "x=x, y=y, shuffle='maybe'", "*[x] * 30",
]  # fmt: skip
SCRIPTS = st.tuples(
    st.sampled_from(STATEMENTS), st.sampled_from(XS), st.sampled_from(YS), st.sampled_from(["1", "0", "2", "'a'"]),
    st.sampled_from(STATEMENTS), st.sampled_from(COMPILED), st.sampled_from(STATEMENTS), st.sampled_from(GIVEN),
    st.none() | st.tuples(st.integers(0), st.integers(0, 12), st.text(max_size=4)),
)  # fmt: skip


def check_script(value: tuple[Any, ...], folder: Path) -> None:
    """Run up to its fit in a worker, as `qparity run mine.py` does."""
    before, x, y, units, middle, compiled, last, given, cut = value
    parts = {"before": before, "middle": middle, "last": last, "compiled": compiled, "given": given}
    text = SCRIPT.format(x=x, y=y, units=units, **parts)
    if cut:
        at, length, piece = cut
        start = at % (len(text) + 1)
        text = text[:start] + piece + text[start + length :]
    (folder / "other.py").write_text(NEIGHBOUR)
    (folder / "mine.py").write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        (block,) = load_all([folder / "mine.py"], None, ["torch"])
    except (CaptureError, ScenarioError) as error:
        _one_line(error)
    else:
        assert block.scenario.script is not None
        assert block.given is not None
    assert not (folder / "ran").exists(), "a module beside the script was run"


def _one_line(error: Exception) -> None:
    assert str(error).strip()
    assert str(error).isprintable(), repr(str(error))
