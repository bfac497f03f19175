"""The rules: which there are, where they may be set, and what is in force for an order."""

from collections.abc import Iterator
from typing import NamedTuple

from engine.limits import ACCOUNTS_MAX, BALANCE_MAX, TIERS_MAX
from engine.messages import AccountKind, Prevention, Scope
from engine.rules import RuleNumber
from tools.twin.risk.state import DAY_NS, Entity, State

FIRST_OF_MONEY = 32
MONEY = range(FIRST_OF_MONEY, 64)
"""Rules that are of an entity and an asset."""

GOOD, CALLED, LIQUIDATING = range(3)
"""Values of margin_state."""

EVERYWHERE = (Scope.VENUE, Scope.SYMBOL, Scope.GROUP, Scope.ACCOUNT)
MARKETS = (Scope.VENUE, Scope.SYMBOL)
ACCOUNTS = (Scope.ACCOUNT,)


class Bounds(NamedTuple):
    """Where a rule may be set, and to what."""

    scopes: tuple[Scope, ...]
    most: int
    least: int = 0


ANY = Bounds(EVERYWHERE, BALANCE_MAX)
SWITCH = Bounds(EVERYWHERE, 1)

BOUNDS: dict[int, Bounds] = {
    RuleNumber.QTY_MAX_LOTS: ANY,
    RuleNumber.COLLAR_BPS: Bounds(EVERYWHERE, 100_000),
    RuleNumber.LONG_MAX_LOTS: ANY,
    RuleNumber.SHORT_MAX_LOTS: ANY,
    RuleNumber.OPEN_ORDERS_MAX: ANY,
    RuleNumber.ORDERS_PER_SECOND: Bounds(EVERYWHERE, 10**9),
    RuleNumber.ORDERS_BURST: Bounds(EVERYWHERE, 10**9),
    RuleNumber.ORDERS_PER_DAY: ANY,
    RuleNumber.CANCEL_RATIO_MAX: Bounds(EVERYWHERE, 10**6),
    RuleNumber.DUPLICATE_NS: Bounds(EVERYWHERE, DAY_NS),
    RuleNumber.REDUCE_ONLY: SWITCH,
    RuleNumber.KILLED: Bounds(EVERYWHERE, 2),
    RuleNumber.RESTRICTED: SWITCH,
    RuleNumber.BREAKER_BPS: Bounds(MARKETS, 100_000),
    RuleNumber.KIND: Bounds(ACCOUNTS, max(AccountKind)),
    RuleNumber.TIER: Bounds(ACCOUNTS, TIERS_MAX - 1),
    RuleNumber.GROUP: Bounds(ACCOUNTS, ACCOUNTS_MAX - 1),
    RuleNumber.SELF_TRADE: Bounds(ACCOUNTS, max(Prevention), Prevention.NONE),
    RuleNumber.OPEN: Bounds(ACCOUNTS, 1),
    RuleNumber.LEVERAGE_MAX: Bounds(EVERYWHERE, 1_000),
    RuleNumber.NOTIONAL_MAX_UNITS: ANY,
    RuleNumber.OPEN_NOTIONAL_MAX_UNITS: ANY,
    RuleNumber.GROSS_MAX_UNITS: ANY,
    RuleNumber.NET_MAX_UNITS: ANY,
    RuleNumber.DAILY_LOSS_MAX_UNITS: ANY,
    RuleNumber.CONCENTRATION_BPS: Bounds(EVERYWHERE, 10_000),
    RuleNumber.MARGIN_STATE: Bounds(ACCOUNTS, 2),
    RuleNumber.LOSS_STATE: Bounds(ACCOUNTS, 1),
}


class Setting(NamedTuple):
    """What a RULE says; the fields of the configuration's entries."""

    scope: int
    entity: int
    "Number of the account or group; 0 for others."
    instrument: int
    "Instrument or asset, as the rule needs it."
    number: int
    value: int


def is_possible(setting: Setting, assets: int) -> bool:
    """Whether there is such a rule in a venue with so many assets."""
    bounds = BOUNDS.get(setting.number)
    if bounds is None or setting.scope not in bounds.scopes:
        return False
    if setting.number in MONEY and setting.scope != Scope.SYMBOL and setting.instrument >= assets:
        return False
    return bounds.least <= setting.value <= bounds.most


def store(state: State, setting: Setting) -> None:
    """Put one number in force."""
    scope, number = Scope(setting.scope), setting.number
    entity = entity_of(setting)
    if number == RuleNumber.RESTRICTED:
        place = (scope, entity, setting.instrument)
        state.restricted.discard(place)
        if setting.value:
            state.restricted.add(place)
        return
    asset = setting.instrument if number in MONEY and scope != Scope.SYMBOL else 0
    state.rules[number][(scope, entity), asset] = setting.value


def entity_of(setting: Setting) -> int:
    """The number of the scope's entity."""
    if setting.scope == Scope.SYMBOL:
        return setting.instrument
    return setting.entity if setting.scope in (Scope.GROUP, Scope.ACCOUNT) else 0


def value_at(state: State, number: int, entity: Entity, asset: int = 0) -> int:
    """What is in force for an entity, 0 for nothing; `asset` counts for money rules."""
    place = asset if number in MONEY and entity[0] != Scope.SYMBOL else 0
    return state.rules[number].get((entity, place), 0)


def in_force(
    state: State, number: int, account: int, instrument: int
) -> Iterator[tuple[Entity, int]]:
    """Every scope of an order that has this rule on, and its value."""
    if not state.rules[number]:
        return
    asset = state.instruments[instrument].quote_asset_index
    for entity in state.entities(account, instrument):
        value = value_at(state, number, entity, asset)
        if value:
            yield entity, value


def values(state: State, number: int, account: int, instrument: int) -> list[int]:
    """The values that are on for an order."""
    return [value for _, value in in_force(state, number, account, instrument)]


def lowest(state: State, number: int, account: int, instrument: int) -> int:
    """The strictest limit that is on for an order, 0 for none."""
    return min(values(state, number, account, instrument), default=0)


def is_restricted(state: State, account: int, instrument: int) -> bool:
    """Whether an instrument is on one of the lists of an order's scopes."""
    return any(
        (scope, entity, instrument) in state.restricted
        for scope, entity in state.entities(account, instrument)
    )


def margin_state(state: State, account: int, asset: int) -> int:
    """GOOD, CALLED or LIQUIDATING."""
    return value_at(state, RuleNumber.MARGIN_STATE, (Scope.ACCOUNT, account), asset)
