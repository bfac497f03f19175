"""Records within records, as codec and NumPy see them."""

from typing import Any

import numpy as np
import pytest

from ipc.errors import LayoutError
from ipc.record import Codec, Record, Text, i64, length, numpy_dtype, u8


class Inner(Record):
    """The nested one."""

    word: i64
    label: Text = length(8)
    byte: u8


class Outer(Record):
    """Has it in the middle."""

    before: u8
    inner: Inner
    after: u8


class Twice(Record):
    """Has it twice, so that names would be ambiguous."""

    one: Inner
    other: Inner


def test_the_fields_of_a_nested_record_stand_in_its_place() -> None:
    codec = Codec(Outer)
    assert list(codec.values._fields) == ["before", "word", "label", "byte", "after"]
    raw = codec.encode(before=1, word=-7, label=b"name", byte=3, after=2)
    (values,) = codec.decode_many(raw)
    assert values == (1, -7, b"name\0\0\0\0", 3, 2)
    made = np.frombuffer(raw, dtype=numpy_dtype(Outer))
    assert [made[name][0] for name in ("before", "word", "byte", "after")] == [1, -7, 3, 2]


@pytest.mark.parametrize("derive", [Codec, numpy_dtype])
def test_names_must_be_unambiguous(derive: Any) -> None:
    with pytest.raises(LayoutError, match="two fields are called word"):
        derive(Twice)
