"""Plans of replays through the naive venue, so that formats are judged without the engine.

And through the engine in one process, where it is the engine that is judged.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.config import Config
from engine.inprocess import InProcessVenue
from engine.messages import EVENT_CODECS, MESSAGE_BYTES, TERMS_CODEC, EventFlag, EventKind
from tools.replay import Plan, meb
from tools.twin import Command, Instrument, Venue

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
"""Recordings that do not come with the product."""


def shared(name: str) -> Path:
    """A file or folder of SHARED; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not in {SHARED}: this recording does not come with okimi")
    return path


def venue_of(plan: Plan) -> Venue:
    """The naive venue that a plan asks for, by way of the engine's configuration."""
    config = Config.build(**plan.tables)
    instruments = [
        Instrument(*(getattr(instrument, name) for name in Instrument._fields))
        for instrument in config.instruments
    ]
    balances = {
        account.number: {balance.asset_index: balance.units for balance in account.balances}
        for account in config.accounts
    }
    return Venue(instruments, balances)


def commands_of(plan: Plan) -> list[Command]:
    """A plan's commands as its only source sends them."""
    columns = [plan.commands[name].tolist() for name in Command._fields]
    rows = map(Command._make, zip(*columns, strict=True))
    return [row._replace(sequence=number) for number, row in enumerate(rows, start=1)]


def slots_of(plan: Plan) -> npt.NDArray[np.uint8]:
    """The event slots that the naive venue answers a plan with."""
    raw = bytearray()
    venue = venue_of(plan)
    for command in commands_of(plan):
        for event in venue.submit(command):
            terms = event.flags & EventFlag.TERMS
            codec = TERMS_CODEC if terms else EVENT_CODECS[EventKind(event.kind)]
            raw += codec.encode(**event._asdict()).ljust(MESSAGE_BYTES, b"\0")
    return np.frombuffer(raw, np.uint8).reshape(-1, MESSAGE_BYTES).copy()


def engine_slots(plan: Plan) -> npt.NDArray[np.uint8]:
    """The event slots that the engine answers a plan with, all its rings in this process."""
    venue = InProcessVenue(Config.build(**plan.tables))
    outcome = venue.run(plan.commands)
    assert len(outcome.events) == outcome.event_count
    return outcome.events


def workload(*rows: Sequence[int]) -> meb.Messages:
    """Messages [type, side, ioc, qty, order_id, price_ticks]."""
    kind, side, ioc, qty, order_id, price = np.array(rows, np.int64).reshape(-1, 6).T
    return meb.Messages(kind, side, ioc, qty, order_id, price)


def lines_of(plan: meb.MebPlan, slots: Any) -> list[str]:
    return [line for part in meb.report_lines(plan, slots) for line in part]
