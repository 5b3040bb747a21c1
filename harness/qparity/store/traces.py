"""The arrays of a trace as the bytes of a NumPy archive (`.npz`): written plainly, read with suspicion.

What an archive says of itself is checked before anything is made of it: members stand uncompressed and whole in the
file, so that no more can come out of it than its size, and an array is as long as its bytes. Then shapes must be those
of docs/architecture.md, so that one odd trace is one odd cell.
"""

import io
import struct
import zipfile
from collections.abc import Collection, Mapping
from functools import lru_cache
from math import prod
from re import compile as pattern

import numpy as np
import psutil

from qparity.records import Resolved
from qparity.records.trace import Trace
from qparity.scenario.schema import DATA, SAMPLE_WEIGHT, Scenario
from qparity.store.directory import Member, members

# Generous: a plain trace has a thousandth of it for its rows, and holds each weight seven times a step.
LEAST_BYTES = 1 << 26
NUMBERS_A_ROW, COPIES_OF_A_WEIGHT = 64, 16
MOST_WIRES = 16
"""Outputs of a row are at most the amplitudes of as many wires as the oracle takes."""

MUCH = 1 << 30
"""What claims to need more than this is read only into memory that is free."""

_NAME = pattern(r"[a-z_]{1,40}(/(0|[1-9]\d{0,5})(/[a-z_]{1,40})?)?\.npy")
_STEPS = pattern(r"(reference|jury_[a-z_]+)_steps")
_KINDS = "fiub"
_LOCAL = struct.Struct("<4s22xHH")
_BY_STEP = ("loss", "learning_rate", "iterations", "weights", "gradients", "new_weights", "slots")
_A_NUMBER_A_STEP = ("loss", "learning_rate", "iterations")
_OF_WEIGHTS = ("gradients", "new_weights")
_OF_ONE_WEIGHT = ("final_weights", "fit_spread")
"""In the shape of the weight, which may be that of a single number."""


