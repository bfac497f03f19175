"""What a replay is made of: a plan goes in, a result comes out.

A format module reads a file into a `Plan`: the commands to send, in order, from one source, and
the venue they need. The driver sends them through the engine and keeps every event slot. The
format's `verify` then derives its oracle's facts from these slots alone and returns a `Result`.

The engine must be fresh and the plan its only source: plans count on order ids, event sequences
and source sequences that begin at 1.
"""

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from engine.limits import BALANCE_MAX, CHECKPOINT_INTERVAL, QTY_LOTS_MAX
from engine.messages import Command, Event, EventFlag, EventKind, slot_dtype
from ipc.record import numpy_dtype

COMMAND: Final = numpy_dtype(Command)
EVENT: Final = slot_dtype(Event)
"""What all events have; fields of one kind are read with the dtype of that kind."""

ALL: Final = BALANCE_MAX // 4
"""Units of each asset that a replay's account owns: no order of a replay fails for money."""

LINES_MAX: Final = 20
"""Faults of one sort that are shown in full before they are only counted."""

Table = dict[str, Any]
"""A table as `engine.config.Config.build` takes it."""


@dataclass(frozen=True)
class Plan:
    """The commands of a replay and the venue for them."""

    commands: npt.NDArray[Any]
    "Of dtype COMMAND; sequence, source and stamp are left to whoever sends them."
    assets: tuple[Table, ...]
    instruments: tuple[Table, ...]
    "A command's `instrument` is an index into these."
    accounts: tuple[Table, ...]

    @property
    def tables(self) -> dict[str, tuple[Table, ...]]:
        """Arguments for `Config.build`, to which the driver may add rings and a name."""
        return {
            "assets": self.assets,
            "instruments": self.instruments,
            "accounts": self.accounts,
        }


@dataclass(frozen=True)
class Result:
    """What a verification found; subclasses add the counts of their format."""

    ok: bool
    lines: tuple[str, ...]
    "For people: what was explained, what was wrong."

    rate_of: ClassVar[str] = ""
    "Which count is also reported per second."

    def report(self, seconds: float) -> dict[str, Any]:
        """The fields for --json, with the rate when sending took `seconds`."""
        report = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("ok", "lines")
        }
        if self.rate_of:
            report[f"{self.rate_of}_per_s"] = round(report[self.rate_of] / seconds, 1)
        return report | {"ok": self.ok}


class CommandList:
    """The commands of a plan while it is being made."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, **values: int | bytes) -> int:
        """Append a command with these fields, the others zero; returns its index."""
        self._rows.append(values)
        return len(self._rows) - 1

    def array(self) -> npt.NDArray[Any]:
        """All commands as one array of dtype COMMAND."""
        commands = np.zeros(len(self._rows), COMMAND)
        for name in sorted({name for row in self._rows for name in row}):
            empty: int | bytes = b"" if COMMAND[name].kind == "S" else 0
            commands[name] = [row.get(name, empty) for row in self._rows]
        return commands


def asset(name: str, decimals: int) -> Table:
    """An asset table."""
    return {"name": name, "decimals": decimals}


def rich_account(number: int, name: str, assets: tuple[Table, ...]) -> Table:
    """An account that owns ALL units of every asset."""
    balances = {table["name"]: units(ALL, table["decimals"]) for table in assets}
    return {"number": number, "name": name, "balances": balances}


def unlimited(lot: str, base: Table, quote: Table) -> Table:
    """The keys of an instrument table that let every order pass that fits the engine."""
    most_lots = min(QTY_LOTS_MAX, int(BALANCE_MAX / Decimal(lot).scaleb(base["decimals"])))
    return {
        "qty_max": f"{most_lots * Decimal(lot):f}",
        "notional_max": units(BALANCE_MAX, quote["decimals"]),
    }


def units(count: int, decimals: int) -> str:
    """`count` units of an asset with so many decimals, as plain decimal text."""
    return f"{Decimal(count).scaleb(-decimals):f}"


def stream_faults(commands: int, slots: npt.NDArray[np.uint8]) -> list[str]:
    """What is wrong with the shape of an event stream that should answer so many commands.

    Sound: sequences are dense from 1 but for the CHECKPOINT after every CHECKPOINT_INTERVAL
    commands, which answers none and is not among the slots; each command is answered, the answers
    to one command lie together, and the last of them, and only that, carries LAST.
    """
    events = slots.view(EVENT)[:, 0]
    sequence, answers = events["sequence"], events["source_sequence"]
    faults = []
    checkpoints = (answers - 1) // CHECKPOINT_INTERVAL
    if not np.array_equal(sequence - checkpoints, np.arange(1, len(sequence) + 1)):
        faults.append("event sequences are not dense: events are missing or in another order")
    last = (events["flags"] & EventFlag.LAST) != 0
    if not np.array_equal(answers[last], np.arange(1, commands + 1)):
        faults.append(
            f"{np.count_nonzero(last)} answers end in LAST; expected one for each of the "
            f"{commands} commands, in order"
        )
    turns = np.flatnonzero(np.diff(answers) != 0)
    if not last[turns].all() or (len(last) and not last[-1]):
        faults.append("events of one command are not together, or its last one lacks LAST")
    return faults


def rejections(slots: npt.NDArray[np.uint8]) -> list[str]:
    """One line for each command that the engine refused, at most LINES_MAX, and the rest."""
    events = slots.view(EVENT)[:, 0]
    refusals = (
        EventKind.REJECTED,
        EventKind.CANCEL_REJECTED,
        EventKind.REPLACE_REJECTED,
        EventKind.ADMIN_REJECTED,
    )
    refused = events[np.isin(events["kind"], refusals)]
    return shortened(
        [
            f"command {event['source_sequence']} was refused: {EventKind(event['kind']).name}, "
            f"reason {event['reason']}"
            for event in refused
        ]
    )


def shortened(lines: list[str]) -> list[str]:
    """The first LINES_MAX lines and the number of the others."""
    rest = len(lines) - LINES_MAX
    return lines[:LINES_MAX] + ([f"... and {rest} more like this"] if rest > 0 else [])
