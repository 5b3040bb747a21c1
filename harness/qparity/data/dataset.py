"""What a data set is: features and targets, every value exactly representable in float32.

A data set is a function `name(samples, seed, **options) -> Dataset` in a file of its own. It is pure NumPy
and depends on its arguments alone. Values are rounded through float32, so that a float32 and a float64
program start from the same numbers. The helpers below check options; what they raise names the option.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


class OptionError(ValueError):
    """An option of a data set is wrong: which one, what was given, and what was expected."""

    def __init__(self, option: str, value: object, expected: str) -> None:
        super().__init__(f"data set option {option} = {value!r:.80}: expected {expected}")
        self.option, self.value, self.expected = option, value, expected


@dataclass(frozen=True, slots=True)
class Dataset:
    """Features `x` (samples, features) and targets `y` (samples, outputs), as float64 arrays.

    `weight` (samples,), where there is one, is that of each sample in the loss.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None

    def first(self, samples: int) -> "Dataset":
        """Its first samples."""
        weight = None if self.weight is None else self.weight[:samples]
        return Dataset(self.x[:samples], self.y[:samples], weight)

    def arrays(self) -> "list[NDArray[np.float64]]":
        """All that there is of `x`, `y`, `weight`."""
        return [self.x, self.y] if self.weight is None else [self.x, self.y, self.weight]


def dataset(x: ArrayLike, y: ArrayLike) -> Dataset:
    """Round to float32 values; a vector becomes one column."""
    return Dataset(_rounded(x), _rounded(y))


def generator(seed: int) -> np.random.Generator:
    """The random stream of a seed. The bit generator is named, since NumPy may change its default."""
    return np.random.Generator(np.random.PCG64(seed))


def whole(option: str, value: object, low: int, high: int) -> int:
    """An integer from `low` to `high`, or OptionError. True and False are no integers here."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionError(option, value, f"an integer from {low} to {high}")
    return value


def real(option: str, value: object, low: float, high: float) -> float:
    """A number from `low` to `high`, or OptionError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise OptionError(option, value, f"a number from {low:g} to {high:g}")
    return float(value)


def _rounded(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float32).astype(np.float64)
    return array.reshape(len(array), -1)


def labelled(x: np.ndarray, positive: np.ndarray, labels: str) -> Dataset:
    """A data set of two classes; `positive` (samples,) are those of the second.

    `labels` says how y tells them: `signs` -1 and +1, `classes` 0 and 1, both (samples, 1), or `one-hot` (samples, 2).

    Raises:
        OptionError: another way.
    """
    if labels not in LABELS:
        raise OptionError("labels", labels, f"one of {', '.join(LABELS)}")
    if labels == "one-hot":
        return dataset(x, np.stack([~positive, positive], axis=1).astype(np.float64))
    return dataset(x, np.where(positive, 1.0, -1.0 if labels == "signs" else 0.0))


LABELS = ("signs", "classes", "one-hot")
