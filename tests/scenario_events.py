"""The words in which scenario tables say events.

    trade 3 @ 100: C leaves 1, A leaves 7, ask 100: 8

A line tells all that its event tells, but for numbers in sequence, times, and what an order says
of itself in every event: `scenario_table` checks these by themselves.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.messages import (
    EventFlag,
    EventKind,
    Funds,
    Listing,
    Phase,
    RejectReason,
    Scope,
    Side,
)
from engine.reference import TERM_NUMBERS
from engine.rules import RULES_BY_NUMBER
from tests.scenario_commands import ASSETS, PEOPLE, SECOND_NS, SYMBOLS

TERM_NAMES: Final = {number: name for name, number in TERM_NUMBERS.items()}


class Speaker:
    """Says events in words, with the names that a scenario gave to its orders."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}

    def order(self, order_id: int) -> str:
        """The name of an order."""
        return self.names.get(order_id, f"order-{order_id}")

    def say(self, event: Any) -> str:
        """All that an event tells, but for its numbers, times and what the order said of itself."""
        verb, saying = SAYINGS[EventKind(event.kind)]
        text = saying(self, verb, event)
        if event.instrument and event.kind not in WITH_ITS_OWN:
            return f"{text} on {SYMBOLS[event.instrument]}"
        return text

    def ordered(self, verb: str, event: Any) -> str:
        """ACCEPTED and REJECTED."""
        return f"{verb} {self.order(event.order_id)}{_why(event)}{_level(event, event.price_ticks)}"

    def matched(self, verb: str, event: Any) -> str:
        """TRADE and PREVENTED."""
        verb = "uncross" if event.flags & EventFlag.AUCTION else verb
        hidden = " (hidden)" if event.flags & EventFlag.HIDDEN else ""
        return (
            f"{verb} {event.qty_lots} @ {event.price_ticks}:"
            f" {self.order(event.order_id)} leaves {event.leaves_lots},"
            f" {self.order(event.maker_order_id)}{hidden} leaves {event.maker_leaves_lots}"
            f"{_level(event, event.price_ticks)}"
        )

    def changed(self, verb: str, event: Any) -> str:
        """RESTED, CANCELED, REPLACED, TRIGGERED and BOOKED."""
        lots = f"{event.leaves_lots}"
        if event.qty_lots != event.leaves_lots:
            lots += f" of {event.qty_lots}"
        price, level_price = f" @ {event.price_ticks}", event.price_ticks
        if event.kind == EventKind.CANCELED:
            price = ""
        elif event.kind == EventKind.REPLACED:
            level_price = event.previous_price_ticks
            if level_price != event.price_ticks:
                price += f", was {level_price}"
        name = self.order(event.order_id)
        return f"{verb} {name} {lots}{price}{_why(event)}{_level(event, level_price)}"

    def refused(self, verb: str, event: Any) -> str:
        """A refused cancel or amendment."""
        return f"{verb} {self.order(event.order_id)}{_why(event)}"

    def level(self, verb: str, event: Any) -> str:
        """LEVEL: of a peg that left it, or after an uncross."""
        name = self.order(event.order_id) if event.order_id else "after uncross"
        return f"{verb} {name}{_level(event, event.price_ticks)}"

    def phased(self, verb: str, event: Any) -> str:
        """PHASED."""
        text = f"{verb} {Phase(event.phase).name.lower().replace('_', '-')}"
        return f"{text} until {_seconds(event.at_ns)}" if event.at_ns else text

    def indicative(self, verb: str, event: Any) -> str:
        """INDICATIVE."""
        if event.qty_lots == 0:
            return f"{verb} nothing"
        text = f"{verb} {event.qty_lots} @ {event.price_ticks}"
        if event.leaves_lots == 0:
            return text
        return f"{text}, {event.leaves_lots} more to {Side(event.side).name.lower()}"

    def clock(self, verb: str, event: Any) -> str:
        """CLOCK."""
        return f"{verb} {_seconds(event.at_ns)}"

    def done(self, verb: str, event: Any) -> str:
        """DONE."""
        what = "snapshot" if event.flags & EventFlag.SNAPSHOT else "mass cancel"
        return f"{what} {verb} {event.qty_lots}"

    def instrument(self, verb: str, event: Any) -> str:
        """INSTRUMENT."""
        if event.order_id == Listing.DELIST:
            return "delisted"
        return f"{verb} {TERM_NAMES[event.order_id]} {event.qty_lots}"

    def funded(self, verb: str, event: Any) -> str:
        """FUNDED."""
        text = f"{verb} {Funds(event.side).name.lower()} {PEOPLE[event.account - 1]}"
        text = f"{text} {event.qty_lots} {ASSETS[event.instrument]}"
        if event.side == Funds.TRANSFER:
            return f"{text} to {PEOPLE[event.price_ticks - 1]}"
        return text

    def ruled(self, verb: str, event: Any) -> str:
        """RULED."""
        names = {Scope.SYMBOL: SYMBOLS[event.instrument]} if event.instrument < len(SYMBOLS) else {}
        if event.account:
            names |= dict.fromkeys((Scope.GROUP, Scope.ACCOUNT), PEOPLE[event.account - 1])
        words = [verb, Scope(event.order_type).name.lower(), names.get(event.order_type, "")]
        words += [RULES_BY_NUMBER[event.order_id].name, str(event.qty_lots)]
        return " ".join(filter(None, words))

    def marked(self, verb: str, event: Any) -> str:
        """MARKED."""
        return f"{verb} {event.price_ticks}"

    def checked(self, verb: str, event: Any) -> str:
        """CHECKED."""
        return f"{verb} {Side(event.side).name.lower()} {event.qty_lots} @ {event.price_ticks}"

    def top(self, verb: str, event: Any) -> str:
        """TOP: bid and ask."""
        bid = event.price_ticks if event.qty_lots else "-"
        return f"{verb} {bid} / {event.previous_price_ticks if event.leaves_lots else '-'}"

    def admin(self, verb: str, event: Any) -> str:
        """ADMIN_REJECTED."""
        return f"{verb}{_why(event)}"


