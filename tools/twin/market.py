"""A market to test in: instruments, accounts and the prices that traders use.

`tables` writes the same numbers as configuration text for the engine, so that the engine comes
to its integers by its own way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from engine.instruments import CollarReference, FeeAsset, MarkSource
from engine.limits import BALANCE_MAX, ORDERS_MAX
from engine.messages import AccountKind, Phase, Prevention, Scope
from engine.rules import FIRST_MONEY_RULE, RULES_BY_NUMBER, RuleNumber
from tools.twin.instrument import Instrument
from tools.twin.risk import Setting
from tools.twin.venue import Venue

QUOTE = 0
"""Index of the asset that everything is paid in; instrument i trades asset i + 1 for it."""


@dataclass(frozen=True)
class Market:
    """Accounts are numbered from 1."""

    instruments: tuple[Instrument, ...]
    ladders: tuple[tuple[int, ...], ...]
    "For each instrument the few prices that its traders use, ascending."
    balances: Mapping[int, Mapping[int, int]]
    orders_max: int = ORDERS_MAX - 1
    lots_max: int = 50
    "The largest quantity that its traders use."
    groups: Mapping[int, int] = field(default_factory=dict)
    "Group of each account that is not one of its own."
    preventions: Mapping[int, int] = field(default_factory=dict)
    "Prevention of each account that has one."
    kinds: Mapping[int, int] = field(default_factory=dict)
    "AccountKind of each account that is not CASH."
    tiers: Mapping[int, int] = field(default_factory=dict)
    "Fee tier of each account that is not of tier 0."
    fee_account: int = -1
    insurance_account: int = -1
    "Accounts of the venue; -1 for none."
    day_start_ns: int = 0
    "Whole minutes after midnight."
    rules: tuple[Setting, ...] = ()
    "In force from the start."

    @property
    def accounts(self) -> list[int]:
        """Numbers of all accounts."""
        return list(self.balances)

    def venue(self, risk_source: int = 1) -> Venue:
        """An empty naive venue for this market; `risk_source`: of risk's own commands."""
        return Venue(
            self.instruments,
            self.balances,
            self.orders_max,
            groups=self.groups,
            preventions=self.preventions,
            kinds=self.kinds,
            tiers=self.tiers,
            fee_account=self.fee_account,
            insurance_account=self.insurance_account,
            day_start_ns=self.day_start_ns,
            rules=self.rules,
            risk_source=risk_source,
            assets=len(self.instruments) + 1,
        )

    def tables(self) -> dict[str, Any]:
        """The tables of the engine's configuration."""
        assets = [{"name": "Q", "decimals": 0}]
        instruments = []
        for index, instrument in enumerate(self.instruments):
            assets.append({"name": f"B{index}", "decimals": _zeros(instrument.base_units_per_lot)})
            scale = _zeros(instrument.notional_multiplier) - _zeros(instrument.notional_divisor)
            table = {
                "symbol": f"S{index}",
                "base": f"B{index}",
                "quote": "Q",
                "tick": Decimal(1).scaleb(scale),
                "lot": "1",
                "qty_max": str(instrument.qty_max_lots),
                "notional_max": str(instrument.notional_max_units),
                "collar_bps": instrument.collar_bps,
                "price_min": Decimal(instrument.price_min_ticks).scaleb(scale),
                "price_max": Decimal(instrument.price_max_ticks).scaleb(scale),
                "qty_min": str(instrument.qty_min_lots),
                "notional_min": str(instrument.notional_min_units),
                "price_steps": [
                    {"from": Decimal(first).scaleb(scale), "step": Decimal(step).scaleb(scale)}
                    for first, step in instrument.price_steps
                ],
                "static_band_bps": instrument.static_band_bps,
                "dynamic_band_bps": instrument.dynamic_band_bps,
                "volatility_halt_s": instrument.volatility_halt_ns // 1_000_000_000,
                "volatility_auction_s": instrument.volatility_auction_ns // 1_000_000_000,
                "phase": Phase(instrument.phase).name.lower(),
            }
            table |= _margin_table(instrument)
            if instrument.reference_ticks:
                table["reference_price"] = Decimal(instrument.reference_ticks).scaleb(scale)
            instruments.append(table)
        accounts = []
        for number, owned in self.balances.items():
            table = {"number": number, "name": f"account {number}", "balances": self._owned(owned)}
            if number in self.groups:
                table["group"] = self.groups[number]
            if number in self.preventions:
                table["self_trade"] = Prevention(self.preventions[number]).name.lower()
            if number in self.kinds:
                table["kind"] = AccountKind(self.kinds[number]).name.lower()
            table["tier"] = self.tiers.get(number, 0)
            accounts.append(table)
        made = {"assets": assets, "instruments": instruments, "accounts": accounts}
        return made | {"risk": self._venue_accounts(), "rules": [*map(_rule_table, self.rules)]}

    def _venue_accounts(self) -> dict[str, Any]:
        """The section [risk]."""
        minutes, rest = divmod(self.day_start_ns, 60 * 1_000_000_000)
        assert rest == 0, "the day starts at a whole minute"
        made: dict[str, Any] = {"day_start": f"{minutes // 60:02}:{minutes % 60:02}"}
        if self.fee_account >= 0:
            made["fee_account"] = self.fee_account
        if self.insurance_account >= 0:
            made["insurance_account"] = self.insurance_account
        return made

    def _owned(self, owned: Mapping[int, int]) -> dict[str, Decimal]:
        amounts = {"Q": Decimal(owned.get(QUOTE, 0))}
        for index, instrument in enumerate(self.instruments):
            units = Decimal(owned.get(instrument.base_asset_index, 0))
            amounts[f"B{index}"] = units.scaleb(-_zeros(instrument.base_units_per_lot))
        return amounts


