"""How the compiler sees records: an address with a type, and loads and stores by field name.

Imported by `ipc.record` users through `ipc.jit`; nothing here is called by hand. Together with
`ipc.intrinsics` this is all the LLVM of the repository. A record argument is a bare int64 in
machine code; `order.leaves_lots` becomes one load at a constant offset, scalars widen to int64,
`shared` fields load with acquire and store with release order.
"""

import functools
import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import (
    NativeValue,
    box,
    lower_builtin,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.core.imputils import (
    lower_cast,
    lower_constant,
    lower_getattr_generic,
    lower_setattr_generic,
)
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
    signature,
)

from ipc.field import Field, Scalar
from ipc.jit import CHECKED
from ipc.record import Record, RecordMeta, fingerprint

_BYTE = ir.IntType(8)
_WORD = ir.IntType(64)


class RecordType(types.Type):
    """A reference to a record of one class; equal when the layout is."""

    def __init__(self, record: type[Record]) -> None:
        """Name the type by class and layout, so that a changed layout is another type."""
        self.record = record
        super().__init__(f"Record({record.__module__}.{record.__name__}#{fingerprint(record):x})")


class ArrayType(types.Type):
    """A reference to the array field `field` of `record`."""

    def __init__(self, record: type[Record], field: str) -> None:
        """Name the type by its field."""
        self.record = record
        self.field: Field = record.fields[field]
        super().__init__(f"ArrayOf({RecordType(record).name}.{field})")

    def __reduce__(self) -> Any:
        """Types travel through the on-disk cache by what made them."""
        return ArrayType, (self.record, self.field.name)


class RecordClass(types.Callable, types.Opaque):
    """The type of a record class itself, called in kernels with an address."""

    def __init__(self, record: type[Record]) -> None:
        """Calling it gives a reference."""
        self.record = record
        super().__init__(f"RecordClass({RecordType(record).name})")

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        """`Order(address)`."""
        return signature(RecordType(self.record), types.int64)

    def get_call_signatures(self) -> Any:
        """One signature: an address."""
        return [signature(RecordType(self.record), types.int64)], False

    def get_impl_key(self, sig: Any) -> Any:
        """All record classes share one lowering."""
        return RecordClass


class _AddressModel(models.PrimitiveModel):  # type: ignore[misc]
    """In machine code a reference is a bare address."""

    def __init__(self, manager: Any, typ: Any) -> None:
        super().__init__(manager, typ, _WORD)


register_model(RecordType)(_AddressModel)
register_model(ArrayType)(_AddressModel)
register_model(RecordClass)(models.OpaqueModel)


_record_type = functools.cache(RecordType)
"""Asked for every record argument of every call from Python."""


@typeof_impl.register(Record)
def _typeof_record(value: Record, context: Any) -> RecordType:
    return _record_type(type(value))


@typeof_impl.register(RecordMeta)
def _typeof_class(value: type[Record], context: Any) -> RecordClass:
    return RecordClass(value)


