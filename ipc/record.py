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
All scalars are read as int64. Field kinds: `i64 i32 u32 u16 u8`, `shared` (an int64 that is read
with acquire and written with release order), `Text` (UTF-8, zero padded), other records,
`Array[...] = length(n)`, and `Ref[...]` (an address valid in this process only).
"""

import ast
import hashlib
import inspect
import struct
import textwrap
from collections import namedtuple
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from ipc import memory
from ipc.errors import LayoutError, MemoryFault

CACHE_LINE_BYTES: Final = 64
"""What one core takes from another in one transfer."""

LINE_PAIR_BYTES: Final = 128
"""Distance that keeps two writers apart: the prefetcher fetches lines in pairs."""


@dataclass(frozen=True)
class Scalar:
    """How an integer is stored: `code` in the struct module's language, size in bytes."""

    name: str
    code: str
    size: int
    signed: bool
    atomic: bool = False


@dataclass(frozen=True)
class Pointer:
    """Marks a field that holds the address of a record."""


@dataclass(frozen=True)
class TextKind:
    """Marks a field of UTF-8 bytes, zero padded to whole words."""


_RESERVED: Final = frozenset({"address", "size", "align", "end", "fields"})

T = TypeVar("T")
i64 = Annotated[int, Scalar("i64", "q", 8, True)]
i32 = Annotated[int, Scalar("i32", "i", 4, True)]
u32 = Annotated[int, Scalar("u32", "I", 4, False)]
u16 = Annotated[int, Scalar("u16", "H", 2, False)]
u8 = Annotated[int, Scalar("u8", "B", 1, False)]
shared = Annotated[int, Scalar("shared", "q", 8, True, atomic=True)]
shared_u32 = Annotated[int, Scalar("shared_u32", "I", 4, False, atomic=True)]
Ref = Annotated[T, Pointer()]

WORD: Final = Scalar("i64", "q", 8, True)


@dataclass(frozen=True)
class Length:
    """The declared size of an array (elements) or text (bytes)."""

    count: int


def length(count: int) -> Any:
    """Declare the size of an `Array` field in elements or of a `Text` field in bytes."""
    return Length(count)


class Array(Generic[T]):
    """A run of equal elements inside a record; the Python twin of the compiled array access.

    Negative indices are errors: compiled code would read the memory before the array.
    """

    __slots__ = ("_field", "_region", "address")

    def __init__(self, field: "Field", address: int, region: memory.Region) -> None:
        """Made by the record that owns the array."""
        self._field = field
        self._region = region
        self.address = address

    def __len__(self) -> int:
        return self._field.count

    def _at(self, index: int) -> int:
        if not 0 <= index < self._field.count:
            raise IndexError(
                f"index {index} of {self._field.name!r} is not in 0..{self._field.count - 1}"
            )
        return self.address + index * self._field.stride

    def __getitem__(self, index: int) -> T:
        return self._field.load(self._at(index), self._region)  # type: ignore[no-any-return]

    def __setitem__(self, index: int, value: Any) -> None:
        self._field.store(self._at(index), self._region, value)


class Text(Array[i64]):
    """UTF-8 bytes, zero padded; compiled code sees an array of 8-byte words."""

    __slots__ = ()

    def get(self) -> str:
        """The text up to the first zero byte."""
        offset = self._region.offset(self.address, self._field.size)
        raw = bytes(self._region.view[offset : offset + self._field.size])
        return raw.split(b"\0", 1)[0].decode()

    def set(self, value: str) -> None:
        """Store `value`; ValueError when its UTF-8 form does not fit."""
        raw = value.encode()
        if len(raw) > self._field.size:
            raise ValueError(f"{value!r} has {len(raw)} bytes, {self._field.size} fit")
        offset = self._region.offset(self.address, self._field.size)
        self._region.view[offset : offset + self._field.size] = raw.ljust(self._field.size, b"\0")