def _why(event: Any) -> str:
    return f" {RejectReason(event.reason).name}" if event.reason else ""


def _seconds(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{seconds}s" if not rest else f"{time_ns}ns"


def _level(event: Any, price_ticks: int) -> str:
    sides = {"bid": EventFlag.LEVEL_BID, "ask": EventFlag.LEVEL_ASK}
    names = [name for name, flag in sides.items() if event.flags & flag]
    return "".join(f", {name} {price_ticks}: {event.level_lots}" for name in names)


Saying = Callable[[Speaker, str, Any], str]

SAYINGS: Final[Mapping[EventKind, tuple[str, Saying]]] = {
    EventKind.ACCEPTED: ("accepted", Speaker.ordered),
    EventKind.REJECTED: ("rejected", Speaker.ordered),
    EventKind.TRADE: ("trade", Speaker.matched),
    EventKind.PREVENTED: ("prevented", Speaker.matched),
    EventKind.RESTED: ("rested", Speaker.changed),
    EventKind.CANCELED: ("canceled", Speaker.changed),
    EventKind.REPLACED: ("replaced", Speaker.changed),
    EventKind.TRIGGERED: ("triggered", Speaker.changed),
    EventKind.BOOKED: ("booked", Speaker.changed),
    EventKind.CANCEL_REJECTED: ("cancel-rejected", Speaker.refused),
    EventKind.REPLACE_REJECTED: ("amend-rejected", Speaker.refused),
    EventKind.LEVEL: ("level", Speaker.level),
    EventKind.PHASED: ("phase", Speaker.phased),
    EventKind.INDICATIVE: ("indicative", Speaker.indicative),
    EventKind.CLOCK: ("clock", Speaker.clock),
    EventKind.DONE: ("done", Speaker.done),
    EventKind.INSTRUMENT: ("set", Speaker.instrument),
    EventKind.ADMIN_REJECTED: ("refused", Speaker.admin),
    EventKind.FUNDED: ("funded", Speaker.funded),
    EventKind.RULED: ("ruled", Speaker.ruled),
    EventKind.MARKED: ("marked", Speaker.marked),
    EventKind.CHECKED: ("checked", Speaker.checked),
    EventKind.TOP: ("top", Speaker.top),
}
"""How each kind of event is said; CHECKPOINTs belong to no command and never get here."""

WITH_ITS_OWN: Final = {EventKind.FUNDED, EventKind.RULED, EventKind.ADMIN_REJECTED}
"""Kinds that say themselves what their number of an instrument stands for, or do not say it."""

VERBS: Final = {verb for verb, _ in SAYINGS.values()} | {"uncross", "snapshot", "mass", "delisted"}
"""What a line about an event begins with."""
