"""Messages survive the pipe bit for bit, and garbage never does."""

import socket

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qparity.worker.protocol import Channel, Message, ProtocolError, decode_header, digest, encode, header_length

ARRAYS = hnp.arrays(
    st.sampled_from(["<f4", "<f8", "<c16", "<i8", "|b1", "|u1"]).map(np.dtype), hnp.array_shapes(min_dims=0, min_side=0)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


def through_socket(message: Message) -> Message:
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(5)
        right.settimeout(5)
        Channel(left).send(message.kind, message.body, message.arrays)
        received = Channel(right).receive()
    assert received is not None
    return received


@given(st.text(), st.dictionaries(st.text(), JSON, max_size=3), st.dictionaries(st.text(), ARRAYS, max_size=3))
def test_a_message_comes_out_as_it_went_in(kind, body, arrays):
    received = through_socket(Message(kind, body, arrays))
    assert (received.kind, received.body, list(received.arrays)) == (kind, body, list(arrays))
    for name, array in arrays.items():
        assert received.arrays[name].dtype == array.dtype
        assert received.arrays[name].shape == array.shape
        assert received.arrays[name].tobytes() == array.tobytes()


def test_the_end_of_the_pipe_is_none_even_in_the_middle_of_a_message():
    data = b"".join(bytes(b) for b in encode(Message("audit", {}, {"x": np.arange(100.0)})))
    for cut in (0, 4, 9, len(data) // 2, len(data) - 1):
        left, right = socket.socketpair()
        with right:
            left.sendall(data[:cut])
            left.close()
            assert Channel(right).receive() is None


@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error(data):
    with pytest.raises(ProtocolError):
        decode_header(data)


def test_lengths_and_object_arrays_are_refused():
    with pytest.raises(ProtocolError):
        header_length(b"\xff" * 8)
    with pytest.raises(ProtocolError):
        decode_header(b'{"kind": "x", "body": {}, "arrays": [["a", "|O", [1]]]}')
    with pytest.raises(ProtocolError):
        decode_header(b'{"kind": "x", "body": {}, "arrays": [["a", "<f8", [-1]]]}')


def test_digest_is_of_the_numbers_not_of_their_layout():
    array = np.arange(6, dtype="<f8").reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.astype(">f8"))
    assert digest(array) != digest(array.T)
