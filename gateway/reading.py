"""Reads requests: typed, strict, and with an error that names the fault.

A body is decoded into the struct of `gateway.schema` that it should be. When that fails, the
error says which field is wrong, what was expected there and what was found.
"""

import re
from typing import Any, Final, Generic, TypeVar

import msgspec
import orjson

from gateway.errors import (
    BadEncoding,
    MalformedJson,
    MissingField,
    UnknownField,
    WrongShape,
    WrongType,
)
from gateway.schema import (
    DECIMAL_FIELDS,
    EXPECTED,
    Amendment,
    Funds,
    InstrumentLimits,
    Mark,
    NewList,
    NewOrder,
    Operation,
    PhaseChange,
    Tick,
)

T = TypeVar("T")

FOUND_CHARS_MAX: Final = 60
"""Characters of a wrong value that an error repeats."""

_PATH: Final = re.compile(r" - at `\$((?:\.[a-z_]+|\[[0-9]+\])+)`$")
_STEP: Final = re.compile(r"\.([a-z_]+)|\[([0-9]+)\]")
_NAMED: Final = re.compile(r"^Object (contains unknown|missing required) field `(.*)`", re.DOTALL)


class Reader(Generic[T]):
    """Reads bodies of one kind: `Reader(NewOrder).read(body)`."""

    def __init__(self, kind: Any) -> None:
        """`kind`: a struct, or a union of tagged structs."""
        self._decode = msgspec.json.Decoder(kind).decode

    def read(self, body: bytes) -> T:
        """The typed request; one of the BadRequest errors when it is not one."""
        try:
            return self._decode(body)  # type: ignore[no-any-return]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _explain(body, error) from None


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; MalformedJson, BadEncoding or WrongShape when it is none."""
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        raise BadEncoding(f"byte {fault.start} of the body is not UTF-8: {fault.reason}") from None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise MalformedJson(str(fault)) from None
    if not isinstance(document, dict):
        raise WrongShape(f"expected a JSON object, found {found(document)}")
    return document


def _explain(body: bytes, error: Exception) -> Exception:
    """The error for a client: what is wrong with the body, outermost fault first."""
    try:
        document = json_object(body)
    except (BadEncoding, MalformedJson, WrongShape) as fault:
        return fault
    text, where = str(error), ""
    path = _PATH.search(text)
    if path is not None:
        text, where = text[: path.start()], path.group(1).removeprefix(".")
    named = _NAMED.match(text)
    if named is not None:
        verb, name = named.groups()
        field = f"{where}.{name}" if where else name
        if verb == "missing required":
            return MissingField(f"expected {EXPECTED[name]}, found nothing", field)
        return UnknownField("there is no such field here", field[:FOUND_CHARS_MAX])
    name = where.rpartition(".")[2]
    if name not in EXPECTED:
        return WrongShape(text, where or None)
    value = _value_at(document, where)
    if name in DECIMAL_FIELDS and type(value) in (int, float):
        return WrongType(
            f'send a decimal number as text, such as "0.25", not the JSON number {found(value)}: '
            "binary floats lose digits",
            where,
        )
    return WrongType(f"expected {EXPECTED[name]}, found {found(value)}", where)


def _value_at(document: Any, where: str) -> Any:
    """What the document holds at a path; None when there is nothing."""
    for name, index in _STEP.findall(f".{where}"):
        try:
            document = document[name] if name else document[int(index)]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def found(value: object) -> str:
    """A JSON value as an error shows it."""
    shown = orjson.dumps(value).decode()
    return shown if len(shown) <= FOUND_CHARS_MAX else shown[: FOUND_CHARS_MAX - 3] + "..."


NEW_ORDER: Final[Reader[NewOrder]] = Reader(NewOrder)
NEW_LIST: Final[Reader[NewList]] = Reader(NewList)
AMENDMENT: Final[Reader[Amendment]] = Reader(Amendment)
OPERATION: Final[Reader[Operation]] = Reader(Operation)
PHASE_CHANGE: Final[Reader[PhaseChange]] = Reader(PhaseChange)
TICK: Final[Reader[Tick]] = Reader(Tick)
FUNDS: Final[Reader[Funds]] = Reader(Funds)
MARK: Final[Reader[Mark]] = Reader(Mark)
INSTRUMENT_LIMITS: Final[Reader[InstrumentLimits]] = Reader(InstrumentLimits)
