"""Makes a stream that shows a difference short, so that a person can read it.

Commands are taken out as long as the difference remains. An order that is taken out leaves a
command behind that risk refuses, so that all others keep their engine order ids.
"""

import time
from collections.abc import Callable

from engine.messages import CommandKind, OrderType, TimeInForce
from tests.acts import STRANGER
from tests.twin import Command

Differs = Callable[[list[Command]], bool]


def reduce(commands: list[Command], differs: Differs, seconds: float = 60.0) -> list[Command]:
    """A short part of `commands` for which `differs` still holds, found within some seconds."""
    deadline = time.monotonic() + seconds
    kept = list(range(len(commands)))
    size = max(1, len(kept) // 2)
    while size and time.monotonic() < deadline:
        start = len(kept)
        while start > 0 and time.monotonic() < deadline:
            begin = max(0, start - size)
            fewer = kept[:begin] + kept[start:]
            if fewer and differs(thinned(commands, fewer)):
                kept = fewer
            start = begin
        size //= 2
    return thinned(commands, kept)


def thinned(commands: list[Command], kept: list[int]) -> list[Command]:
    """The commands at some places, ascending; for orders before the last one, what keeps ids."""
    wanted = set(kept)
    made: list[Command] = []
    for place, command in enumerate(commands[: kept[-1] + 1]):
        if place in wanted:
            made.append(command)
        elif command.kind == CommandKind.NEW:
            made.append(_nobodys())
    return [command._replace(sequence=number) for number, command in enumerate(made, start=1)]


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


def as_text(command: Command) -> str:
    """What a command says, without what it does not."""
    fields = ", ".join(f"{name}={value!r}" for name, value in command._asdict().items() if value)
    return f"Command({fields})"
