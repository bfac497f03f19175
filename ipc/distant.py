"""Kernels that are called through an address, so that their callers are compiled without them.

The compiler takes the code of every callee into its caller and optimises all of it again, at each
level of calls. For a large kernel that is rarely called by hot ones this costs more time than the
kernel itself. A distant kernel is compiled once; a call is a load, a jump and no inlining.

`link` must have been called before a caller runs: it compiles the kernel, or fetches it from the
disk, and stores its address in a cell of this process. Children that are forked inherit it.
"""

import ctypes
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic

from ipc.jit import INTERPRETED, kernel
from ipc.record import Record

F = TypeVar("F", bound=Callable[..., Any])

_WORD: Final = ir.IntType(64)

_LINKS: Final[dict[Any, Callable[..., None]]] = {}
"""By what `distant` returned: what `link` does."""


def distant(function: F) -> F:
    """Compile `function`, or take a kernel, to be called by others through its address.

    Its arguments are records and ints, and it returns an int. It cannot be called from Python:
    keep the kernel for that.
    """
    if INTERPRETED:
        return function
    dispatcher: Any = function if isinstance(function, Dispatcher) else kernel(function)
    function = dispatcher.py_func
    symbol = f"okimi.{function.__module__}.{function.__qualname__}"
    cell = ctypes.c_int64(0)
    llvmlite.binding.add_symbol(symbol, ctypes.addressof(cell))

    def typed(typingctx: Any, *args: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            word = builder.module.globals.get(symbol)
            if word is None:
                word = ir.GlobalVariable(builder.module, _WORD, symbol)
            convention = context.call_conv
            kind = convention.get_function_type(types.int64, sig.args)
            callee = builder.inttoptr(builder.load(word), kind.as_pointer())
            status, result = convention.call_function(
                builder, callee, types.int64, sig.args, values
            )
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return result

        return types.int64(*args), lower

    first = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = inspect.signature(function).parameters
    rest = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    typed.__signature__ = inspect.Signature([first, *rest])  # type: ignore[attr-defined]
    made = intrinsic(typed)

    def fetch(*wanted: type) -> None:
        if cell.value == 0:
            kinds = tuple(_kind_of(each) for each in wanted)
            dispatcher.compile(kinds)
            compiled = dispatcher.overloads[kinds]
            name = compiled.fndesc.llvm_func_name
            cell.value = compiled.library.get_pointer_to_function(name)

    _LINKS[made] = fetch
    return cast(F, made)


def _kind_of(wanted: type) -> Any:
    from ipc.reference import RecordType  # which needs the compiler decorated by then

    return RecordType(wanted) if issubclass(wanted, Record) else types.int64


def link(function: Callable[..., Any], *kinds: type) -> None:
    """Make a distant kernel ready to be called in this process.

    `kinds`: the types of its arguments, record classes or int.
    """
    if not INTERPRETED:
        _LINKS[function](*kinds)
