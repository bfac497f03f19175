"""Single events, written by hand for tests: fields that are not named are 0."""

from typing import Any

from engine.messages import EVENT_CODECS, EventFlag, EventKind, Side

LEVEL_FLAG = {Side.BUY: EventFlag.LEVEL_BID, Side.SELL: EventFlag.LEVEL_ASK}


def made(kind: EventKind, flags: int = 0, **fields: Any) -> Any:
    """An event as a reader decodes it."""
    values = EVENT_CODECS[kind].values
    blank = {name: b"" if name in ("client_order_id", "symbol") else 0 for name in values._fields}
    return values(**(blank | {"kind": int(kind), "flags": int(flags)} | fields))


def at_level(kind: EventKind, side: Side, level_lots: int, flags: int = 0, **fields: Any) -> Any:
    """An event that leaves `level_lots` at its level."""
    flags |= LEVEL_FLAG[side]
    return made(kind, flags, side=side, level_lots=level_lots, **fields)


def numbered(events: list[Any], first: int = 1) -> list[Any]:
    """The same events, numbered from `first` on."""
    return [event._replace(sequence=number) for number, event in enumerate(events, first)]
