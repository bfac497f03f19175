"""What whoever runs the venue asks for: phases, the clock, instruments and their terms.

These are commands in the same sequence as orders. The replies are made from the gateway's view,
which has applied the events by then.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from engine.config import NO_FEE_ACCOUNT, Config
from engine.instrument_table import InstrumentTable, make_instrument
from engine.instruments import COLLAR_BPS_MAX, Instrument
from engine.messages import CommandFlag, CommandKind, Listing, Phase
from engine.reference import TERM_NUMBERS, UNLISTED_TERMS
from engine.schema import Problems, read
from gateway.documents import Document, instrument_document, time_text
from gateway.entry.amounts import lots_of, time_ns_of, units_of
from gateway.entry.orders import OrderEntry
from gateway.entry.pending import Answer, Reply, Request
from gateway.entry.replies import concluded
from gateway.entry.terms import Values
from gateway.errors import BadInstrument, Contradiction, QuantityOutOfRange
from gateway.schema import InstrumentLimits
from gateway.view import VenueView

_PHASES: Final = {phase.name.lower(): phase for phase in Phase}
_ASK: Final = "ask for /api/v1/instruments to see"


class Administration:
    """Commands that are no orders."""

    def __init__(self, config: Config, view: VenueView, entry: OrderEntry) -> None:
        """Over the same pending commands as order entry."""
        self._config = config
        self._view = view
        self._entry = entry

    def set_phase(self, symbol: str, phase: str, answer: Answer) -> None:
        """Bring an instrument into a phase."""
        instrument = self._entry.instrument(symbol)
        command = {
            "kind": CommandKind.PHASE,
            "instrument": instrument.index,
            "flags": CommandFlag.TERMS,
            "phase": _PHASES[phase],
        }
        self._send([command], answer, partial(self._document, instrument.index))

    def tick(self, at: str | int, answer: Answer) -> None:
        """Move the venue's clock; it never goes back."""
        command = {
            "kind": CommandKind.TICK,
            "flags": CommandFlag.TERMS,
            "at_ns": time_ns_of(at, "at"),
        }
        self._send([command], answer, lambda: {"clock": time_text(self._view.listings.clock_ns)})

    def list_instrument(self, table: dict[str, Any], answer: Answer) -> None:
        """List an instrument; `table` is one of [[instruments]] of the configuration."""
        listings = self._view.listings
        number = listings.next_number()
        if number is None:
            raise BadInstrument("the venue has as many instruments as it can")
        made = self._made(table, number)
        commands = _set_terms(
            number, _terms_of(made), {**UNLISTED_TERMS, **listings.set_terms(number)}
        )
        commands.append(
            {
                "kind": CommandKind.INSTRUMENT,
                "instrument": number,
                "order_id": Listing.LIST,
                "qty_lots": made.phase,
                "client_order_id": made.symbol.encode(),
            }
        )

        def conclude(events: list[Any]) -> Reply:
            listings.forget_plan(number)  # it is listed by now, or was refused
            return concluded(events, partial(self._document, number), 201)

        self._entry.pending.send(commands, Request(answer, conclude, _ASK))
        listings.plan(made)

    def _made(self, table: dict[str, Any], number: int) -> Instrument:
        """The instrument of a table; BadInstrument lists all that is wrong with it."""
        problems = Problems()
        written = read(InstrumentTable, table, "instrument", problems)
        made = None
        if written is not None:
            assets = {asset.name: asset for asset in self._config.assets}
            for key in ("base", "quote"):
                name = getattr(written, key)
                if name not in assets:
                    problems.note(f"instrument.{key}", f"one of {', '.join(assets)}", name)
            if written.symbol in self._view.listings.symbols:
                problems.note("instrument.symbol", "a symbol that is not listed", written.symbol)
            if written.schedule or written.shard is not None:
                field = "schedule" if written.schedule else "shard"
                problems.say(f"instrument.{field}", "only the configuration can say this")
            if not problems.found:
                base, quote = assets[written.base], assets[written.quote]
                made = make_instrument(written, number, base, quote, problems)
            if made is not None and made.has_fees and self._config.risk.fee_account is None:
                problems.say("instrument.fees", NO_FEE_ACCOUNT)
                made = None
        if made is None:
            raise BadInstrument("; ".join(problems.found), problems=problems.found)
        return made

    def delist(self, symbol: str, answer: Answer) -> None:
        """Cancel all orders of an instrument and take it off the list."""
        instrument = self._entry.instrument(symbol)
        command = {
            "kind": CommandKind.INSTRUMENT,
            "instrument": instrument.index,
            "order_id": Listing.DELIST,
        }
        self._send([command], answer, lambda: {"symbol": instrument.symbol, "listed": False})

    def change(self, symbol: str, limits: InstrumentLimits, answer: Answer) -> None:
        """Set terms of an instrument for the commands that follow."""
        instrument = self._entry.instrument(symbol)
        terms = self._changed_terms(limits, instrument)
        if not terms:
            fields = ", ".join(InstrumentLimits.__struct_fields__)
            raise Contradiction(f"expected at least one of {fields}, found none")
        number = instrument.index
        before = {name: getattr(instrument, name) for name in terms}
        before |= {name: getattr(instrument, name) for name in _MOST_OF.values()}
        commands = _set_terms(number, terms, before)
        if not commands:  # all of it is so already
            answer(Reply(200, self._document(number)))
            return
        self._send(commands, answer, partial(self._document, number))

    def _changed_terms(self, limits: InstrumentLimits, instrument: Instrument) -> dict[str, int]:
        terms: dict[str, int] = {}
        for field, name in (("quantity_min", "qty_min_lots"), ("quantity_max", "qty_max_lots")):
            text = getattr(limits, field)
            if text is not None:
                terms[name] = lots_of(text, instrument, field)
        quote = self._config.assets[instrument.quote_asset_index]
        for field, name in (
            ("notional_min", "notional_min_units"),
            ("notional_max", "notional_max_units"),
        ):
            text = getattr(limits, field)
            if text is not None:
                terms[name] = units_of(text, quote, field)
        for field in ("collar_bps", "static_band_bps", "dynamic_band_bps"):
            value = getattr(limits, field)
            if value is not None:
                if not 0 <= value <= COLLAR_BPS_MAX:
                    raise QuantityOutOfRange(
                        f"expected 0 to {COLLAR_BPS_MAX}, found {value}", field
                    )
                terms[field] = value
        for least, most in _MOST_OF.items():
            now = {name: getattr(instrument, name) for name in (least, most)} | terms
            if now[least] > now[most]:
                raise Contradiction("the least would be more than the most", _FIELDS[least])
        return terms

    def _document(self, number: int) -> Document:
        listings = self._view.listings
        return instrument_document(
            listings.instruments[number], listings.phases[number], self._config
        )

    def _send(
        self, commands: list[Values], answer: Answer, document: Callable[[], Document]
    ) -> None:
        conclude = partial(concluded, document=document)
        self._entry.pending.send(commands, Request(answer, conclude, _ASK))


