"""The kinds of fields that a record can have, and how the Python side reads and writes them.

Everything here is used through `ipc.record`. The accessors are the interpreted twin of compiled
field access: each one checks that it stays inside of registered memory and of its array.
"""

import struct
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

from ipc import memory
from ipc.errors import LayoutError


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


T = TypeVar("T")
i64 = Annotated[int, Scalar("i64", "q", 8, True)]
i32 = Annotated[int, Scalar("i32", "i", 4, True)]
u32 = Annotated[int, Scalar("u32", "I", 4, False)]
i16 = Annotated[int, Scalar("i16", "h", 2, True)]
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
    record: Any = None
    "The record class of an element, or None."
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
