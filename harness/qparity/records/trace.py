"""The arrays that were recorded of a training (docs/architecture.md, "Trace"), with a name for each there is one of.

What there is one of for each weight, variable or layer has its number in its name (`weights/0`), and is an entry.
"""

from __future__ import annotations

from typing import Self, overload

import numpy as np


class Column:
    """An array of a trace: `trace.name` is the array (KeyError where there is none), `Trace.name` the column."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, trace: None, owner: type) -> Self: ...
    @overload
    def __get__(self, trace: Trace, owner: type) -> np.ndarray: ...
    def __get__(self, trace: Trace | None, owner: type) -> np.ndarray | Self:
        return self if trace is None else trace[self.name]


class Trace(dict[str, np.ndarray]):
    """Arrays by their names."""

    offsets = Column()
    batch_index = Column()
    x = Column()
    y = Column()
    sample_weight = Column()
    predictions = Column()
    sample_loss = Column()
    loss = Column()
    extra_loss = Column()
    learning_rate = Column()
    iterations = Column()
    hessian_steps = Column()
    reference_steps = Column()
    reference_predictions = Column()
    reference_predictions_condition = Column()
    reference_loss = Column()
    reference_loss_condition = Column()
    reference_slopes = Column()
    reference_slopes_condition = Column()
    reference_slopes_error = Column()
    reference_cotangents_condition = Column()

    def find(self, column: Column) -> np.ndarray | None:
        """A column that may be missing."""
        return self.get(column.name)

    def of_juror(self, backend: str) -> Trace:
        """What a juror said, `jury_<backend>_<name>`, by the rest of its names."""
        prefix = f"jury_{backend}_"
        return Trace({name.removeprefix(prefix): array for name, array in self.items() if name.startswith(prefix)})

    def numbered(self, kind: str) -> list[np.ndarray]:
        """The arrays `<kind>/0`, `<kind>/1` and so on, as far as they go without a gap (the store refuses one)."""
        found: list[np.ndarray] = []
        while (array := self.get(f"{kind}/{len(found)}")) is not None:
            found.append(array)
        return found
