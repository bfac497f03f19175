"""Records in compiled code: the same fields, the same values as from Python."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipc.jit
from ipc import memory
from ipc.jit import inlined, kernel
from ipc.record import (
    Array,
    Record,
    Ref,
    Text,
    i16,
    i32,
    i64,
    length,
    shared,
    shared_u32,
    u8,
    u16,
    u32,
)

pytestmark = pytest.mark.interpreted
compiled_only = pytest.mark.skipif(ipc.jit.INTERPRETED, reason="about the compiler")

NARROW = {
    "a": (0, 2**8 - 1),
    "b": (0, 2**16 - 1),
    "c": (0, 2**32 - 1),
    "d": (-(2**31), 2**31 - 1),
    "e": (-(2**63), 2**63 - 1),
    "f": (-(2**63), 2**63 - 1),
    "g": (0, 2**32 - 1),
    "h": (-(2**15), 2**15 - 1),
}


class Scalars(Record):
    a: u8
    b: u16
    c: u32
    d: i32
    e: i64
    f: shared
    g: shared_u32
    h: i16


class Leaf(Record):
    value: i64
    small: u16


class Tree(Record, align=64):
    count: u32
    leaf: Leaf
    leaves: Array[Leaf] = length(5)
    bytes_: Array[u8] = length(7)
    words: Array[i64] = length(3)
    marks: Array[shared] = length(2)
    text: Text = length(16)
    other: Ref[Leaf]
    others: Array[Ref[Leaf]] = length(3)


class Bigger(Tree, align=64):
    extra: i64


@kernel
def copy_scalars(source: Scalars, target: Scalars) -> int:
    target.a = source.a
    target.b = source.b
    target.c = source.c
    target.d = source.d
    target.e = source.e
    target.f = source.f
    target.g = source.g
    target.h = source.h
    return source.address


@kernel
def pick(source: Scalars, which: int) -> int:
    if which == 0:
        return source.a
    if which == 1:
        return source.b
    if which == 2:
        return source.c
    if which == 3:
        return source.d
    if which == 4:
        return source.e
    if which == 5:
        return source.f
    if which == 6:
        return source.g
    return source.h


@given(st.fixed_dictionaries({name: st.integers(*limits) for name, limits in NARROW.items()}))
def test_scalars_widen_and_narrow_without_loss(values: dict[str, int]) -> None:
    source, target = Scalars.allocate(), Scalars.allocate()
    for name, value in values.items():
        setattr(source, name, value)
    assert copy_scalars(source, target) == source.address
    for index, name in enumerate("abcdefgh"):
        assert pick(source, index) == values[name]
        assert getattr(target, name) == values[name]


@kernel
def add_to_leaf(leaf: Leaf, amount: int) -> int:
    leaf.value += amount
    leaf.small += 1
    return leaf.address


@inlined
def twice(value: int) -> int:
    return value * 2


@kernel
def exercise(tree: Tree, extra: Leaf) -> int:
    """Touch every kind of field by name; the result depends on all of them."""
    total = 0
    for index in range(len(tree.leaves)):
        leaf = tree.leaves[index]
        leaf.value = twice(index + tree.count)
        total += leaf.value
    for index in range(len(tree.bytes_)):
        tree.bytes_[index] = 249 + index
        total += tree.bytes_[index]
    tree.words[2] -= 5
    tree.marks[1] = tree.marks[1] + tree.words[2]
    tree.text[1] = 0x41424344
    add_to_leaf(tree.leaf, total)
    add_to_leaf(tree.other, 7)
    add_to_leaf(tree.others[2], 9)
    inside = Leaf(tree.leaves.address + 4 * Leaf.size)
    inside.small = 77
    extra.value = inside.value + Leaf.size * 1000 + len(tree.text)
    return total + tree.marks[1] + tree.leaf.address - tree.address


def test_nested_records_arrays_texts_and_pointers() -> None:
    tree, extra, leaf = Bigger.allocate(), Leaf.allocate(), Leaf.allocate()
    tree.count = 10
    tree.other = leaf
    tree.others[2] = leaf
    result = exercise(Tree(tree.address), extra)
    total = sum(2 * (index + 10) for index in range(5)) + sum(range(249, 256))
    assert result == total - 5 + Tree.fields["leaf"].offset
    assert [tree.leaves[index].value for index in range(5)] == [20, 22, 24, 26, 28]
    assert [tree.bytes_[index] for index in range(7)] == list(range(249, 256))
    assert (tree.words[2], tree.marks[0], tree.marks[1]) == (-5, 0, -5)
    assert (tree.leaf.value, tree.leaf.small) == (total, 1)
    assert (leaf.value, leaf.small) == (16, 2)
    assert tree.leaves[4].small == 77
    assert extra.value == 28 + 16 * 1000 + 2
    assert tree.text[1] == 0x41424344
    assert tree.extra == 0


@kernel
def base_count(tree: Tree) -> int:
    tree.count += 1
    return tree.count


@kernel
def derived_count(bigger: Bigger) -> int:
    bigger.extra = base_count(bigger) * 100
    return bigger.extra + bigger.leaf.small


def test_a_derived_record_is_also_its_base() -> None:
    bigger = Bigger.allocate()
    bigger.leaf.small = 3
    assert derived_count(bigger) == 103
    assert base_count(bigger) == 2
    assert bigger.count == 2


@kernel
def read_byte(tree: Tree, index: int) -> int:
    return tree.bytes_[index]


@kernel
def write_byte(tree: Tree, index: int, value: int) -> None:
    tree.bytes_[index] = value


@kernel
def reach_leaf(tree: Tree, index: int) -> int:
    return tree.leaves[index].value


@given(st.integers(0, 6), st.integers(0, 255))
def test_an_element_is_written_and_its_neighbours_are_not(index: int, value: int) -> None:
    tree = Tree.allocate()
    write_byte(tree, index, value)
    assert read_byte(tree, index) == value
    assert [tree.bytes_[other] for other in range(7) if other != index] == [0] * 6
    region = memory.find(tree.address, Tree.size)
    assert bytes(region.view).count(0) >= Tree.size - 1


@pytest.mark.skipif(
    not (ipc.jit.INTERPRETED or ipc.jit.CHECKED), reason="only the two safe modes check"
)
@pytest.mark.parametrize("index", [-1, 7, 1 << 40, -(1 << 62)])
def test_the_safe_modes_catch_a_bad_index(index: int) -> None:
    tree = Tree.allocate()
    for access in (
        lambda: read_byte(tree, index),
        lambda: write_byte(tree, index, 1),
        lambda: reach_leaf(tree, index),
    ):
        with pytest.raises(IndexError, match=r"is not in 0\.\."):
            access()
    region = memory.find(tree.address, Tree.size)
    assert bytes(region.view) == bytes(region.size)


# --- what the compiler refuses ---------------------------------------------------------------


def _unknown_field(tree: Tree) -> int:
    return tree.colour  # type: ignore[attr-defined, no-any-return]


def _whole_record(tree: Tree) -> None:
    tree.leaf = tree.leaves[0]


def _whole_array(tree: Tree) -> None:
    tree.words = 1  # type: ignore[assignment]


def _array_of_records(tree: Tree) -> None:
    tree.leaves[0] = 1  # type: ignore[call-overload]


def _float_index(tree: Tree) -> int:
    return tree.words[0.5]  # type: ignore[index]


@compiled_only
@pytest.mark.parametrize(
    "mistake", [_unknown_field, _whole_record, _whole_array, _array_of_records, _float_index]
)
def test_mistakes_are_refused_when_compiled(mistake: Any) -> None:
    import numba

    with pytest.raises((numba.errors.NumbaError, AssertionError)):
        numba.njit(mistake)(Tree.allocate())


@compiled_only
def test_a_base_is_not_passed_as_something_derived() -> None:
    import numba

    with pytest.raises((numba.errors.NumbaError, AttributeError, AssertionError)):
        derived_count(Tree.allocate())


@compiled_only
def test_the_layout_is_part_of_the_type() -> None:
    from numba import typeof

    class Leaf(Record):
        value: i64
        small: u32

    assert typeof(Leaf.allocate()) != typeof(Tree.allocate().leaf)
    assert typeof(Tree.allocate()) == typeof(Tree.allocate())
