"""The instruments as the events say: which there are, with which terms, in which phase.

The configuration says what is listed at the start; INSTRUMENT and PHASED events say everything
after that, whoever sent the commands. `VenueView` applies them; everybody else reads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final, NamedTuple

from engine.config import Config
from engine.directory import derived_steps
from engine.durability.history import Listed, Past, PastInstrument
from engine.instruments import NO_RATES, Instrument
from engine.limits import INSTRUMENTS_MAX
from engine.messages import Listing
from engine.reference import TERM_NUMBERS, UNLISTED_TERMS
from engine.tick_table import PriceStep
from ipc.record import text_of

TERM_NAMES: Final = {number: name for name, number in TERM_NUMBERS.items()}

_SAME_NAME: Final = TERM_NUMBERS.keys() & set(Instrument.__slots__) - {"phase", "shard"}
"""Terms that an Instrument has under the same name."""

_RATES: Final = ("maker_rates", "taker_rates")
"""Terms that an Instrument has as a tuple."""

_STEP_TERMS: Final = frozenset(name for name in TERM_NUMBERS if name.startswith("step_"))


class PhaseState(NamedTuple):
    """The phase of an instrument."""

    phase: int
    until_ns: int
    "When it ends by itself (an interruption); 0 for all others."


class Listings:
    """All instruments, by number and by symbol."""

    def __init__(self, config: Config) -> None:
        """As the venue begins."""
        self._config = config
        self.instruments: dict[int, Instrument] = {each.index: each for each in config.instruments}
        "By number; those that were delisted, too, because old orders are in them."
        self.phases = {each.index: PhaseState(int(each.phase), 0) for each in config.instruments}
        self.clock_ns = 0
        "The venue's clock; 0 before its first tick."
        self.version = 0
        "Counts the changes of anything here but the clock."
        self._by_symbol = {each.symbol: each for each in config.instruments}
        self._terms: dict[int, dict[str, int]] = {}
        "Terms that were set by events, by number of the instrument and name."
        self._planned: dict[int, Instrument] = {}

    def __iter__(self) -> Iterator[Instrument]:
        return iter(sorted(self._by_symbol.values(), key=lambda each: each.index))

    def instrument(self, symbol: str) -> Instrument:
        """The listed instrument of a symbol; KeyError when there is none."""
        return self._by_symbol[symbol]

    @property
    def symbols(self) -> set[str]:
        """Symbols that are listed or about to be."""
        return self._by_symbol.keys() | {each.symbol for each in self._planned.values()}

    def is_listed(self, number: int) -> bool:
        """Whether an instrument may be traded."""
        known = self.instruments.get(number)
        return known is not None and self._by_symbol.get(known.symbol) is known

    def plan(self, instrument: Instrument) -> None:
        """An instrument that this gateway is about to list, with its steps as they were written.

        Terms tell what money means, but not how many decimals a price is written with.
        """
        self._planned[instrument.index] = instrument

    def set_terms(self, number: int) -> Mapping[str, int]:
        """The terms of an instrument that events have set, by name."""
        return self._terms.get(number, {})

    def next_number(self) -> int | None:
        """A number that no instrument has had and none is planned for; None when all are used."""
        used = max((*self.instruments, *self._planned), default=-1)
        return used + 1 if used + 1 < INSTRUMENTS_MAX else None

    def forget_plan(self, number: int) -> None:
        """The instrument was not listed; its number may be used again."""
        self._planned.pop(number, None)

    # --- events --------------------------------------------------------------------------------

    def phased(self, event: Any) -> None:
        """PHASED."""
        self.phases[event.instrument] = PhaseState(event.phase, event.at_ns)
        self.version += 1

    def clocked(self, event: Any) -> None:
        """CLOCK."""
        self.clock_ns = max(self.clock_ns, event.at_ns)  # of several shards one may be behind

    def changed(self, event: Any) -> None:
        """INSTRUMENT: a term was set, or the instrument was listed or delisted."""
        number = event.instrument
        if event.order_id == Listing.LIST:
            self._list(number, text_of(event.symbol), event.qty_lots)
        elif event.order_id == Listing.DELIST:
            del self._by_symbol[self.instruments[number].symbol]
        else:
            self._set_term(number, TERM_NAMES[event.order_id], event.qty_lots)
        self.version += 1

    def take_over(self, pasts: Sequence[Past]) -> None:
        """Begin after events that have passed, by shard."""
        self.clock_ns = max(past.clock_ns for past in pasts)
        told = [each for past in pasts for each in past.instruments]
        # A symbol may have gone from one number to another: first free it, then give it away.
        for each in sorted(told, key=lambda each: each.listed == Listed.LISTED):
            for number, value in each.terms.items():
                self._set_term(each.number, TERM_NAMES[number], value)
            if each.listed != Listed.AS_CONFIGURED:
                self._list_anew(each)
            if each.phase is not None:
                self.phases[each.number] = PhaseState(each.phase, each.phase_ends_ns)
        self.version += 1

    def _list_anew(self, past: PastInstrument) -> None:
        """An instrument that events have listed or delisted."""
        known = self.instruments.get(past.number)
        if known is not None and self._by_symbol.get(known.symbol) is known:
            del self._by_symbol[known.symbol]
        if past.symbol is not None:
            made = self.instruments[past.number] = self._derived(past.number, past.symbol)
            if past.listed == Listed.LISTED:
                self._by_symbol[past.symbol] = made

    def _list(self, number: int, symbol: str, phase: int) -> None:
        made = self._planned.pop(number, None)
        if made is None or made.symbol != symbol:
            made = self._derived(number, symbol)
        self.instruments[number] = self._by_symbol[symbol] = made
        self.phases[number] = PhaseState(phase, 0)

    def _set_term(self, number: int, name: str, value: int) -> None:
        terms = self._terms.setdefault(number, {})
        terms[name] = value
        known = self.instruments.get(number)
        if known is None:
            return  # not listed yet: the terms come first
        if name in _STEP_TERMS:
            changes: dict[str, Any] = {"price_steps": _steps_of(known, terms)}
        elif name in _SAME_NAME:
            changes = {name: value}
        elif name.startswith(_RATES):
            rates = name.partition("[")[0]
            changes = {rates: _rates_of(getattr(known, rates), rates, terms)}
        else:
            return
        made = replace(known, **changes)
        self.instruments[number] = made
        if self._by_symbol.get(made.symbol) is known:
            self._by_symbol[made.symbol] = made

    def _derived(self, number: int, symbol: str) -> Instrument:
        """An instrument that another source has listed, from its terms alone."""
        terms = self._terms.get(number, {})
        base = self._config.assets[terms.get("base_asset", 0)]
        quote = self._config.assets[terms.get("quote_asset", 0)]
        value = Fraction(terms.get("notional_multiplier", 1), terms.get("notional_divisor", 1))
        steps = derived_steps(terms.get("base_units_per_lot", 1), value, base, quote)
        blank = self._config.instruments[0]
        changes: dict[str, Any] = {
            name: terms.get(name, UNLISTED_TERMS.get(name, 0)) for name in _SAME_NAME
        }
        changes |= {name: _rates_of(NO_RATES, name, terms) for name in _RATES}
        made = replace(
            blank,
            index=number,
            symbol=symbol,
            base_asset_index=base.index,
            quote_asset_index=quote.index,
            prices=steps.prices,
            quantities=steps.quantities,
            price_steps=(),
            schedule=(),
            shard=None,
            **changes,
        )
        return replace(made, price_steps=_steps_of(made, terms))


def _steps_of(known: Instrument, terms: Mapping[str, int]) -> tuple[PriceStep, ...]:
    """The tick table after some of its terms were set by events."""
    count = terms.get("step_count", len(known.price_steps))
    blank = (PriceStep(0, 1),) * count
    return tuple(
        PriceStep(
            terms.get(f"step_from[{index}]", before.from_ticks),
            terms.get(f"step_ticks[{index}]", before.step_ticks),
        )
        for index, before in enumerate((known.price_steps + blank)[:count])
    )


def _rates_of(before: tuple[int, ...], name: str, terms: Mapping[str, int]) -> tuple[int, ...]:
    """Fee rates after some of them were set by events."""
    return tuple(terms.get(f"{name}[{tier}]", rate) for tier, rate in enumerate(before))
