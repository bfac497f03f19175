"""The naive ingest: numbers commands, names orders, refuses what makes no sense, tells the time.

Reads commands of all sources in the order they are given; writes one sequenced command each.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from engine.limits import CLIENT_ORDER_IDS_MAX, INSTRUMENTS_MAX, INTERNAL_SOURCE
from engine.messages import CommandFlag, CommandKind, Listing, RejectReason, Scope
from engine.reference import TERM_NUMBERS
from tools.twin import form
from tools.twin.instrument import UNLISTED, Instrument, terms_of
from tools.twin.messages import Command, Sequenced

CHANGES = (CommandKind.CANCEL, CommandKind.AMEND)
NUMBERED = (CommandKind.NEW, CommandKind.FUNDS)
"""What gets an id, under which its name is remembered."""
NAMED_BY_ORDER_ID = (*CHANGES, CommandKind.INSTRUMENT, CommandKind.RULE)
LISTED_OR_NOT = (
    CommandKind.INSTRUMENT,
    CommandKind.TICK,
    CommandKind.FUNDS,
    CommandKind.RULE,
)
"""What may name an instrument that is not listed, or something else by its number."""
NAMES = {number: name for name, number in TERM_NUMBERS.items()}


NOT_FOR_CLIENTS = (CommandKind.WATERMARK, CommandKind.BARRIER, CommandKind.SKIP)
"""Risk's and the supervisor's; here all sources are clients."""


class Scheduled(NamedTuple):
    """A phase at a time of day."""

    second: int
    instrument: int
    phase: int
    weekdays: frozenset[int] = frozenset(range(7))
    "0 for Monday."


class Ingest:
    """Sequence numbers, order ids, the memory of client order ids, the terms and the time."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        client_order_ids_max: int = CLIENT_ORDER_IDS_MAX - 1,
        tick_ns: int = 0,
        schedule: Sequence[Scheduled] = (),
        assets: int | None = None,
        risk_source: int = 1,
    ) -> None:
        """Nothing sequenced yet; remembers the newest `client_order_ids_max` client ids.

        Without `assets` there are as many as the instruments need.
        """
        self._terms = [terms_of(instrument) for instrument in instruments]
        self._terms += [dict(UNLISTED) for _ in range(INSTRUMENTS_MAX - len(instruments))]
        named = [max(each.base_asset_index, each.quote_asset_index) for each in instruments]
        self._assets = max(named, default=0) + 1 if assets is None else assets
        self._risk_source = risk_source
        self._remembered_max = client_order_ids_max
        self._remembered: dict[tuple[int, bytes], int] = {}
        self._commands = 0
        self._orders = 0
        self._tick_ns = tick_ns
        self._schedule = sorted(schedule, key=lambda each: (each.second, each.instrument))
        self._told_ns = -1

    def sequence(self, command: Command, time_ns: int = 0) -> Sequenced:
        """Number, check and identify one command."""
        self._commands += 1
        reason = next(self._faults(command), RejectReason.NONE)
        name = (command.account, command.client_order_id)
        known_id = self._remembered.get(name, 0) if command.client_order_id else 0
        order_id = command.order_id if command.kind in NAMED_BY_ORDER_ID else 0
        if command.kind in NUMBERED:
            if not reason and known_id:
                reason, order_id = RejectReason.DUPLICATE_CLIENT_ORDER_ID, known_id
            elif not reason:
                self._orders += 1
                order_id = self._orders
                self._remember(name, order_id)
        elif command.kind == CommandKind.CHECK and not reason and known_id:
            reason = RejectReason.DUPLICATE_CLIENT_ORDER_ID
        elif command.kind in CHANGES and not reason and order_id == 0:
            reason = RejectReason.NONE if known_id else RejectReason.UNKNOWN_CLIENT_ORDER_ID
            order_id = known_id
        elif command.kind == CommandKind.INSTRUMENT and not reason:
            self._change(command)
        fields = command._asdict() | {
            "sequence": self._commands,
            "reason": reason,
            "order_id": order_id,
            "source_sequence": command.sequence,
            "time_ns": time_ns,
        }
        return Sequenced(**fields)

    def tell_time(self, now_ns: int) -> list[Sequenced]:
        """The phases and the tick that are due at a moment."""
        at_ns = now_ns // self._tick_ns * self._tick_ns if self._tick_ns else 0
        if self._tick_ns == 0 or at_ns <= self._told_ns:
            return []
        due = self._due_since(self._told_ns, at_ns) if self._told_ns >= 0 else self._now(at_ns)
        self._told_ns = at_ns
        made = [
            self._internal(CommandKind.PHASE, now_ns, instrument=each.instrument, phase=each.phase)
            for each in due
            if self._terms[each.instrument]["listed"]
        ]
        return [*made, self._internal(CommandKind.TICK, now_ns, at_ns=at_ns)]

    def terms(self, instrument: int) -> dict[str, int]:
        """The terms of an instrument as commands have left them."""
        return dict(self._terms[instrument])

    def _internal(self, kind: int, time_ns: int, **fields: Any) -> Sequenced:
        flags, source = CommandFlag.TERMS, INTERNAL_SOURCE
        return self.sequence(Command(0, kind, flags=flags, source=source, **fields), time_ns)

    def _due_since(self, after_ns: int, until_ns: int) -> list[Scheduled]:
        """Every entry with a time in between, in order."""
        due = []
        day = datetime.fromtimestamp(after_ns // 10**9, UTC).date()
        while _midnight_ns(day) <= until_ns:
            for each in self._schedule:
                at_ns = _midnight_ns(day) + each.second * 10**9
                if day.weekday() in each.weekdays and after_ns < at_ns <= until_ns:
                    due.append(each)
            day += timedelta(days=1)
        return due

    def _now(self, now_ns: int) -> list[Scheduled]:
        """For each instrument the last entry of the week before a moment."""
        week_ns = 7 * 86_400 * 10**9
        last = {each.instrument: each for each in self._due_since(now_ns - week_ns, now_ns)}
        return [last[instrument] for instrument in sorted(last)]

    def _faults(self, command: Command) -> Iterator[RejectReason]:
        """All that is wrong with a command, what counts first."""
        kind = command.kind
        if kind not in tuple(CommandKind) or kind in NOT_FOR_CLIENTS:
            yield RejectReason.UNKNOWN_COMMAND
        if kind == CommandKind.FUNDS:
            yield from form.faults_of_funds(command, self._assets)
            return
        if kind == CommandKind.RULE and command.order_type not in tuple(Scope):
            yield RejectReason.BAD_SCOPE
        if command.instrument >= INSTRUMENTS_MAX:
            yield RejectReason.UNKNOWN_INSTRUMENT
        terms = self._terms[command.instrument]
        of_symbol = kind == CommandKind.RULE and command.order_type == Scope.SYMBOL
        if (of_symbol or kind not in LISTED_OR_NOT) and not terms["listed"]:
            yield RejectReason.UNKNOWN_INSTRUMENT
        if kind in (CommandKind.NEW, CommandKind.CHECK):
            by_risk = command.source == self._risk_source
            yield from form.faults_of_new(command, terms, by_risk)
        elif kind == CommandKind.MARK:
            yield from form.faults_of_mark(command, terms)
        elif kind == CommandKind.AMEND:
            yield from form.faults_of_amend(command, terms)
        elif kind == CommandKind.INSTRUMENT:
            yield from self._faults_of_instrument(command)
        else:
            yield from form.faults_of_operation(command)

    def _faults_of_instrument(self, command: Command) -> Iterator[RejectReason]:
        terms, number = self._terms[command.instrument], command.order_id
        if number == Listing.LIST:
            yield from form.faults_of_listing(command, terms)
            return
        if command.flags:
            yield RejectReason.BAD_FLAGS
        if number == Listing.DELIST:
            wrong = not terms["listed"]
        else:
            name = NAMES.get(number)
            wrong = any(form.faults_of_term(name, command.qty_lots, terms, self._assets))
        if wrong:
            yield RejectReason.BAD_TERM

    def _change(self, command: Command) -> None:
        terms, number = self._terms[command.instrument], command.order_id
        if number == Listing.LIST:
            terms |= {"listed": 1, "was_listed": 1, "phase": command.qty_lots}
        elif number == Listing.DELIST:
            terms["listed"] = 0
        else:
            terms[NAMES[number]] = command.qty_lots

    def _remember(self, name: tuple[int, bytes], order_id: int) -> None:
        if not name[1]:
            return
        self._remembered[name] = order_id
        if len(self._remembered) > self._remembered_max:
            del self._remembered[next(iter(self._remembered))]


def _midnight_ns(day: object) -> int:
    """Unix time at which a day begins."""
    return int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 10**9
