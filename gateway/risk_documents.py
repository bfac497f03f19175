"""The JSON forms of what risk knows: accounts, positions, limits. The command line shows the same.

Amounts are decimal text with the decimals of their asset, quantities and prices with those of
their instrument. Lots of rules that are for several instruments are whole numbers of lots.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from engine.instruments import Asset
from engine.messages import AccountKind, RejectReason, Scope
from engine.risk.views import AssetBalance, Holding, Limit, Owner
from engine.rules import RULES_BY_NUMBER, RuleNumber
from engine.scale import Scale
from gateway.accounts import STATES
from gateway.documents import Document, average_text

KINDS: Final = {int(kind): kind.name.lower() for kind in AccountKind}
SCOPES: Final = {int(scope): scope.name.lower() for scope in Scope}

_REASONS: Final = {int(reason): reason.name.lower() for reason in RejectReason}

_PERCENT: Final = 100
"""Parts of a percent in which usage is counted."""


class Shown(Protocol):
    """What must be known of an instrument to show positions in it: an Instrument does."""

    @property
    def symbol(self) -> str:
        """Its name."""

    @property
    def quote_asset_index(self) -> int:
        """Asset that it is paid in."""

    @property
    def prices(self) -> Scale:
        """Step: the tick."""

    @property
    def quantities(self) -> Scale:
        """Step: the lot."""

    @property
    def notional_multiplier(self) -> int:
        """Quote units of a lot at a price of one tick ..."""

    @property
    def notional_divisor(self) -> int:
        """... are multiplier / divisor."""


Assets = Sequence[Asset]
Instruments = Mapping[int, Shown]
"""By number."""


def owner_document(number: int, name: str | None, owner: Owner) -> Document:
    """Who an account is."""
    return {
        "account": number,
        "name": name,
        "kind": KINDS[owner.kind],
        "tier": owner.tier,
        "group": owner.group,
    }


def balance_document(balance: AssetBalance, assets: Assets) -> Document:
    """One asset of an account, with its margin if it has any."""
    asset = assets[balance.asset]
    text = asset.to_text
    made: Document = {
        "asset": asset.name,
        "total": text(balance.total),
        "available": text(balance.available),
        "reserved": text(balance.reserved),
        "loss_state": STATES[RuleNumber.LOSS_STATE][balance.loss_state],
    }
    if balance.kind == AccountKind.MARGIN:
        made |= {
            "equity": text(balance.equity),
            "unrealised": text(balance.unrealised),
            "initial_margin": text(balance.initial),
            "maintenance_margin": text(balance.maintenance),
            "free_margin": text(balance.free),
            "margin_state": STATES[RuleNumber.MARGIN_STATE][balance.margin_state],
        }
    return made


def position_document(holding: Holding, instruments: Instruments, assets: Assets) -> Document:
    """One position; `quantity` is below 0 when it is short."""
    instrument = instruments[holding.instrument]
    quote = assets[instrument.quote_asset_index]
    quantity = instrument.quantities.text
    return {
        "symbol": instrument.symbol,
        "quantity": quantity(holding.net),
        "average_cost": _average_cost(holding, instrument),
        "mark": instrument.prices.text(holding.mark_ticks) if holding.mark_ticks else None,
        "quote": quote.name,
        "unrealised": quote.to_text(holding.unrealised),
        "realised": quote.to_text(holding.realised),
        "fees": quote.to_text(holding.fees),
        "open_buy": quantity(holding.open_buy),
        "open_sell": quantity(holding.open_sell),
    }


def _average_cost(holding: Holding, instrument: Shown) -> str | None:
    """The price at which the open part was bought or sold; None without a position."""
    units = holding.average_cost
    if units is None:
        return None
    ticks = units * instrument.notional_divisor / instrument.notional_multiplier
    return average_text(ticks.numerator, ticks.denominator, instrument.prices)


def limit_document(limit: Limit, instruments: Instruments, assets: Assets) -> Document:
    """A rule that is on, how much of it is used, and by which position if it is of positions."""
    rule = RULES_BY_NUMBER[limit.number]
    made: Document = {"scope": SCOPES[limit.scope], "rule": rule.name}
    listed = instruments.get(limit.entity)
    if limit.scope in (Scope.ACCOUNT, Scope.GROUP):
        made[SCOPES[limit.scope]] = limit.entity
    elif limit.scope == Scope.SYMBOL:
        assert listed is not None, "a rule of an instrument that is not known"
        made["symbol"] = listed.symbol
    if limit.number == RuleNumber.RESTRICTED and limit.place >= 0:
        made["symbol"] = _symbol(instruments, limit.place)
    asset = assets[limit.place] if rule.money else None
    if asset is not None:
        made["asset"] = asset.name
    quantities = listed.quantities if limit.scope == Scope.SYMBOL and listed else None

    def shown(value: int) -> Any:
        if rule.unit == "quote" and asset is not None:
            return asset.to_text(value)
        if rule.unit == "lots" and quantities is not None:
            return quantities.text(value)
        return True if rule.unit == "switch" and value == 1 else value

    made["limit"] = shown(limit.limit)
    if limit.used is not None and limit.used_parts is not None:
        made["used"] = shown(limit.used)
        made["percent_used"] = percent_text(limit.used_parts)
    if limit.fullest >= 0:
        made["position"] = _symbol(instruments, limit.fullest)
    return made


def _symbol(instruments: Instruments, number: int) -> str:
    """The instrument's symbol, or its number if it has never been listed."""
    return instruments[number].symbol if number in instruments else f"#{number}"


def percent_text(parts: int) -> str:
    """Hundredths of a percent as a decimal number of percent."""
    return f"{parts // _PERCENT}.{parts % _PERCENT:02}"


def refusals_document(refusals: Mapping[int, int]) -> Document:
    """How often each reason was given, by its code."""
    return {_REASONS.get(reason, str(reason)): count for reason, count in refusals.items()}


def amounts_document(units: Iterable[int], assets: Assets) -> Document:
    """An amount of each asset by its name."""
    return {asset.name: asset.to_text(each) for asset, each in zip(assets, units, strict=True)}
