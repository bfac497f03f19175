"""The seeded streams do what they are for: each preset hits its features, none runs dry or over.

Judged by what the naive venue answers; whether the engine agrees is `test_matching_properties`.
"""

from collections import Counter
from typing import Any

import pytest

from engine.messages import EventFlag, EventKind, RejectReason
from tests.bulk_streams import PRESETS, bulk
from tests.desk import Stream
from tools.twin import Event

COUNT = 3_000

WANTED: dict[str, tuple[EventKind | RejectReason, ...]] = {
    "calm": (EventKind.TRADE, EventKind.REPLACED, RejectReason.WOULD_TRADE),
    "storm": (EventKind.REPLACED, RejectReason.REDUCED_TO_FILLED),
    "deep": (EventKind.TRADE, EventKind.RESTED),
    "wide": (EventKind.TRADE, EventKind.RESTED),
    "stops": (EventKind.TRIGGERED, RejectReason.NO_OPPOSITE, EventKind.CLOCK),
    "pegs": (EventKind.LEVEL, RejectReason.OFF_STEP),
    "icebergs": (RejectReason.BAD_DISPLAY, RejectReason.MINIMUM_UNFILLABLE),
    "auctions": (
        *(EventKind.PHASED, EventKind.INDICATIVE, EventKind.LEVEL, EventKind.CLOCK),
        *(RejectReason.PHASE_FORBIDS, RejectReason.AUCTION_OVER, RejectReason.VOLATILITY),
        *(RejectReason.EXPIRED, RejectReason.DAY_OVER),
    ),
    "lists": (RejectReason.LIST_DONE, RejectReason.LIST_BROKEN, EventKind.TRIGGERED),
    "prevention": (EventKind.PREVENTED, RejectReason.SELF_TRADE),
    "crowded": (RejectReason.TOO_MANY_WAITING, EventKind.LEVEL, EventKind.TRIGGERED),
    "everything": (
        *(EventKind.PREVENTED, EventKind.TRIGGERED, EventKind.PHASED, EventKind.BOOKED),
        *(EventKind.INSTRUMENT, EventKind.LEVEL, RejectReason.LIST_DONE, RejectReason.SELF_TRADE),
        *(RejectReason.MASS_CANCELED, RejectReason.LIST_BROKEN, RejectReason.NOT_AMENDABLE),
    ),
    "tops": (EventKind.TOP, EventKind.PHASED, EventKind.CLOCK),
}
"""What each preset is for."""

MONEY = (
    RejectReason.INSUFFICIENT_BALANCE,
    RejectReason.TOO_MANY_ORDERS,
    RejectReason.PRICE_COLLAR,
    RejectReason.NOTIONAL_ABOVE_MAX,
)
"""Reasons that depend on how far risk lags behind."""


@pytest.fixture(scope="module", params=PRESETS)
def written(request: pytest.FixtureRequest) -> tuple[str, Stream]:
    """One stream of each preset."""
    count = 3 * COUNT if request.param in ("everything", "crowded") else COUNT
    books = 1 if request.param == "crowded" else 3
    return request.param, bulk(11, count, PRESETS[request.param], books)


def told(events: list[Event]) -> Counter[EventKind | RejectReason]:
    """How often each kind and reason occurs."""
    kinds = Counter[EventKind | RejectReason](EventKind(event.kind) for event in events)
    return kinds + Counter(RejectReason(event.reason) for event in events if event.reason)


def test_a_preset_hits_what_it_is_for(written: tuple[str, Stream]) -> None:
    preset, stream = written
    found = told(stream.events)
    missing = [wanted.name for wanted in WANTED[preset] if not found[wanted]]
    assert not missing, f"{preset} has no {missing}: {found}"


def test_books_neither_run_dry_nor_grow_without_end(written: tuple[str, Stream]) -> None:
    preset, stream = written
    live = 0
    sizes = []
    ended: set[int] = set()
    event: Any
    for event in stream.events:
        if event.kind == EventKind.ACCEPTED:
            live += 1
        elif event.kind == EventKind.TRADE:
            gone = {event.order_id} if event.leaves_lots == 0 else set()
            gone |= {event.maker_order_id} if event.maker_leaves_lots == 0 else set()
            live -= len(gone)
            ended |= gone
        elif event.kind == EventKind.CANCELED:
            live -= 1
        if event.flags & EventFlag.LAST:
            sizes.append(live)
    crowd = PRESETS[preset].depth * len(stream.market.instruments)
    later = sizes[len(sizes) // 3 :]
    assert max(later) < 1.5 * crowd, preset
    assert sum(size > crowd // 10 for size in later) > 0.6 * len(later), preset


def test_nobody_runs_out_of_money(written: tuple[str, Stream]) -> None:
    _, stream = written
    found = told(stream.events)
    assert not any(found[reason] for reason in MONEY), found


def test_most_commands_are_taken(written: tuple[str, Stream]) -> None:
    preset, stream = written
    refused = (EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED)
    share = sum(told(stream.events)[kind] for kind in refused) / len(stream.commands)
    assert share < 0.2, f"{preset}: {share:.0%} refused"
