"""What is read of an archive's directory is what `zipfile` reads of it, whatever bytes it has."""

import io
import random
import zipfile

import numpy as np
import pytest

from qparity.store import directory
from qparity.store.traces import to_bytes

ARRAYS = {"loss": np.arange(3.0), "weights/0": np.zeros((3, 2)), "offsets": np.arange(4)}


def by_zipfile(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [tuple(getattr(each, name) for name in directory.Member._fields) for each in archive.infolist()]


def test_a_trace_is_read_without_zipfile(monkeypatch):
    content = to_bytes(ARRAYS)
    expected = by_zipfile(content)
    monkeypatch.setattr(directory.zipfile, "ZipFile", None)
    assert directory.members(content) == expected
    assert [filename for filename, *_ in expected] == [f"{name}.npy" for name in ARRAYS]


def test_changed_bytes_are_never_read_as_something_else():
    content, rng, plain = to_bytes(ARRAYS), random.Random(0), 0
    for _ in range(5000):
        changed = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 4])):
            changed[-1 - int(rng.expovariate(1 / 150)) % len(changed)] = rng.choice([0, 1, 255, rng.randrange(256)])
        changed += bytes(rng.choice([0, 0, 0, 5]))
        found = directory._plain(bytes(changed))
        if found is not None:
            plain += 1
            assert found == by_zipfile(bytes(changed))
    assert 500 < plain < 4500


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\5\6" + bytes(17), b"no archive at all" * 9])
def test_what_is_no_archive(content):
    with pytest.raises(ValueError, match="is no archive of arrays"):
        directory.members(content)


def test_a_comment_is_left_to_zipfile():
    buffer = io.BytesIO(to_bytes(ARRAYS))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"why not"
    assert directory._plain(buffer.getvalue()) is None
    assert directory.members(buffer.getvalue()) == by_zipfile(buffer.getvalue())
