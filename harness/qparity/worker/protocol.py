"""Messages between parent and worker: a JSON header and raw array bytes over a private socket. Never pickle.

A frame is `length of header (8 bytes, little endian) | header JSON | arrays one after another`. The header's
`arrays` lists `[name, dtype, shape]` in the order of the bytes. Both sides of the pipe share only this file,
which therefore imports nothing but NumPy.
"""

from __future__ import annotations

import hashlib
import math
import os
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from json import dumps, loads

import numpy as np

LENGTH = struct.Struct("<Q")
MAX_HEADER = 64 * 2**20
MAX_ARRAY = 2**34


class ProtocolError(RuntimeError):
    """A frame that cannot be one: the peer is not ours, or wrote garbage into the pipe."""


@dataclass(frozen=True)
class Message:
    """`kind` says what is asked or answered, `body` is JSON, `arrays` are NumPy arrays by name."""

    kind: str
    body: Mapping[str, object] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def encode(message: Message) -> list[bytes | memoryview]:
    """The message as buffers to write one after another."""
    arrays = {name: np.asarray(a, order="C") for name, a in message.arrays.items()}
    listing = [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()]
    header = dumps({"kind": message.kind, "body": message.body, "arrays": listing}).encode()
    return [LENGTH.pack(len(header)), header, *(a.reshape(-1).view(np.uint8).data for a in arrays.values() if a.size)]


def decode_header(data: bytes) -> tuple[str, dict[str, object], list[tuple[str, np.dtype, tuple[int, ...], int]]]:
    """(kind, body, [(name, dtype, shape, bytes)]) of a header.

    Raises:
        ProtocolError: on anything that is not a header of ours.
    """
    try:
        header = loads(data)
        listing = []
        for name, code, shape in header["arrays"]:
            dtype = np.dtype(code)
            if dtype.hasobject:
                raise ProtocolError("object arrays are not carried")
            size = math.prod(int(n) for n in shape) * dtype.itemsize
            if not 0 <= size <= MAX_ARRAY:
                raise ProtocolError(f"array of {size} bytes")
            listing.append((str(name), dtype, tuple(int(n) for n in shape), size))
        return str(header["kind"]), dict(header["body"]), listing
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"not a message: {error}") from error


def header_length(data: bytes) -> int:
    """The header's length from the first 8 bytes of a frame."""
    (length,) = LENGTH.unpack(data)
    if length > MAX_HEADER:
        raise ProtocolError(f"header of {length} bytes")
    return int(length)


def to_array(data: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """The bytes as an array that owns its memory."""
    return np.frombuffer(data, dtype=dtype).reshape(shape).copy()


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's raw little-endian bytes in C order: how both sides say that they hold the same numbers."""
    array = np.ascontiguousarray(array)
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()).hexdigest()


class Channel:
    """Blocking messages over a socket; the worker's side. EOF is `None`. `waited_s` is spent in `receive` so far.

    It is that of one process: a copy that the code under test has forked ends where it would speak or listen.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.waited_s = 0.0
        self._owner = os.getpid()

    def send(
        self, kind: str, body: Mapping[str, object] | None = None, arrays: dict[str, np.ndarray] | None = None
    ) -> None:
        """Write one message."""
        self._end_a_copy()
        for buffer in encode(Message(kind, body or {}, arrays or {})):
            self.sock.sendall(buffer)

    def receive(self) -> Message | None:
        """The next message, or None when the peer has closed."""
        self._end_a_copy()
        start = time.perf_counter()
        try:
            return self._receive()
        finally:
            self.waited_s += time.perf_counter() - start

    def _end_a_copy(self) -> None:
        if os.getpid() != self._owner:
            os._exit(1)

    def _receive(self) -> Message | None:
        head = self._read(LENGTH.size)
        if head is None:
            return None
        data = self._read(header_length(head))
        if data is None:
            return None
        kind, body, listing = decode_header(data)
        arrays = {}
        for name, dtype, shape, size in listing:
            raw = self._read(size)
            if raw is None:
                return None
            arrays[name] = to_array(raw, dtype, shape)
        return Message(kind, body, arrays)

    def _read(self, count: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < count:
            part = self.sock.recv(min(count - len(parts), 1 << 20))
            if not part:
                return None
            parts += part
        return bytes(parts)
