"""What a sweep will do: blocks of cells with their ids, and where users' modules are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qparity import records
from qparity.scenario.identity import cell_id, search_path, source_hash
from qparity.scenario.load import Block as LoadedBlock
from qparity.scenario.own_data import Given
from qparity.scenario.registry import GPU_DEVICES
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario on one variant."""

    id: str
    scenario: Scenario
    variant: Variant

    @property
    def on_gpu(self) -> bool:
        """Whether the framework runs on a GPU, or the simulator does by itself."""
        return self.variant.accelerator == "gpu" or self.scenario.device in GPU_DEVICES


@dataclass(frozen=True, slots=True)
class Block:
    """One scenario with all its variants: what is scheduled on one machine."""

    scenario: Scenario
    cells: tuple[Cell, ...]
    search_path: tuple[str, ...]
    source: str
    source_sha256: str = ""
    """Of the file that the circuit or model is in: what is trained is the scenario and this."""
    given: Given | None = None
    """Data, and the start of a model, that the user's own code gave."""
    variants: tuple[Variant, ...] = ()
    """Those of all its cells, also where `cells` are only what is left of them."""

    def __post_init__(self) -> None:
        if not self.variants:
            object.__setattr__(self, "variants", tuple(cell.variant for cell in self.cells))

    def planned(self) -> records.Block:
        """The block as the plan of a run has it."""
        cells = tuple(records.PlannedCell(cell.id, str(cell.variant)) for cell in self.cells)
        return records.Block(self.scenario, cells, self.source, self.source_sha256, self.search_path)


def make_blocks(loaded: Sequence[LoadedBlock]) -> list[Block]:
    """The blocks of loaded scenario files, with the id of every cell."""
    blocks = []
    for each in loaded:
        folders = search_path(each.file.parent)
        source_sha256 = source_hash(each.scenario, folders)
        cells = tuple(Cell(cell_id(each.scenario, v, source_sha256), each.scenario, v) for v in each.variants)
        blocks.append(
            Block(each.scenario, cells, tuple(map(str, folders[:2])), str(each.file), source_sha256, each.given)
        )
    return blocks


def to_plan(blocks: Sequence[Block]) -> records.Plan:
    """The plan as a run keeps it."""
    return records.Plan(tuple(block.planned() for block in blocks), tuple(sorted({block.source for block in blocks})))


def blocks_of_shard(blocks: Sequence[Block], shard: str) -> list[Block]:
    """Every n-th block, from `i/n` with i from 1: one part of a run that `merge` joins again.

    Raises:
        ValueError: if `shard` is not i/n with 1 <= i <= n.
    """
    number, _, count = shard.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise ValueError(f"--shard = {shard!r}: expected i/n with 1 <= i <= n")
    return list(blocks[int(number) - 1 :: int(count)])