def rich(accounts: int, instruments: int) -> dict[int, dict[int, int]]:
    """Balances that no stream of a test uses up."""
    assets = range(instruments + 1)
    return {
        number: {asset: BALANCE_MAX // accounts for asset in assets}
        for number in range(1, accounts + 1)
    }


def _zeros(power: int) -> int:
    """The exponent of a power of ten: what the configuration can express."""
    exponent = len(str(power)) - 1
    assert power == 10**exponent, f"{power} is not a power of ten"
    return exponent


def _margin_table(instrument: Instrument) -> dict[str, Any]:
    """Fees, margins and prices to value by."""
    tiers = zip(instrument.maker_rates, instrument.taker_rates, strict=True)
    return {
        "fees": [_fee(*rates) for rates in tiers],
        "fee_asset": FeeAsset(instrument.fee_asset).name.lower(),
        "initial_margin": Decimal(instrument.initial_bps) / 10**4,
        "maintenance_margin": Decimal(instrument.maintenance_bps) / 10**4,
        "short_selling": bool(instrument.short_selling),
        "mark": MarkSource(instrument.mark_source).name.lower(),
        "collar_reference": CollarReference(instrument.collar_reference).name.lower(),
    }


def _fee(maker: int, taker: int) -> dict[str, Decimal]:
    return {"maker": Decimal(maker) / 10**6, "taker": Decimal(taker) / 10**6}


def _rule_table(setting: Setting) -> dict[str, Any]:
    """One of [[rules]]; one lot is one of its asset, one quote unit is one of Q."""
    scope, number = Scope(setting.scope), RuleNumber(setting.number)
    table: dict[str, Any] = {"scope": scope.name.lower(), "rule": number.name.lower()}
    if scope in (Scope.ACCOUNT, Scope.GROUP):
        table[scope.name.lower()] = setting.entity
    if scope == Scope.SYMBOL or number == RuleNumber.RESTRICTED:
        table["symbol"] = f"S{setting.instrument}"
    elif number >= FIRST_MONEY_RULE:
        table["asset"] = "Q" if setting.instrument == QUOTE else f"B{setting.instrument - 1}"
    unit = RULES_BY_NUMBER[number].unit
    in_text = (unit == "lots" and scope == Scope.SYMBOL) or unit == "quote"
    table["value"] = str(setting.value) if in_text else setting.value
    if unit == "switch" and setting.value < 2:
        table["value"] = bool(setting.value)
    return table
