"""The rules of risk as data: what a RULE command may set, where, and to what.

A rule has a number, is off at 0, and is set for an entity of a scope: the venue, an instrument, a
group or an account. Rules from FIRST_MONEY_RULE on are money rules: they are set for an entity and
an asset. The risk stage checks with this table; the configuration and gateways turn written rules
into numbers with `make_rule`. docs/risk.md says what each rule does.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Final, NamedTuple

from engine.instruments import ASSET_NAME, COLLAR_BPS_MAX, SYMBOL, Asset, Instrument
from engine.limits import ACCOUNTS_MAX, BALANCE_MAX, TIERS_MAX
from engine.messages import AccountKind, Prevention, Scope
from engine.scale import Scale
from engine.schema import Problems, anything, choice, read, whole

RATE_MAX: Final = 1_000_000_000
"""Orders in a second, and at once: one a nanosecond, so that an interval is never 0."""

PERCENT_MAX: Final = 1_000_000

LEVERAGE_MAX: Final = 1_000

DAY_NS: Final = 86_400 * 1_000_000_000

FIRST_MONEY_RULE: Final = 32
"""Rules below are of an entity, the others of an entity and an asset."""


class RuleNumber(IntEnum):
    """`order_id` of a RULE command: which number of the scope it sets."""

    QTY_MAX_LOTS = 0
    COLLAR_BPS = 1
    LONG_MAX_LOTS = 2
    SHORT_MAX_LOTS = 3
    OPEN_ORDERS_MAX = 4
    ORDERS_PER_SECOND = 5
    ORDERS_BURST = 6
    ORDERS_PER_DAY = 7
    CANCEL_RATIO_MAX = 8
    DUPLICATE_NS = 9
    REDUCE_ONLY = 10
    KILLED = 11
    RESTRICTED = 12
    BREAKER_BPS = 13
    KIND = 14
    TIER = 15
    GROUP = 16
    SELF_TRADE = 17
    OPEN = 18
    LEVERAGE_MAX = 19
    NOTIONAL_MAX_UNITS = 32
    OPEN_NOTIONAL_MAX_UNITS = 33
    GROSS_MAX_UNITS = 34
    NET_MAX_UNITS = 35
    DAILY_LOSS_MAX_UNITS = 36
    CONCENTRATION_BPS = 37
    MARGIN_STATE = 40
    LOSS_STATE = 41


@dataclass(frozen=True, slots=True)
class Rule:
    """One number that a RULE command may set."""

    name: str
    number: int
    scopes: tuple[Scope, ...]
    "Where it may be set."
    least: int
    most: int
    "Bounds of its value, both included."
    unit: str
    'What its value counts: "orders", "lots", "quote", "bps", "ns", "switch", "percent", "number".'

    @property
    def money(self) -> bool:
        """Whether it is set for an asset of the entity."""
        return self.number >= FIRST_MONEY_RULE


_ALL: Final = tuple(Scope)
_ACCOUNT: Final = (Scope.ACCOUNT,)
_DECLARED: Final[Mapping[RuleNumber, tuple[str, int, tuple[Scope, ...]]]] = {
    RuleNumber.QTY_MAX_LOTS: ("lots", BALANCE_MAX, _ALL),
    RuleNumber.COLLAR_BPS: ("bps", COLLAR_BPS_MAX, _ALL),
    RuleNumber.LONG_MAX_LOTS: ("lots", BALANCE_MAX, _ALL),
    RuleNumber.SHORT_MAX_LOTS: ("lots", BALANCE_MAX, _ALL),
    RuleNumber.OPEN_ORDERS_MAX: ("orders", BALANCE_MAX, _ALL),
    RuleNumber.ORDERS_PER_SECOND: ("orders", RATE_MAX, _ALL),
    RuleNumber.ORDERS_BURST: ("orders", RATE_MAX, _ALL),
    RuleNumber.ORDERS_PER_DAY: ("orders", BALANCE_MAX, _ALL),
    RuleNumber.CANCEL_RATIO_MAX: ("percent", PERCENT_MAX, _ALL),
    RuleNumber.DUPLICATE_NS: ("ns", DAY_NS, _ALL),
    RuleNumber.REDUCE_ONLY: ("switch", 1, _ALL),
    RuleNumber.KILLED: ("switch", 2, _ALL),
    RuleNumber.RESTRICTED: ("switch", 1, _ALL),
    RuleNumber.BREAKER_BPS: ("bps", COLLAR_BPS_MAX, (Scope.VENUE, Scope.SYMBOL)),
    RuleNumber.KIND: ("number", max(AccountKind), _ACCOUNT),
    RuleNumber.TIER: ("number", TIERS_MAX - 1, _ACCOUNT),
    RuleNumber.GROUP: ("number", ACCOUNTS_MAX - 1, _ACCOUNT),
    RuleNumber.SELF_TRADE: ("number", max(Prevention), _ACCOUNT),
    RuleNumber.OPEN: ("switch", 1, _ACCOUNT),
    RuleNumber.LEVERAGE_MAX: ("number", LEVERAGE_MAX, _ALL),
    RuleNumber.NOTIONAL_MAX_UNITS: ("quote", BALANCE_MAX, _ALL),
    RuleNumber.OPEN_NOTIONAL_MAX_UNITS: ("quote", BALANCE_MAX, _ALL),
    RuleNumber.GROSS_MAX_UNITS: ("quote", BALANCE_MAX, _ALL),
    RuleNumber.NET_MAX_UNITS: ("quote", BALANCE_MAX, _ALL),
    RuleNumber.DAILY_LOSS_MAX_UNITS: ("quote", BALANCE_MAX, _ALL),
    RuleNumber.CONCENTRATION_BPS: ("bps", 10_000, _ALL),
    RuleNumber.MARGIN_STATE: ("number", 2, _ACCOUNT),
    RuleNumber.LOSS_STATE: ("number", 1, _ACCOUNT),
}
_LEAST: Final = {RuleNumber.SELF_TRADE: int(Prevention.NONE)}
"""Least values; 0 for all others."""

RULES: Final[Mapping[str, Rule]] = {
    number.name.lower(): Rule(
        number.name.lower(), int(number), scopes, _LEAST.get(number, 0), int(most), unit
    )
    for number, (unit, most, scopes) in _DECLARED.items()
}
"""All rules by their names in the configuration, in the order of their numbers."""

RULES_BY_NUMBER: Final[Mapping[int, Rule]] = {rule.number: rule for rule in RULES.values()}

_BY_RISK: Final = {RuleNumber.MARGIN_STATE, RuleNumber.LOSS_STATE}
_UNTIL_OPEN: Final = {
    RuleNumber.KIND,
    RuleNumber.GROUP,
    RuleNumber.SELF_TRADE,
    RuleNumber.OPEN,
}
"""Rules that an open account has for good."""

SCOPES: Final = {scope.name.lower(): scope for scope in Scope}
"""Scopes by their names in the configuration."""

assert list(_DECLARED) == list(RuleNumber), "every rule is declared, by number"
assert RATE_MAX <= 1_000_000_000, "an interval between orders is at least a nanosecond"


class RuleSetting(NamedTuple):
    """One number of a scope, as a RULE command sets it."""

    scope: int
    entity: int
    "Number of the account or group; 0 for others."
    instrument: int
    "The instrument of scope SYMBOL and of `restricted`; the asset of another money rule; else 0."
    number: int
    value: int


@dataclass(frozen=True, slots=True)
class RuleTable:
    """One [[rules]] table of the configuration, as written."""

    scope: Annotated[str, choice(*SCOPES)]
    rule: Annotated[str, choice(*RULES)]
    value: Annotated[Any, anything()]
    account: Annotated[int | None, whole(0, ACCOUNTS_MAX - 1)] = None
    group: Annotated[int | None, whole(0, ACCOUNTS_MAX - 1)] = None
    symbol: Annotated[str | None, SYMBOL] = None
    asset: Annotated[str | None, ASSET_NAME] = None


def make_rule(
    written: object,
    path: str,
    instruments: Mapping[str, Instrument | None],
    assets: Mapping[str, Asset | None],
    problems: Problems,
) -> RuleSetting | None:
    """The setting of one written rule; None when something is wrong (see `problems`).

    `instruments` and `assets` are by symbol and name; None for those noted elsewhere.
    """
    table = read(RuleTable, written, path, problems)
    if table is None:
        return None
    rule, scope = RULES[table.rule], SCOPES[table.scope]
    if scope not in rule.scopes:
        names = " or ".join(f'"{each.name.lower()}"' for each in rule.scopes)
        problems.note(f"{path}.scope", f"{names} for {rule.name}", table.scope)
        return None
    if not _has_its_keys(table, path, rule, problems):
        return None
    instrument = asset = None
    if table.symbol is not None:
        instrument = _known(instruments, table.symbol, f"{path}.symbol", problems)
        if instrument is None:
            return None
    if table.asset is not None:
        asset = _known(assets, table.asset, f"{path}.asset", problems)
        if asset is None:
            return None
    elif rule.money and instrument is not None:
        asset = next(
            each for each in assets.values() if each and each.index == instrument.quote_asset_index
        )
    value = _value(table, f"{path}.value", instrument, asset, problems)
    if value is None:
        return None
    place = instrument if instrument is not None else asset
    return RuleSetting(
        scope=int(scope),
        entity=table.account if table.account is not None else table.group or 0,
        instrument=0 if place is None else place.index,
        number=rule.number,
        value=value,
    )


def make_rules(
    written: Sequence[object],
    instruments: Mapping[str, Instrument | None],
    assets: Mapping[str, Asset | None],
    accounts: Container[int],
    problems: Problems,
) -> tuple[RuleSetting, ...]:
    """The settings of all written rules, in an order in which each is possible.

    `accounts` are those of the configuration, which are open from the start.
    """
    made: dict[tuple[int, ...], RuleSetting] = {}
    first: dict[tuple[int, ...], int] = {}
    for index, table in enumerate(written):
        path = f"rules[{index}]"
        setting = make_rule(table, path, instruments, assets, problems)
        if setting is None:
            continue
        place = setting[:-1]
        if first.setdefault(place, index) != index:
            problems.say(path, f"rules[{first[place]}] sets this one, too")
        if setting.number in _BY_RISK:
            problems.say(f"{path}.rule", "only risk itself sets it")
        elif setting.number in _UNTIL_OPEN and setting.entity in accounts:
            problems.say(f"{path}.rule", "expected in the [[accounts]] table of this account")
        made[place] = setting
    # What may not change once the account is open comes before it is.
    return tuple(sorted(made.values(), key=lambda each: each.number == RuleNumber.OPEN))


def _has_its_keys(table: RuleTable, path: str, rule: Rule, problems: Problems) -> bool:
    """Whether it names what the rule needs at this scope, and nothing else."""
    scope = SCOPES[table.scope]
    needed = [] if scope == Scope.VENUE else [table.scope]
    if scope != Scope.SYMBOL:
        needed += ["asset"] * rule.money + ["symbol"] * (rule.number == RuleNumber.RESTRICTED)
    before = len(problems.found)
    what = f"{rule.name} of scope {table.scope}"
    for key in ("account", "group", "symbol", "asset"):
        given = getattr(table, key) is not None
        if given and key not in needed:
            problems.say(f"{path}.{key}", f"{what} takes {' and '.join(needed) or 'no such key'}")
        elif key in needed and not given:
            problems.say(f"{path}.{key}", f"{what} needs it, found nothing")
    return len(problems.found) == before


def _known(named: Mapping[str, Any], name: str, path: str, problems: Problems) -> Any:
    """What has that name; None after noting that nothing has, or when that is noted elsewhere."""
    if name not in named:
        noun = path.rpartition(".")[2]
        problems.note(path, f"the {noun} of something that there is", name)
    return named.get(name)


def _value(
    table: RuleTable,
    path: str,
    instrument: Instrument | None,
    asset: Asset | None,
    problems: Problems,
) -> int | None:
    """The value in the unit of the rule; None after noting what is wrong with it."""
    rule, written = RULES[table.rule], table.value
    if rule.unit == "quote" and asset is not None:
        return _scaled(written, path, rule, asset.scale, problems)
    if rule.unit == "lots" and instrument is not None:
        return _scaled(written, path, rule, instrument.quantities, problems)
    least, expected = rule.least, f"a whole number from {rule.least} to {rule.most}"
    if rule.unit == "switch":
        if type(written) is bool:
            return int(written)
        # 0 and 1 are written as words; a number is only what goes beyond them.
        least, expected = 2, "true or false" if rule.most == 1 else "true, false or 2"
    if type(written) is int and least <= written <= rule.most:
        return written
    problems.note(path, expected, written)
    return None


def _scaled(written: Any, path: str, rule: Rule, scale: Scale, problems: Problems) -> int | None:
    """A decimal number in steps of `scale`; None after noting what is wrong with it."""
    try:
        count = scale.count(written)
    except ValueError as error:
        problems.say(path, str(error))
        return None
    if not rule.least <= count <= rule.most:
        problems.note(path, f"{scale.text(rule.least)} to {scale.text(rule.most)}", written)
        return None
    return count