def to_bytes(trace: Mapping[str, np.ndarray]) -> bytes:
    """The arrays as an archive. Raises `ValueError` for an array of objects."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **trace)
    return buffer.getvalue()


def most_bytes(scenario: Scenario, resolved: Resolved) -> int:
    """How large the trace of a planned training can be, in bytes; an archive that is larger need not be read."""
    training, samples = scenario.training, scenario.data.samples
    weights = sum(prod(each.shape) for each in (*resolved.weights, *resolved.state))
    rows = (training.epochs * samples + samples) * NUMBERS_A_ROW * 2 ** min(scenario.wires, MOST_WIRES)
    needed = LEAST_BYTES + 8 * (scenario.steps * COPIES_OF_A_WEIGHT * (weights + 1) + rows)
    return needed if needed <= MUCH else min(needed, max(MUCH, psutil.virtual_memory().available // 2))


def from_bytes(content: bytes, only: Collection[str] | None = None) -> Trace:
    """The arrays of an archive in their native dtypes, `only` these; every one of them has been looked at.

    Raises:
        ValueError: it is not the archive of a trace; one line.
    """
    listed = members(content)
    if len({member.filename for member in listed}) < len(listed):
        raise ValueError("has an array twice")
    if sum(member.file_size for member in listed) > len(content):
        raise ValueError("claims more than it holds")
    found = Trace()
    for member in listed:
        if not _NAME.fullmatch(member.filename):
            raise ValueError(f"has an array named {member.filename!r:.40}")
        name = member.filename.removesuffix(".npy")
        found[name] = _array(name, _stored(content, member, name))
    if fault := odd(found):
        raise ValueError(fault)
    return Trace({name: array.copy() for name, array in found.items() if only is None or name in only})


def odd(trace: Trace) -> str | None:
    """What is not as docs/architecture.md says in the shapes of a trace; one line, or None."""
    for kind in ("weights", *_OF_WEIGHTS):
        count = sum(name.startswith(f"{kind}/") for name in trace)
        if not all(f"{kind}/{k}" in trace for k in range(count)):
            return f"{kind} are not numbered from 0 on"
    for name in _A_NUMBER_A_STEP:
        if name in trace and trace[name].ndim != 1:
            return f"{name} is not a number a step"
    offsets, loss = trace.find(Trace.offsets), trace.find(Trace.loss)
    if offsets is None:
        return None if loss is None else _odd_step(trace, len(loss))
    if not offsets.size or not _rises(offsets):
        return "offsets are not rising integers from 0 on"
    if fault := _odd_step(trace, len(offsets) - 1):
        return fault
    for name, array in trace.items():
        if not array.ndim and name.partition("/")[0] not in _OF_ONE_WEIGHT:
            return f"{name} is a single number"
        if name.startswith("state/") and len(array) not in (1, len(offsets)):
            return f"{name} has neither one row nor one more than steps"
        if name.startswith("layer_offsets/") and (len(array) != len(offsets) or not _rises(array)):
            return f"{name} are not rising integers from 0 on"
    for k, weights in enumerate(trace.numbered("weights")):
        for name in (f"{kind}/{k}" for kind in _OF_WEIGHTS):
            if name in trace and trace[name].shape != weights.shape:
                return f"{name} has not the shape of the weight"
    for name in (name for name in trace if name.endswith("_steps") and _STEPS.fullmatch(name)):
        chosen = trace[name]
        if (
            chosen.ndim != 1
            or chosen.dtype.kind != "i"
            or not len(chosen)
            or chosen.min() < 0
            or chosen.max() >= len(offsets) - 1
        ):
            return f"{name} are not numbers of steps"
    index, samples = trace.find(Trace.batch_index), {len(trace[name]) for name in DATA if name in trace}
    if len(samples) > 1:
        return "x and y have not as many rows"
    if SAMPLE_WEIGHT in trace and trace[SAMPLE_WEIGHT].ndim != 1:
        return f"{SAMPLE_WEIGHT} is not a number a sample"
    if index is not None:
        inside = index.dtype.kind == "i" and index.shape == (offsets[-1],) and not (index < 0).any()
        if not inside or (samples and (index >= min(samples)).any()):
            return "batch_index is not a row of the data for each row"
    return None


def _rises(offsets: np.ndarray) -> bool:
    """Whether they are integers from 0 on, none of which is below the one before."""
    plain = offsets.ndim == 1 and offsets.dtype.kind == "i" and not offsets[0]
    return bool(plain and (offsets[1:] >= offsets[:-1]).all())


def _odd_step(trace: Trace, steps: int) -> str | None:
    for name, array in trace.items():
        if name.partition("/")[0] in _BY_STEP and (not array.ndim or len(array) != steps):
            return f"{name} has not a row a step"
    return None


def _stored(content: bytes, member: Member, name: str) -> memoryview:
    """The bytes of a member, which stand in the archive as they are."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or member.compress_size != member.file_size:
        raise ValueError(f"{name} is compressed: expected arrays as they are")
    try:
        mark, name_length, extra_length = _LOCAL.unpack_from(content, member.header_offset)
    except struct.error:
        raise ValueError(f"{name} is not whole") from None
    start = member.header_offset + _LOCAL.size + name_length + extra_length
    if mark != b"PK\3\4" or start + member.file_size > len(content):
        raise ValueError(f"{name} is not whole")
    return memoryview(content)[start : start + member.file_size]


def _array(name: str, data: memoryview) -> np.ndarray:
    """An array over the bytes of its file, without a copy."""
    if bytes(data[:6]) != b"\x93NUMPY" or bytes(data[6:8]) not in (b"\1\0", b"\2\0"):
        raise ValueError(f"{name} is no array")
    width = 2 if data[6] == 1 else 4
    start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
    shape, in_columns, dtype = _header(name, bytes(data[6:start])) if start <= len(data) else ((), False, None)
    if dtype is None or prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"{name} has not the bytes that its shape needs")
    flat = np.frombuffer(data, dtype, offset=start)
    return flat.reshape(shape, order="F" if in_columns else "C")


@lru_cache(maxsize=1 << 12)
def _header(name: str, data: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype as an array's header tells them: the same in most traces of a run."""
    read = np.lib.format.read_array_header_1_0 if data[0] == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, in_columns, dtype = read(io.BytesIO(data[2:]))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"{name} has no header of an array") from None
    plain = dtype.kind in _KINDS or dtype == "V2"  # bfloat16, of which NumPy knows the size alone
    if not plain or dtype.itemsize > 16 or any(size < 0 for size in shape):
        raise ValueError(f"{name} is not of numbers")
    return shape, in_columns, dtype