_MOST_OF: Final = {
    "price_min_ticks": "price_max_ticks",
    "qty_min_lots": "qty_max_lots",
    "notional_min_units": "notional_max_units",
    "maintenance_bps": "initial_bps",
}
"""The term that is never less than another."""

_FIELDS: Final = {"qty_min_lots": "quantity_min", "notional_min_units": "notional_min"}


def _set_terms(number: int, terms: dict[str, int], before: dict[str, int]) -> list[Values]:
    """Commands that set terms one by one, in an order in which each fits those before it.

    Ingest refuses a step after which a least would be more than its most, or a tick table whose
    ranges are not all there.
    """
    most_first = {
        most for least, most in _MOST_OF.items() if terms.get(least, 0) > before.get(most, 0)
    }
    last = {*_MOST_OF.values(), "step_count"} - most_first
    names = sorted(terms, key=lambda name: (name not in most_first) + (name in last))
    return [
        {
            "kind": CommandKind.INSTRUMENT,
            "instrument": number,
            "order_id": TERM_NUMBERS[name],
            "qty_lots": terms[name],
        }
        for name in names
        if terms[name] != before.get(name, 0)
    ]


def _terms_of(instrument: Instrument) -> dict[str, int]:
    """All terms of an instrument that commands may set, by name."""
    terms = {
        "base_asset": instrument.base_asset_index,
        "quote_asset": instrument.quote_asset_index,
        "step_count": len(instrument.price_steps),
    }
    for name in TERM_NUMBERS:
        value = getattr(instrument, name, None)
        if isinstance(value, int) and name not in ("phase", "shard"):
            terms[name] = int(value)
    for name in ("maker_rates", "taker_rates"):
        for tier, rate in enumerate(getattr(instrument, name)):
            terms[f"{name}[{tier}]"] = rate
    for index, (first, step) in enumerate(instrument.price_steps):
        terms[f"step_from[{index}]"], terms[f"step_ticks[{index}]"] = first, step
    return terms
