"""A user's own data set, from a file: CSV and Parquet by column, NPZ by array.

Whatever is wrong with the file is one line that names the column and the row. Nothing in a file is executed: pickled
arrays are refused.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qparity.data.dataset import Dataset, OptionError

if TYPE_CHECKING:
    import pandas as pd

KINDS = (".csv", ".npz", ".parquet")
MAX_NUMBERS = 200_000_000
"""The most numbers that a data set may have: 1.6 GB of float64."""
ARRAYS = ("x", "y")


def read_file(path: Path, target: Sequence[str] = (), inputs: Sequence[str] = (), weight: str | None = None) -> Dataset:
    """The data set of a file.

    Args:
        path: `.csv` (a line of names, then a line a sample) or `.parquet`: a column a number; `.npz`: an array of
            inputs (samples, ...) and one of targets (samples, ...).
        target: the columns of the targets, or the name of the targets' array (default: `y`).
        inputs: the columns of the inputs (default: all others), or the name of their array (default: `x`).
        weight: the column, or array (samples,), of each sample's weight in the loss.

    Returns:
        `x` (samples, ...), `y` (samples, outputs...), `weight` as float64, each value one that float32 has too.

    Raises:
        OptionError: of the option `file`, `target`, `inputs` or `weight`, with what was expected.
    """
    if path.suffix.lower() not in KINDS:
        raise OptionError("file", str(path), f"a file that ends in {', '.join(KINDS)}")
    if not path.is_file():
        raise OptionError("file", str(path), "a file that is there")
    if path.suffix.lower() == ".npz":
        x, y, w = _arrays(path, target, inputs, weight)
    else:
        x, y, w = _columns(path, target, inputs, weight)
    if not len(x):
        raise OptionError("file", str(path), "at least one sample")
    if len(x) != len(y):
        raise OptionError("file", str(path), f"as many targets as samples: {len(x)} samples, {len(y)} targets")
    if w is not None and w.shape not in ((len(x),), (len(x), 1)):
        raise OptionError("weight", weight, f"a number a sample: {len(x)} samples, weights of shape {w.shape}")
    w = None if w is None else single(w, "weights", path).reshape(-1)
    return Dataset(single(x, "inputs", path), single(y, "targets", path), w)


def single(array: np.ndarray, what: str, path: object) -> np.ndarray:
    """The numbers as float32 has them, as float64, in a shape of at least (samples, 1).

    Raises:
        OptionError: they are no real numbers, not finite, or too large for float32.
    """
    if array.dtype.kind not in "biuf":
        raise OptionError("file", str(path), f"real numbers as {what}, got {array.dtype}")
    if array.size > MAX_NUMBERS:
        raise OptionError("file", str(path), f"at most {MAX_NUMBERS} numbers as {what}, got {array.size}")
    with np.errstate(over="ignore"):
        rounded = np.asarray(array, dtype=np.float32).astype(np.float64)
    if not np.isfinite(rounded).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(rounded))[0])
        raise OptionError("file", str(path), f"finite float32 numbers, got {array[place]} at {what}{list(place)}")
    return rounded if rounded.ndim > 1 else rounded.reshape(len(rounded), -1)


Read = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _arrays(path: Path, target: Sequence[str], inputs: Sequence[str], weight: str | None) -> Read:
    names = [one[0] if one else usual for one, usual in zip((inputs, target), ARRAYS, strict=True)]
    wanted = {"inputs": names[0], "target": names[1]} | ({"weight": weight} if weight else {})
    for option, given in (("inputs", inputs), ("target", target)):
        if len(given) > 1:
            raise OptionError(option, list(given), "one array of an .npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {each.filename.removesuffix(".npy"): each.file_size for each in archive.infolist()}
        for option, name in wanted.items():
            if name not in members:
                raise OptionError(option, name, _one_of("an array", name, list(members)))
            if members[name] > 8 * MAX_NUMBERS:
                raise OptionError("file", str(path), f"arrays of at most {8 * MAX_NUMBERS} bytes")
        with np.load(path, allow_pickle=False) as archive:
            x, y, *w = (archive[name] for name in wanted.values())
    except OptionError:
        raise
    except (OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile) as error:
        raise OptionError("file", str(path), f"an .npz file: {_line(error)}") from None
    if not x.ndim or not y.ndim:
        raise OptionError("file", str(path), "arrays of at least one dimension, the samples")
    return x, y, w[0] if w else None


def _columns(path: Path, target: Sequence[str], inputs: Sequence[str], weight: str | None) -> Read:
    table = _table(path)
    known = [str(column) for column in table.columns]
    table.columns = known
    if not target:
        raise OptionError("target", list(target), f"the columns of the targets, of {', '.join(known[:20])}")
    if doubled := {name for name in known if known.count(name) > 1}:
        raise OptionError("file", str(path), f"columns of different names: {min(doubled)} is there twice")
    weights = [weight] if weight else []
    for option, names in (("target", target), ("inputs", inputs), ("weight", weights)):
        for name in names:
            if name not in known:
                raise OptionError(option, name, _one_of("a column", name, known))
    chosen = list(inputs) or [name for name in known if name not in (*target, *weights)]
    if not chosen:
        raise OptionError("target", list(target), "at least one column left for the inputs")
    offset = 2 if path.suffix.lower() == ".csv" else 1  # a line of names, and lines count from one
    x, y = (_numbers(table, names, path, offset) for names in (chosen, list(target)))
    return x, y, _numbers(table, weights, path, offset) if weights else None


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix.lower() == ".csv":
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # lines longer than the line of names
                return pd.read_csv(path, skipinitialspace=True, index_col=False)
        return pd.read_parquet(path)
    except ImportError:
        raise OptionError("file", str(path), "the package pyarrow, which reads .parquet files") from None
    except Exception as error:  # what a parser says of a broken file has no base class of its own
        raise OptionError("file", str(path), f"a {path.suffix} file: {_line(error)}") from None


def _numbers(table: pd.DataFrame, names: list[str], path: Path, offset: int) -> np.ndarray:
    """The columns as numbers, (samples, columns); the first cell that is none is named."""
    import pandas as pd

    columns: list[Any] = []
    for name in names:
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = np.flatnonzero(~np.isfinite(np.asarray(numbers, dtype=np.float64)))
        if len(wrong):
            row = int(wrong[0])
            place = f"column {name}, {'line' if offset == 2 else 'row'} {row + offset}"
            raise OptionError("file", str(path), f"a finite number in {place}, got {table[name].iloc[row]!r:.40}")
        columns.append(np.asarray(numbers, dtype=np.float64))
    return np.stack(columns, axis=1)


def _one_of(what: str, given: str, names: Sequence[str]) -> str:
    close = get_close_matches(given, names, 1)
    return f"{what} of it: {', '.join(names[:20])}" + (f" (did you mean {close[0]}?)" if close else "")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
