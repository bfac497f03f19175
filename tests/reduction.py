"""Makes a stream that shows a difference short, so that a person can read it.

Commands are taken out as long as the difference remains. An order that is taken out leaves a
command behind that risk refuses, so that all others keep their engine order ids.
"""

import time
from collections.abc import Callable

from engine.messages import CommandKind, EventKind, OrderType, RejectReason, TimeInForce
from tests.acts import STRANGER
from tests.desk import Stream
from tools.twin import Command, Event

Differs = Callable[[list[Command]], bool]


def reduce(stream: Stream, differs: Differs, seconds: float = 60.0) -> list[Command]:
    """A short part of a stream for which `differs` still holds, found within some seconds."""
    deadline = time.monotonic() + seconds
    kept = list(range(len(stream.commands)))
    size = max(1, len(kept) // 2)
    while size and time.monotonic() < deadline:
        start = len(kept)
        while start > 0 and time.monotonic() < deadline:
            begin = max(0, start - size)
            fewer = kept[:begin] + kept[start:]
            if fewer and differs(thinned(stream, fewer)):
                kept = fewer
            start = begin
        size //= 2
    return thinned(stream, kept)


def thinned(stream: Stream, kept: list[int]) -> list[Command]:
    """The commands at some places, ascending; for orders before the last one, what keeps ids."""
    wanted, named = set(kept), _places_of_orders(stream)
    made: list[Command] = []
    for place, command in enumerate(stream.commands[: kept[-1] + 1]):
        if place in wanted:
            made.append(command)
        elif place in named:
            made.append(_nobodys())
    return [command._replace(sequence=number) for number, command in enumerate(made, start=1)]


def _places_of_orders(stream: Stream) -> set[int]:
    """Which commands got an order id; a duplicate is told the id of another."""
    duplicate = RejectReason.DUPLICATE_CLIENT_ORDER_ID
    answers = (EventKind.ACCEPTED, EventKind.REJECTED)
    return {
        event.dseq - 1
        for event in stream.events
        if event.kind in answers and event.order_id and event.reason != duplicate
    }


def is_filler(command: Command) -> bool:
    """Whether a command only keeps ids."""
    return command.kind == CommandKind.NEW and command.account == STRANGER


def _nobodys() -> Command:
    """An order that gets an id and is refused."""
    return Command(
        0,
        int(CommandKind.NEW),
        order_type=int(OrderType.MARKET),
        time_in_force=int(TimeInForce.IOC),
        account=STRANGER,
        qty_lots=1_000,
    )


def as_text(message: Command | Event) -> str:
    """What a command or an event says, without the fields that are zero."""
    kinds = CommandKind if isinstance(message, Command) else EventKind
    fields = message._asdict()
    kind = fields.pop("kind")
    name = kinds(kind).name if kind in list(kinds) else f"kind {kind}"
    told = (f"{key}={_plain(value)!r}" for key, value in fields.items() if value)
    return f"{name} {' '.join(told)}"


def _plain(value: int | bytes) -> int | bytes:
    return value if isinstance(value, bytes) else int(value)