@unbox(RecordType)
def _unbox(typ: RecordType, value: Any, c: Any) -> NativeValue:
    address = c.pyapi.object_getattr_string(value, "address")
    native = c.pyapi.long_as_longlong(address)
    c.pyapi.decref(address)
    return NativeValue(native, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@box(RecordType)
def _box(typ: RecordType, value: Any, c: Any) -> Any:
    made = c.pyapi.unserialize(c.pyapi.serialize_object(typ.record))
    address = c.pyapi.long_from_longlong(value)
    result = c.pyapi.call_function_objargs(made, (address,))
    c.pyapi.decref(made)
    c.pyapi.decref(address)
    return result


@lower_constant(RecordClass)
def _constant_class(context: Any, builder: Any, typ: Any, value: Any) -> Any:
    return context.get_dummy_value()


@lower_builtin(RecordClass, types.Integer)
def _call_class(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.cast(builder, args[0], sig.args[0], types.int64)


@lower_cast(RecordType, RecordType)
def _cast_record(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    assert issubclass(fromty.record, toty.record), f"{fromty} is not a {toty}"
    return value


def _element_type(field: Field) -> Any:
    return types.int64 if field.record is None else RecordType(field.record)


@infer_getattr
class _RecordAttributes(AttributeTemplate):  # type: ignore[misc]
    key = RecordType

    def generic_resolve(self, typ: RecordType, name: str) -> Any:
        """The type of `record.name`; None (an error) when there is no such field."""
        if name == "address":
            return types.int64
        field = typ.record.fields.get(name)
        if field is None:
            return None
        return ArrayType(typ.record, name) if field.count else _element_type(field)


@infer_getattr
class _ArrayAttributes(AttributeTemplate):  # type: ignore[misc]
    key = ArrayType

    def generic_resolve(self, typ: ArrayType, name: str) -> Any:
        """Arrays have an address and nothing else."""
        return types.int64 if name == "address" else None


@infer_getattr
class _ClassAttributes(AttributeTemplate):  # type: ignore[misc]
    key = RecordClass

    def generic_resolve(self, typ: RecordClass, name: str) -> Any:
        """`Order.size`, a constant."""
        return types.int64 if name == "size" else None


@lower_getattr_generic(RecordClass)
def _get_class_size(context: Any, builder: Any, typ: Any, value: Any, name: str) -> Any:
    assert name == "size"
    return ir.Constant(_WORD, typ.record.size)


def _pointer(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    base = builder.inttoptr(address, _BYTE.as_pointer())
    moved = builder.gep(base, [ir.Constant(_WORD, offset)], source_etype=_BYTE)
    return builder.bitcast(moved, kind.as_pointer())


def _load(builder: Any, address: Any, offset: int, scalar: Scalar) -> Any:
    kind = ir.IntType(scalar.size * 8)
    pointer = _pointer(builder, address, offset, kind)
    if scalar.atomic:
        value = builder.load_atomic(pointer, "acquire", scalar.size, typ=kind)
    else:
        value = builder.load(pointer, typ=kind, align=scalar.size)
    if scalar.size == 8:
        return value
    return builder.sext(value, _WORD) if scalar.signed else builder.zext(value, _WORD)


def _store(builder: Any, address: Any, offset: int, scalar: Scalar, value: Any) -> None:
    kind = ir.IntType(scalar.size * 8)
    if scalar.size < 8:
        value = builder.trunc(value, kind)
    pointer = _pointer(builder, address, offset, kind)
    if scalar.atomic:
        builder.store_atomic(value, pointer, "release", scalar.size)
    else:
        builder.store(value, pointer, align=scalar.size)


def _read_element(builder: Any, address: Any, offset: int, field: Field) -> Any:
    if field.pointer:
        return builder.load(_pointer(builder, address, offset, _WORD), typ=_WORD, align=8)
    if field.record is not None:
        return builder.add(address, ir.Constant(_WORD, offset))
    assert field.scalar is not None
    return _load(builder, address, offset, field.scalar)


@lower_getattr_generic(RecordType)
def _get_field(context: Any, builder: Any, typ: RecordType, value: Any, name: str) -> Any:
    if name == "address":
        return value
    field = typ.record.fields[name]
    if field.count:
        return builder.add(value, ir.Constant(_WORD, field.offset))
    return _read_element(builder, value, field.offset, field)


@lower_setattr_generic(RecordType)
def _set_field(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    typ, (target, value) = sig.args[0], args
    field = typ.record.fields[name]
    assert field.scalar is not None, f"{name}: only scalars are assigned in compiled code"
    assert not field.count, f"{name}: assign the elements of an array"
    value = context.cast(builder, value, sig.args[1], types.int64)
    _store(builder, target, field.offset, field.scalar, value)


@lower_getattr_generic(ArrayType)
def _get_array_address(context: Any, builder: Any, typ: Any, value: Any, name: str) -> Any:
    assert name == "address"
    return value


@infer_global(operator.getitem)
class _ArrayGetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        """`record.array[index]`."""
        if len(args) == 2 and isinstance(args[0], ArrayType) and isinstance(args[1], types.Integer):
            return signature(_element_type(args[0].field), args[0], types.int64)
        return None


@infer_global(operator.setitem)
class _ArraySetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        """`record.array[index] = value`, scalars only."""
        if len(args) == 3 and isinstance(args[0], ArrayType) and args[0].field.record is None:
            return signature(types.void, args[0], types.int64, types.int64)
        return None


@infer_global(len)
class _ArrayLength(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        """`len(record.array)`, a constant."""
        if len(args) == 1 and isinstance(args[0], ArrayType):
            return signature(types.int64, args[0])
        return None


def _element_address(context: Any, builder: Any, typ: ArrayType, base: Any, index: Any) -> Any:
    field = typ.field
    if CHECKED:
        outside = builder.icmp_unsigned(">=", index, ir.Constant(_WORD, field.count))
        with builder.if_then(outside, likely=False):
            message = f"index of {field.name!r} is not in 0..{field.count - 1}"
            context.call_conv.return_user_exc(builder, IndexError, (message,))
    stride = ir.Constant(_WORD, field.stride)
    return builder.add(base, builder.mul(index, stride))


@lower_builtin(operator.getitem, ArrayType, types.Integer)
def _array_getitem(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    address = _element_address(context, builder, sig.args[0], args[0], index)
    return _read_element(builder, address, 0, sig.args[0].field)


@lower_builtin(operator.setitem, ArrayType, types.Integer, types.Integer)
def _array_setitem(context: Any, builder: Any, sig: Any, args: Any) -> None:
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    value = context.cast(builder, args[2], sig.args[2], types.int64)
    address = _element_address(context, builder, sig.args[0], args[0], index)
    _store(builder, address, 0, sig.args[0].field.scalar, value)


@lower_builtin(len, ArrayType)
def _array_len(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return ir.Constant(_WORD, sig.args[0].field.count)
