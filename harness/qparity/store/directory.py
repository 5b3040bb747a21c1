"""The directory of a ZIP archive: what it says of its members, which `traces.py` then checks against their bytes.

A directory as NumPy writes it is read here, in a fifth of the time that `zipfile` takes; any other one by that.
"""

import io
import struct
import zipfile
from typing import NamedTuple

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4sxxBxHH8x2L3H8xL")
_NEWEST = 63
"""The version of the format that `zipfile` reads: 6.3."""


class Member(NamedTuple):
    """One entry: how it is stored and where."""

    filename: str
    flag_bits: int
    compress_type: int
    compress_size: int
    file_size: int
    header_offset: int


def members(content: bytes) -> list[Member]:
    """All entries in the order of the directory. Raises `ValueError` where it is none; one line."""
    found = _plain(content)
    if found is not None:
        return found
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [Member(*(getattr(each, name) for name in Member._fields)) for each in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error) as error:
        raise ValueError(f"is no archive of arrays ({error})") from None


def _plain(content: bytes) -> list[Member] | None:
    """The entries of a directory that stands whole at the end of the file, without comments or extensions, or None."""
    stop = len(content) - _END.size
    if stop < 0:
        return None
    mark, *disks, size, start, comment = _END.unpack_from(content, stop)
    if mark != b"PK\5\6" or comment or any(disks[:2]) or start + size != stop:
        return None
    if content[max(0, stop - 20) : stop][:4] == b"PK\6\7":  # the sizes stand elsewhere, in 64 bits
        return None
    found, at = [], start
    while at < stop:
        if at + _ENTRY.size > stop:
            return None
        mark, version, flags, kind, packed, whole, length, extra, comment, offset = _ENTRY.unpack_from(content, at)
        at += _ENTRY.size
        name = content[at : at + length]
        at += length
        if mark != b"PK\1\2" or extra or comment or version > _NEWEST or at > stop:
            return None
        if not name.isascii() or b"\0" in name:
            return None
        found.append(Member(name.decode("ascii"), flags, kind, packed, whole, offset))
    return found
