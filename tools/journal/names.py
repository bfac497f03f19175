"""What the numbers of a journal are called: symbols, assets, steps of prices and quantities.

The names of the configuration come from the reference data of the genesis snapshot. Instruments
that were listed later are learned from the INSTRUMENT decisions on the way. Where nothing is
known, numbers are shown as numbers: `#7`, and no decimal price.
"""

from fractions import Fraction
from typing import Any, Final

from engine.directory import Steps, derived_steps, read_assets, read_steps
from engine.instruments import Asset
from engine.limits import INSTRUMENTS_MAX
from engine.messages import Listing, RejectReason
from engine.reference import MONEY_TERM_COUNT, TERM_NUMBERS, UNLISTED_TERMS, ReferenceData

TERM_NAMES: Final = {number: name for name, number in TERM_NUMBERS.items()}

_MONEY_TERMS: Final = [TERM_NAMES[number] for number in range(MONEY_TERM_COUNT)]


def text(raw: bytes) -> str:
    """A text field as it was decoded, whatever bytes its sender used."""
    return raw.rstrip(b"\0").decode(errors="backslashreplace")


class Names:
    """Names at one point of a journal: those of the beginning, and what has been learned since."""

    def __init__(self, reference: ReferenceData | None = None) -> None:
        """`reference`: that of the genesis snapshot; None to begin without names."""
        self._assets: list[Asset] = []
        self._symbols: dict[int, str] = {}
        self._steps: dict[int, Steps] = {}
        self._terms: dict[int, dict[str, int]] = {}
        "Terms that say what money means, of instruments that are not in the directory."
        if reference is None:
            return
        self._assets = read_assets(reference.directory, reference.asset_count)
        for number in range(INSTRUMENTS_MAX):
            entry = reference.directory.instruments[number]
            steps = read_steps(entry)
            if steps is not None:
                self._symbols[number], self._steps[number] = entry.symbol.get(), steps

    def learn(self, decision: Any) -> None:
        """Take notice of a decoded, accepted INSTRUMENT decision."""
        if decision.reason != RejectReason.NONE:
            return
        number = decision.instrument
        if decision.order_id == Listing.LIST:
            self._symbols[number] = text(decision.client_order_id)
            if number not in self._steps and self._assets:
                self._steps[number] = self._derive(number)
        elif number not in self._steps and 0 <= decision.order_id < MONEY_TERM_COUNT:
            terms = self._terms.setdefault(number, {})
            terms[TERM_NAMES[decision.order_id]] = decision.qty_lots

    def _derive(self, number: int) -> Steps:
        """The steps of an instrument that is listed with the terms that were set before."""
        given = self._terms.get(number, {})
        terms = {name: given.get(name, UNLISTED_TERMS.get(name, 0)) for name in _MONEY_TERMS}
        value = Fraction(terms["notional_multiplier"], terms["notional_divisor"])
        base, quote = self._assets[terms["base_asset"]], self._assets[terms["quote_asset"]]
        return derived_steps(terms["base_units_per_lot"], value, base, quote)

    # --- questions -----------------------------------------------------------------------------

    @property
    def assets(self) -> list[Asset]:
        """All assets, by index; empty without reference data."""
        return self._assets

    def symbol(self, instrument: int) -> str:
        """The instrument's symbol, or its number when nobody has told its name."""
        return self._symbols.get(instrument, f"#{instrument}")

    def numbers(self, symbol: str) -> set[int]:
        """Instruments of a symbol, or the one of a number written as `#7`."""
        found = {number for number, name in self._symbols.items() if name == symbol}
        if symbol.startswith("#") and symbol[1:].isdecimal():
            found.add(int(symbol[1:]))
        return found

    def symbols(self) -> list[str]:
        """All symbols known."""
        return sorted(set(self._symbols.values()))

    def steps(self, instrument: int) -> Steps | None:
        """In what prices and quantities are counted; None when that is not known."""
        return self._steps.get(instrument)

    def price(self, instrument: int, ticks: int) -> str | None:
        """A price as decimal text; None when the tick is not known."""
        steps = self._steps.get(instrument)
        return None if steps is None else steps.prices.text(ticks)

    def quantity(self, instrument: int, lots: int) -> str | None:
        """A quantity as decimal text; None when the lot is not known."""
        steps = self._steps.get(instrument)
        return None if steps is None else steps.quantities.text(lots)

    def asset(self, index: int) -> str:
        """The asset's name, or its number."""
        return self._assets[index].name if 0 <= index < len(self._assets) else f"#{index}"

    def amount(self, asset: int, units: int) -> str | None:
        """Units of an asset as decimal text; None when its decimals are not known."""
        return self._assets[asset].to_text(units) if 0 <= asset < len(self._assets) else None
