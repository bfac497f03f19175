"""Records: a class declares fields once; layout, access, codec and documentation follow.

    class Order(Record, align=64):
        "A resting order."
        order_id: i64
        "Dense engine id."
        side: u8
        ...

`Order(address)` is a reference to the order at that address, in Python and in compiled code
alike: `order.leaves_lots -= fill`. In Python every access is checked against registered memory
(`ipc.memory`); in compiled code it is one load or store at a constant offset (`ipc.reference`).
All scalars are read as int64. Field kinds: `i64 i32 i16 u32 u16 u8`, `shared` (an int64 that is
read with acquire and written with release order), `Text` (UTF-8, zero padded), other records,
`Array[...] = length(n)`, and `Ref[...]` (an address valid in this process only).
"""

import ast
import functools
import hashlib
import inspect
import itertools
import struct
import textwrap
from collections import namedtuple
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    get_args,
    get_origin,
    get_type_hints,
)

from ipc import memory
from ipc.errors import LayoutError, MemoryFault
from ipc.field import (
    WORD,
    Array,
    Field,
    Length,
    Pointer,
    Ref,
    Scalar,
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

__all__ = [
    "CACHE_LINE_BYTES",
    "LINE_PAIR_BYTES",
    "Array",
    "Codec",
    "Record",
    "Ref",
    "Text",
    "fingerprint",
    "i16",
    "i32",
    "i64",
    "length",
    "numpy_dtype",
    "shared",
    "shared_u32",
    "table",
    "text_of",
    "u8",
    "u16",
    "u32",
]

CACHE_LINE_BYTES: Final = 64
"""What one core takes from another in one transfer."""

LINE_PAIR_BYTES: Final = 128
"""Distance that keeps two writers apart: the prefetcher fetches lines in pairs."""


_RESERVED: Final = frozenset({"address", "size", "align", "end", "fields"})


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _docstrings(cls: type) -> dict[str, str]:
    """The string under each annotated field, from the source of the class."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, str] = {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    for statement, after in itertools.pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[statement.target.id] = " ".join(after.value.value.split())
    return found


def _element(hint: Any, where: str) -> tuple[Scalar | None, "type[Record] | None", bool]:
    """What one element of a field holds: (scalar, record, is a pointer)."""
    if get_origin(hint) is Annotated:
        base, *marks = get_args(hint)
        for mark in marks:
            if isinstance(mark, Scalar):
                return mark, None, False
            if isinstance(mark, Pointer):
                return None, base, True
    if isinstance(hint, RecordMeta):
        return None, hint, False  # type: ignore[return-value]
    raise LayoutError(f"{where}: {hint!r} is not a field type (see ipc.record)")


def _field(name: str, hint: Any, default: Any, start: int, where: str) -> tuple[Field, int]:
    """Lay out one field from `start`; returns it and its alignment."""
    if default is not None and not isinstance(default, Length):
        raise LayoutError(f"{where}: fields have no default value, memory begins as zeros")
    count = default.count if default is not None else 0
    if default is not None and count < 1:
        raise LayoutError(f"{where}: length({count}) is not positive")
    if hint is Text:
        if count == 0 or count % 8:
            raise LayoutError(f"{where}: a text needs length(n) with n a multiple of 8")
        offset = _round_up(start, 8)
        return Field(name, offset, count, 8, count // 8, scalar=WORD, text=True), 8
    if get_origin(hint) is Array:
        if count == 0:
            raise LayoutError(f"{where}: an array needs a size: = length(n)")
        hint = get_args(hint)[0]
    elif count:
        raise LayoutError(f"{where}: only arrays and texts have a length")
    scalar, record, pointer = _element(hint, where)
    if pointer:
        stride, align = 8, 8
    elif scalar is not None:
        stride, align = scalar.size, scalar.size
    else:
        assert record is not None
        stride, align = record.size, record.align
    size = stride * max(count, 1)
    offset = _round_up(start, align)
    return Field(name, offset, size, stride, count, scalar, record, pointer), align


class RecordMeta(type):
    """Lays a record out when its class is made."""

    size: int
    align: int
    end: int
    fields: dict[str, Field]

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        align: int = 0,
    ) -> "RecordMeta":
        """Make the class; fields become checked accessors."""
        if align & (align - 1) or align < 0:
            raise LayoutError(f"{name}: align must be a power of two, not {align}")
        namespace.setdefault("__slots__", ())
        cls = super().__new__(mcs, name, bases, namespace)
        annotated = inspect.get_annotations(cls)
        defaults = {key: namespace[key] for key in annotated if key in namespace}
        fields: dict[str, Field] = {}
        end, widest = 0, max(align, 1)
        parents = [base for base in bases if isinstance(base, RecordMeta)]
        if len(parents) > 1:
            raise LayoutError(f"{name}: a record extends one record, their fields would overlap")
        for parent in parents:
            fields |= parent.fields
            end, widest = parent.end, max(widest, parent.align)
        is_root = not parents
        hints = {} if is_root else get_type_hints(cls, include_extras=True)
        for key in () if is_root else annotated:
            where = f"{name}.{key}"
            if key in fields or key in _RESERVED:
                raise LayoutError(f"{where}: this name is taken")
            field, needs = _field(key, hints[key], defaults.get(key), end, where)
            fields[key] = field
            setattr(cls, key, field)
            end = field.offset + field.size
            widest = max(widest, needs)
        cls.fields, cls.end, cls.align = fields, end, widest
        cls.size = _round_up(max(end, 1), widest)
        return cls


class Record(metaclass=RecordMeta):
    """A typed reference to memory; see the module's text. `Record(address)` does not copy."""

    __slots__ = ("_region", "address")
    _region: memory.Region
    address: int
    """Where the record lies in this process."""

    size: ClassVar[int]
    align: ClassVar[int]
    end: ClassVar[int]
    fields: ClassVar[dict[str, Field]]

    def __init__(self, address: int) -> None:
        """Refer to the record at `address`; MemoryFault when no registered block holds it."""
        if address % self.align:
            raise MemoryFault(
                f"{type(self).__name__} needs {self.align}-byte alignment, {address:#x} has not"
            )
        self._region = memory.find(address, self.size)
        self.address = address

    @classmethod
    def _within(cls, address: int, region: memory.Region) -> Any:
        """A reference whose block is known already."""
        region.offset(address, cls.size)
        made = cls.__new__(cls)
        made._region = region
        made.address = address
        return made

    @classmethod
    def allocate(cls) -> Any:
        """A zeroed record in private memory of its own (process-local state, tests)."""
        return cls(memory.allocate(cls.size, cls.__name__).start)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address:#x})"


def flat_fields(record: type[Record]) -> list[tuple[str, Field, int]]:
    """Name, field and offset of all scalars and texts, those of nested records in their place.

    LayoutError when two of them have one name, or one is a pointer or an array of records.
    """
    found: list[tuple[str, Field, int]] = []

    def walk(kind: type[Record], start: int) -> None:
        for field in kind.fields.values():
            if field.record is not None and not field.pointer and not field.count:
                walk(field.record, start + field.offset)
            elif field.scalar is None:
                raise LayoutError(f"{kind.__name__}.{field.name}: this is not flat")
            else:
                found.append((field.name, field, start + field.offset))

    walk(record, 0)
    names = [name for name, _, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise LayoutError(f"{record.__name__}: two fields are called {name}")
    return found


class Codec:
    """Bytes of a flat record (scalars and texts only) <-> a named tuple of Python values.

    The fields of a nested record stand in its place, under their own names.
    `decode_many` is the fast way out of a ring: one C call walks all slots of a batch.
    Texts are bytes with their zero padding, which `text_of` takes off.
    """

    def __init__(self, record: type[Record]) -> None:
        """Derive the codec from a declaration; LayoutError when it is not flat."""
        parts, position = ["<"], 0
        leaves = flat_fields(record)
        for name, field, offset in leaves:
            if field.count and not field.text:
                raise LayoutError(f"{record.__name__}.{name}: a codec needs flat records")
            assert field.scalar is not None
            parts.append(f"{offset - position}x" if offset > position else "")
            parts.append(f"{field.size}s" if field.text else field.scalar.code)
            position = offset + field.size
        parts.append(f"{record.size - position}x" if record.size > position else "")
        self.struct = struct.Struct("".join(parts))
        assert self.struct.size == record.size, "codec and layout disagree"
        made: Any = namedtuple
        self.values = made(record.__name__ + "Values", [name for name, _, _ in leaves])
        self.blank = {name: b"" if field.text else 0 for name, field, _ in leaves}
        "A record without values; keys in the order of `struct`."

    def encode(self, **values: Any) -> bytes:
        """Pack named values; missing fields are zero. struct.error when one does not fit."""
        return self.struct.pack(*{**self.blank, **values}.values())

    def decode_many(self, raw: Any) -> list[Any]:
        """All records in `raw`, a buffer of whole records."""
        return list(map(self.values._make, self.struct.iter_unpack(raw)))


def text_of(raw: bytes) -> str:
    """A text field that a codec has decoded, without its padding."""
    return raw.rstrip(b"\0").decode()


def numpy_dtype(record: type[Record], stride: int = 0) -> Any:
    """The record as a NumPy structured type, for inspection and bulk data outside of kernels.

    `stride`: bytes from one record to the next where they lie further apart than their size.
    """
    import numpy as np

    names, formats, offsets = [], [], []
    for name, field, offset in flat_fields(record):
        if field.count and not field.text:
            raise LayoutError(f"{record.__name__}.{name}: NumPy view needs flat records")
        assert field.scalar is not None
        names.append(name)
        formats.append(f"S{field.size}" if field.text else "<" + _NUMPY_CODES[field.scalar.code])
        offsets.append(offset)
    layout: Any = {"names": names, "formats": formats, "offsets": offsets}
    return np.dtype(layout | {"itemsize": max(record.size, stride)})


_NUMPY_CODES: Final = {"q": "i8", "i": "i4", "I": "u4", "h": "i2", "H": "u2", "B": "u1"}


@functools.cache
def fingerprint(record: type[Record]) -> int:
    """63-bit hash over names, types, offsets and sizes, nested records included."""
    digest = hashlib.sha256()

    def walk(kind: type[Record]) -> None:
        digest.update(f"{kind.__name__} {kind.size} {kind.align};".encode())
        for field in kind.fields.values():
            digest.update(f"{field.name} {field.type_name} {field.offset};".encode())
            if field.record is not None and not field.pointer:
                walk(field.record)

    walk(record)
    return int.from_bytes(digest.digest()[:8], "little") >> 1


def table(record: type[Record]) -> str:
    """The layout as a Markdown table: offset, bytes, field, type, meaning."""
    docs: dict[str, str] = {}
    for kind in reversed(record.__mro__):
        docs |= _docstrings(kind)
    rows = ["| offset | bytes | field | type | meaning |", "|---:|---:|---|---|---|"]
    rows += [
        f"| {field.offset} | {field.size} | `{field.name}` | {field.type_name} | "
        f"{docs.get(field.name, '')} |"
        for field in record.fields.values()
    ]
    return "\n".join(rows)