@dataclass(frozen=True)
class Field:
    """One declared field: where it lies and what it holds."""

    name: str
    offset: int
    size: int
    stride: int
    count: int
    """Elements of an array or words of a text; 0 for a single value."""
    scalar: Scalar | None = None
    record: "type[Record] | None" = None
    pointer: bool = False
    text: bool = False

    @property
    def type_name(self) -> str:
        """The type as documentation shows it."""
        base = self.scalar.name if self.scalar else (self.record.__name__ if self.record else "?")
        if self.text:
            return f"text[{self.size}]"
        if self.pointer:
            base = f"ref {base}"
        return f"{base}[{self.count}]" if self.count else base

    def load(self, address: int, region: memory.Region) -> Any:
        """One element at `address`."""
        if self.record is None:
            assert self.scalar is not None
            offset = region.offset(address, self.scalar.size)
            return struct.unpack_from("<" + self.scalar.code, region.view, offset)[0]
        if self.pointer:
            return self.record(memory.read_word(address))
        return self.record._within(address, region)

    def store(self, address: int, region: memory.Region, value: Any) -> None:
        """Store one element at `address`."""
        if self.pointer:
            memory.write_word(address, value.address)
        elif self.scalar is not None:
            offset = region.offset(address, self.scalar.size)
            try:
                struct.pack_into("<" + self.scalar.code, region.view, offset, value)
            except struct.error as error:
                raise OverflowError(
                    f"{self.name} = {value!r}: {error} ({self.scalar.name})"
                ) from None
        else:
            raise LayoutError(f"{self.name} holds a record and cannot be assigned as a whole")

    def __get__(self, record: Any, owner: Any) -> Any:
        if record is None:
            return self
        address = record.address + self.offset
        if self.text:
            return Text(self, address, record._region)
        if self.count:
            return Array(self, address, record._region)
        return self.load(address, record._region)

    def __set__(self, record: Any, value: Any) -> None:
        if self.count:
            raise LayoutError(f"{self.name} is an array: assign its elements")
        self.store(record.address + self.offset, record._region, value)


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
    for statement, after in zip(body, body[1:], strict=False):
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


class Codec:
    """Bytes of a flat record (scalars and texts only) <-> a named tuple of Python values.

    `decode_many` is the fast way out of a ring: one C call walks all slots of a batch.
    Texts are bytes with their zero padding: `text.rstrip(b"\\0").decode()`.
    """

    def __init__(self, record: type[Record]) -> None:
        """Derive the codec from a declaration; LayoutError when it is not flat."""
        parts, position = ["<"], 0
        for field in record.fields.values():
            flat = field.scalar is not None and (field.text or not field.count)
            if not flat:
                raise LayoutError(f"{record.__name__}.{field.name}: a codec needs flat records")
            assert field.scalar is not None
            parts.append(f"{field.offset - position}x" if field.offset > position else "")
            parts.append(f"{field.size}s" if field.text else field.scalar.code)
            position = field.offset + field.size
        parts.append(f"{record.size - position}x" if record.size > position else "")
        self.struct = struct.Struct("".join(parts))
        assert self.struct.size == record.size, "codec and layout disagree"
        self.values: Any = namedtuple(record.__name__ + "Values", list(record.fields))
        self._blank = {
            name: b"" if field.text else 0 for name, field in record.fields.items()
        }

    def encode(self, **values: Any) -> bytes:
        """Pack named values; missing fields are zero. struct.error when one does not fit."""
        return self.struct.pack(*{**self._blank, **values}.values())

    def decode_many(self, raw: Any) -> list[Any]:
        """All records in `raw`, a buffer of whole records."""
        return list(map(self.values._make, self.struct.iter_unpack(raw)))


def numpy_dtype(record: type[Record]) -> Any:
    """The record as a NumPy structured type, for inspection and bulk data outside of kernels."""
    import numpy as np

    names, formats, offsets = [], [], []
    for field in record.fields.values():
        if field.scalar is None or (field.count and not field.text):
            raise LayoutError(f"{record.__name__}.{field.name}: NumPy view needs flat records")
        names.append(field.name)
        formats.append(f"S{field.size}" if field.text else "<" + _NUMPY_CODES[field.scalar.code])
        offsets.append(field.offset)
    return np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": record.size}
    )


_NUMPY_CODES: Final = {"q": "i8", "i": "i4", "I": "u4", "H": "u2", "B": "u1"}


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
