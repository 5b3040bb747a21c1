"""Users' own data files: what is read of them, and the one line where something is wrong."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qparity.data import OptionError, read_file


def test_columns_become_inputs_and_targets(tmp_path):
    file = tmp_path / "d.csv"
    file.write_text("a, b, label\n0.1, 2, 0\n3, 4, 1\n")
    found = read_file(file, ["label"])
    assert np.array_equal(found.x, np.float32([[0.1, 2], [3, 4]]).astype(np.float64))
    assert np.array_equal(found.y, [[0], [1]])
    assert np.array_equal(read_file(file, ["label", "a"], ["b"]).x, [[2], [4]])


def test_a_column_or_array_of_weights_is_no_input(tmp_path):
    (tmp_path / "d.csv").write_text("a,share,label\n0.5,2,0\n3,0.25,1\n")
    found = read_file(tmp_path / "d.csv", ["label"], weight="share")
    assert (found.x.tolist(), found.weight.tolist()) == ([[0.5], [3]], [2, 0.25])
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 3)), y=np.zeros(2), w=np.array([1, 3]), wide=np.zeros((2, 2)))
    assert read_file(tmp_path / "d.npz", weight="w").first(1).weight.tolist() == [1]
    for name, told in (("wide", "a number a sample"), ("none", "an array of it")):
        with pytest.raises(OptionError, match=told) as raised:
            read_file(tmp_path / "d.npz", weight=name)
        assert raised.value.option == "weight"


def test_arrays_keep_their_shape(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.arange(24, dtype=np.uint8).reshape(2, 3, 4), y=np.arange(2), z=np.ones((2, 5)))
    found = read_file(tmp_path / "d.npz")
    assert (found.x.shape, found.y.shape) == ((2, 3, 4), (2, 1))
    assert read_file(tmp_path / "d.npz", ["z"], ["y"]).y.shape == (2, 5)


@pytest.mark.parametrize(
    ("text", "target", "told"),
    [
        ("a,label\n1,0\nx,1\n", ["label"], "column a, line 3"),
        ("a,label\n1,0\n,1\n", ["label"], "column a, line 3"),
        ("a,label\n1,0\n1e60,1\n", ["label"], "float32"),
        ("a,label\n1,0\n", ["lable"], "did you mean label"),
        ("a,label\n1,0\n", [], "the columns of the targets, of a, label"),
        ("a,label\n1,0\n", ["a", "label"], "at least one column"),
        ("a,label\n", ["label"], "at least one sample"),
        ("", ["label"], ".csv file"),
        ("a,b\n1,2,3\n1,2,3,4\n", ["a"], "line 3"),
        ("a,b\n1,2,3\n", ["a"], ".csv file"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path, text, target, told):
    file = tmp_path / "d.csv"
    file.write_text(text)
    with pytest.raises(OptionError) as raised:
        read_file(file, target)
    assert told in raised.value.expected
    assert "\n" not in str(raised.value)


def test_a_file_never_runs_anything(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.array([print], dtype=object), y=np.zeros(1))
    with pytest.raises(OptionError):
        read_file(tmp_path / "d.npz")


@pytest.mark.parametrize("name", ["d.txt", "absent.csv", "absent.npz"])
def test_what_is_no_data_file_is_said_to_be_none(tmp_path, name):
    (tmp_path / "d.txt").write_text("1")
    with pytest.raises(OptionError) as raised:
        read_file(tmp_path / name, ["a"])
    assert raised.value.option == "file"


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELLS = st.text("0123456789.,-e\n\"' abN;\t\x00é", max_size=60)


@SETTINGS
@given(CELLS)
def test_any_table_is_read_or_refused(tmp_path, text):
    file = tmp_path / "d.csv"
    file.write_text("a,b\n" + text, encoding="utf-8")
    _read_or_refused(file, ["b"])


@SETTINGS
@given(st.integers(0, 10**6), st.binary(max_size=4))
def test_any_damaged_array_file_is_read_or_refused(tmp_path, place, patch):
    content = io.BytesIO()
    np.savez(content, x=np.ones((3, 2)), y=np.ones(3))
    whole = bytearray(content.getvalue())
    at = place % len(whole)
    whole[at : at + len(patch)] = patch
    file = tmp_path / "d.npz"
    file.write_bytes(bytes(whole))
    _read_or_refused(file, [])


def test_an_encrypted_archive_is_refused(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.ones((3, 2)), y=np.ones(3))
    content = bytearray((tmp_path / "d.npz").read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "d.npz").write_bytes(bytes(content))
    with pytest.raises(OptionError, match="encrypted"):
        read_file(tmp_path / "d.npz")


def _read_or_refused(file, target):
    told = ""
    try:
        found = read_file(file, target)
    except OptionError as error:
        told = str(error)
    else:
        assert np.isfinite(found.x).all()
        assert len(found.x) == len(found.y)
    assert "\n" not in told
