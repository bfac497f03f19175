"""Records in Python: layout, checked access, codec, fingerprint, documentation."""

import ctypes
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc import memory
from ipc.errors import LayoutError, MemoryFault
from ipc.record import (
    Array,
    Codec,
    Record,
    RecordMeta,
    Ref,
    Text,
    fingerprint,
    i16,
    i32,
    i64,
    length,
    numpy_dtype,
    shared,
    shared_u32,
    table,
    u8,
    u16,
    u32,
)

pytestmark = pytest.mark.interpreted

SCALARS: dict[str, tuple[Any, Any]] = {
    "i64": (i64, ctypes.c_int64),
    "i32": (i32, ctypes.c_int32),
    "u32": (u32, ctypes.c_uint32),
    "i16": (i16, ctypes.c_int16),
    "u16": (u16, ctypes.c_uint16),
    "u8": (u8, ctypes.c_uint8),
    "shared": (shared, ctypes.c_int64),
    "shared_u32": (shared_u32, ctypes.c_uint32),
}

RANGES = {
    "i64": (-(2**63), 2**63 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "u16": (0, 2**16 - 1),
    "u8": (0, 2**8 - 1),
    "shared": (-(2**63), 2**63 - 1),
    "shared_u32": (0, 2**32 - 1),
}


class Inner(Record):
    flag: u8
    weight: u32


class Parent(Record):
    order_id: i64
    "Dense\n    engine id."
    side: u8


class Child(Parent, align=64):
    qty: u16
    "Lots."
    names: Array[u16] = length(3)
    inner: Inner
    inners: Array[Inner] = length(2)
    label: Text = length(16)
    parent: Ref[Parent]
    parents: Array[Ref[Parent]] = length(2)
    seen: shared


class Flat(Record, align=32):
    number: i64
    small: u8
    label: Text = length(8)
    middle: u16
    negative: i32
    word: shared
    wide: u32
    short: i16
    last: u8


def declare(name: str = "Made", align: int = 0, **fields: Any) -> Any:
    """A record class made at run time; a field is its type, or (type, default)."""
    namespace: dict[str, Any] = {"__annotations__": {}}
    for key, field in fields.items():
        kind, *default = field if isinstance(field, tuple) else (field,)
        namespace["__annotations__"][key] = kind
        if default:
            namespace[key] = default[0]
    return RecordMeta(name, (Record,), namespace, align=align)


# --- layout ----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(sorted(SCALARS)), st.integers(0, 5)), min_size=1))
def test_scalars_and_arrays_lie_where_a_c_compiler_puts_them(kinds: list[tuple[str, int]]) -> None:
    fields: dict[str, Any] = {}
    c_fields: list[tuple[str, Any]] = []
    for index, (kind, count) in enumerate(kinds):
        ours, theirs = SCALARS[kind]
        fields[f"f{index}"] = (Array[ours], length(count)) if count else ours
        c_fields.append((f"f{index}", theirs * count if count else theirs))
    made = declare(**fields)
    oracle = type("Oracle", (ctypes.Structure,), {"_fields_": c_fields})
    assert made.size == ctypes.sizeof(oracle)
    assert made.align == ctypes.alignment(oracle)
    for name in fields:
        assert made.fields[name].offset == getattr(oracle, name).offset
        assert made.fields[name].size == getattr(oracle, name).size


def test_inherited_fields_come_first_and_keep_their_place() -> None:
    assert Parent.size == 16
    assert Parent.end == 9
    assert {name: field.offset for name, field in Child.fields.items()} == {
        "order_id": 0,
        "side": 8,
        "qty": 10,  # in the padding of the parent
        "names": 12,
        "inner": 20,
        "inners": 28,
        "label": 48,
        "parent": 64,
        "parents": 72,
        "seen": 88,
    }
    assert (Child.end, Child.size, Child.align) == (96, 128, 64)


def test_alignment_is_at_least_what_the_fields_need() -> None:
    assert declare(a=u8).align == 1
    assert declare(a=u8, b=i64).align == 8
    assert declare(align=2, a=i64).align == 8
    assert declare(a=u8, b=declare(align=64, x=u8)).fields["b"].offset == 64
    assert declare().size == 1


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"a": (Text, "text")}, "default"),
        ({"a": Text}, "length"),
        ({"a": (Text, length(12))}, "multiple of 8"),
        ({"a": Array[i64]}, "length"),
        ({"a": (Array[i64], length(0))}, "not positive"),
        ({"a": (Array[i64], length(-1))}, "not positive"),
        ({"a": (i64, length(3))}, "only arrays"),
        ({"a": (i64, 5)}, "default"),
        ({"a": int}, "not a field type"),
        ({"a": float}, "not a field type"),
        ({"a": (Array[int], length(2))}, "not a field type"),
        ({"a": (Array[Text], length(2))}, "not a field type"),
        ({"address": i64}, "taken"),
        ({"size": i64}, "taken"),
        ({"fields": i64}, "taken"),
    ],
)
def test_bad_declarations_name_class_and_field(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(LayoutError, match=rf"Made\.{next(iter(fields))}.*{complaint}"):
        declare(**fields)


def test_a_field_is_not_declared_twice() -> None:
    with pytest.raises(LayoutError, match=r"Twice\.side: this name is taken"):

        class Twice(Parent):
            side: i64


def test_a_record_extends_one_record_only() -> None:
    with pytest.raises(LayoutError, match=r"Both: .*overlap"):

        class Both(Parent, Inner):
            pass


@pytest.mark.parametrize("align", [3, 48, -8])
def test_alignment_is_a_power_of_two(align: int) -> None:
    with pytest.raises(LayoutError, match=f"power of two, not {align}"):
        declare(align=align, a=i64)


# --- access ----------------------------------------------------------------------------------


@given(st.data())
def test_a_scalar_is_read_as_it_was_written(data: st.DataObject) -> None:
    for kind, (annotated, _) in SCALARS.items():
        record = declare(before=u8, value=annotated, after=u8).allocate()
        value = data.draw(st.integers(*RANGES[kind]), label=kind)
        record.value = value
        assert record.value == value
        assert (record.before, record.after) == (0, 0)


@pytest.mark.parametrize("kind", sorted(SCALARS))
def test_a_value_outside_of_its_range_is_refused(kind: str) -> None:
    record = declare(value=SCALARS[kind][0]).allocate()
    lowest, highest = RANGES[kind]
    for value in (lowest - 1, highest + 1):
        with pytest.raises(OverflowError, match=f"value = {value}"):
            record.value = value
    assert record.value == 0


def test_nested_records_and_arrays_are_views() -> None:
    child = Child.allocate()
    child.inner.weight = 7
    child.inners[1].weight = 9
    child.names[2] = 65535
    assert child.inner.address == child.address + 20
    assert (child.inner.weight, child.inners[0].weight, child.inners[1].weight) == (7, 0, 9)
    assert [child.names[index] for index in range(len(child.names))] == [0, 0, 65535]


@pytest.mark.parametrize("index", [-1, 3, 1 << 40, -(1 << 40)])
def test_an_index_outside_of_an_array_is_refused(index: int) -> None:
    child = Child.allocate()
    with pytest.raises(IndexError, match=r"'names' is not in 0\.\.2"):
        child.names[index]
    with pytest.raises(IndexError, match="names"):
        child.names[index] = 1


def test_whole_records_and_arrays_are_not_assigned() -> None:
    child = Child.allocate()
    with pytest.raises(LayoutError, match="elements"):
        child.names = [1, 2, 3]
    with pytest.raises(LayoutError, match="as a whole"):
        child.inner = Inner.allocate()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_text_is_stored_as_utf8_or_refused(text: str) -> None:
    child = Child.allocate()
    child.label.set("x" * 16)
    if len(text.encode()) > 16:
        with pytest.raises(ValueError, match="16 fit"):
            child.label.set(text)
        assert child.label.get() == "x" * 16
    else:
        child.label.set(text)
        assert child.label.get() == text
        raw = b"".join(struct.pack("<q", child.label[word]) for word in range(2))
        assert raw == text.encode().ljust(16, b"\0")


def test_a_pointer_refers_to_the_record_itself() -> None:
    child, parent = Child.allocate(), Parent.allocate()
    parent.order_id = 41
    child.parent = parent
    child.parents[1] = parent
    child.parent.order_id += 1
    assert parent.order_id == child.parents[1].order_id == 42
    with pytest.raises(MemoryFault):
        child.parents[0]  # a null pointer


def test_a_reference_needs_registered_and_aligned_memory() -> None:
    region = memory.allocate(256, "two children")
    assert Child(region.start + 128).order_id == 0
    with pytest.raises(MemoryFault, match="64-byte alignment"):
        Child(region.start + 8)
    with pytest.raises(MemoryFault, match="two children"):
        Child(region.start + 192)
    with pytest.raises(MemoryFault):
        Child(64)
    memory.forget(region)


# --- codec, numpy ----------------------------------------------------------------------------

FLAT_VALUES = st.fixed_dictionaries(
    {
        "number": st.integers(*RANGES["i64"]),
        "small": st.integers(*RANGES["u8"]),
        "label": st.binary(max_size=8),
        "middle": st.integers(*RANGES["u16"]),
        "negative": st.integers(*RANGES["i32"]),
        "word": st.integers(*RANGES["i64"]),
        "wide": st.integers(*RANGES["u32"]),
        "short": st.integers(*RANGES["i16"]),
        "last": st.integers(*RANGES["u8"]),
    }
)


@given(st.lists(FLAT_VALUES, max_size=5))
def test_codec_record_and_numpy_agree(rows: list[dict[str, Any]]) -> None:
    codec = Codec(Flat)
    raw = b"".join(codec.encode(**row) for row in rows)
    assert len(raw) == len(rows) * Flat.size
    padded = [{**row, "label": row["label"].ljust(8, b"\0")} for row in rows]
    assert [values._asdict() for values in codec.decode_many(raw)] == padded
    array = np.frombuffer(raw, dtype=numpy_dtype(Flat))
    region = memory.allocate(max(len(raw), 1), "flat records")
    region.view[: len(raw)] = raw
    for index, row in enumerate(padded):
        record = Flat(region.start + index * Flat.size)
        for name, value in row.items():
            if name == "label":
                assert struct.pack("<q", record.label[0]) == value
                assert array[index][name] == value.rstrip(b"\0")
            else:
                assert getattr(record, name) == value == array[index][name]
    memory.forget(region)


def test_codec_fills_in_zeros_and_refuses_what_does_not_fit() -> None:
    codec = Codec(Flat)
    assert codec.encode() == bytes(Flat.size)
    assert codec.decode_many(codec.encode(small=255))[0].small == 255
    with pytest.raises(struct.error):
        codec.encode(small=256)
    with pytest.raises(struct.error):
        codec.encode(smal=1)
    with pytest.raises(struct.error):
        codec.decode_many(bytes(Flat.size + 1))


@pytest.mark.parametrize("derive", [Codec, numpy_dtype])
def test_codec_and_numpy_need_flat_records(derive: Any) -> None:
    with pytest.raises(LayoutError, match=r"Child\.inners: this is not flat"):
        derive(Child)
    with pytest.raises(LayoutError, match=r"Made\.a: this is not flat"):
        derive(declare(a=Ref[Inner]))
    with pytest.raises(LayoutError, match="two fields are called"):
        derive(declare(a=Inner, b=Inner))


# --- fingerprint, documentation --------------------------------------------------------------


def test_the_same_declaration_has_the_same_fingerprint() -> None:
    again = declare("Flat", 32, **{name: i64 for name in "ab"})
    twin = declare("Flat", 32, a=i64, b=i64)
    assert fingerprint(again) == fingerprint(twin)
    assert 0 < fingerprint(again) < 1 << 63


def test_any_change_of_a_declaration_changes_the_fingerprint() -> None:
    def sized(count: int) -> Any:
        return Array[i64], length(count)

    variants = [
        declare("R", a=i64, b=u32),
        declare("S", a=i64, b=u32),  # name of the record
        declare("R", b=u32, a=i64),  # order
        declare("R", a=i64, c=u32),  # name of a field
        declare("R", a=i64, b=i32),  # signedness
        declare("R", a=i64, b=shared_u32),  # memory order
        declare("R", a=shared, b=u32),
        declare("R", a=i64, b=u16),  # width
        declare("R", a=i64, b=u32, c=u8),  # a field more
        declare("R", a=i64),  # a field less
        declare("R", 64, a=i64, b=u32),  # alignment
        declare("R", a=sized(1), b=u32),  # an array of one
        declare("R", a=sized(2), b=u32),
        declare("R", a=(Text, length(8)), b=u32),  # the same size, another kind
        declare("R", a=(Text, length(16)), b=u32),
        declare("R", a=declare("I", x=i64), b=u32),  # nested
        declare("R", a=declare("I", y=i64), b=u32),  # nested, changed inside
        declare("R", a=declare("I", x=declare("J", z=i64)), b=u32),
        declare("R", a=Ref[Inner], b=u32),
        declare("R", a=Ref[Parent], b=u32),
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)


def test_a_pointer_does_not_depend_on_the_layout_it_points_to() -> None:
    first = declare("R", a=Ref[declare("I", x=i64)])  # type: ignore[valid-type]
    second = declare("R", a=Ref[declare("I", x=u8, y=u8)])  # type: ignore[valid-type]
    assert fingerprint(first) == fingerprint(second)


def test_the_table_tells_offset_size_type_and_meaning() -> None:
    lines = table(Child).splitlines()
    assert len(lines) == 2 + len(Child.fields)
    assert "| 0 | 8 | `order_id` | i64 | Dense engine id. |" in lines
    assert "| 8 | 1 | `side` | u8 |  |" in lines
    assert "| 10 | 2 | `qty` | u16 | Lots. |" in lines
    assert "| 12 | 6 | `names` | u16[3] |  |" in lines
    assert "| 28 | 16 | `inners` | Inner[2] |  |" in lines
    assert "| 48 | 16 | `label` | text[16] |  |" in lines
    assert "| 64 | 8 | `parent` | ref Parent |  |" in lines
    assert "| 72 | 16 | `parents` | ref Parent[2] |  |" in lines
