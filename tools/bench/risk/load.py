"""The venue and the orders that risk is measured with.

Traders are in groups of ten, instruments have two quote assets and up to fifty base assets. With
all checks on, every rule of docs/risk.md is on at each scope that has it, at a limit that nothing
reaches: all of them are looked at and all orders pass. Switches are on for one account that does
not trade.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engine.config import Config
from engine.limits import BALANCE_MAX
from engine.messages import Scope, Side
from engine.rules import RULES, Rule, RuleNumber
from ipc.record import numpy_dtype
from tools.bench.risk.stand import Intent
from tools.replay.plan import Table, asset, units, unlimited

ACCOUNTS: Final = 1_000
GROUP_SIZE: Final = 10

FEES: Final = 0
"""The account that fees go to; traders follow."""

QUOTES: Final = ("USD", "EUR")
BASES: Final = 50
DECIMALS: Final = 2

START_TICKS: Final = 1 << 20
REACH_TICKS: Final = 64
LOTS_MAX: Final = 100

LIMIT_UNITS: Final = 10**17
"""Below the bounds of the arithmetic, and far above what all orders together are worth."""

COUNT_MAX: Final = 10**15
"""The same for lots and orders."""

VALUES: Final = {RuleNumber.COLLAR_BPS: 5_000, RuleNumber.DUPLICATE_NS: 1}
"""Values of rules for which neither these nor their largest value will do."""

OF_ACCOUNTS: Final = range(RuleNumber.KIND, RuleNumber.OPEN + 1)
"""Numbers that say who an account is."""

STATES: Final = (RuleNumber.MARGIN_STATE, RuleNumber.LOSS_STATE)
"""What only risk sets."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A venue that is measured."""

    kind: str
    "Of the accounts: cash or margin."
    checks: bool
    "All rules and fees on, or none."
    symbols: int
    accounts: int = ACCOUNTS

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.kind}, checks {'on' if self.checks else 'off'}, {self.symbols} symbols"

    @property
    def traders(self) -> range:
        """Numbers of the accounts that trade."""
        return range(FEES + 1, FEES + 1 + self.accounts)


def make_config(setting: Setting, name: str) -> Config:
    """The venue of a setting."""
    bases = [asset(f"B{number}", 0) for number in range(min(setting.symbols, BASES))]
    quotes = [asset(quote, DECIMALS) for quote in QUOTES]
    assets = (*bases, *quotes)
    tables: dict[str, Any] = {
        "assets": assets,
        "instruments": tuple(_instruments(setting, bases, quotes)),
        "accounts": tuple(_accounts(setting, assets)),
        "venue": {"name": name, "layout": "compact"},
    }
    if setting.checks:
        tables["risk"] = {"fee_account": FEES}
        tables["rules"] = tuple(_rules(setting, [table["name"] for table in quotes]))
    return Config.build(**tables)


def _instruments(setting: Setting, bases: list[Table], quotes: list[Table]) -> Iterator[Table]:
    middle = units(START_TICKS, DECIMALS)
    for number in range(setting.symbols):
        base, quote = bases[number % BASES], quotes[number // BASES % len(quotes)]
        table = {"symbol": f"S{number}", "base": base["name"], "quote": quote["name"]}
        table |= {"tick": units(1, DECIMALS), "lot": "1", "reference_price": middle}
        table |= unlimited("1", base, quote)
        if setting.checks:
            table["fees"] = ({"maker": "-0.0001", "taker": "0.0003"},)
        if setting.kind == "margin":
            table |= {"initial_margin": "0.1", "maintenance_margin": "0.05"}
            table["short_selling"] = True
        yield table


def _accounts(setting: Setting, assets: tuple[Table, ...]) -> Iterator[Table]:
    share = BALANCE_MAX // 4 // setting.accounts
    owned = {table["name"]: units(share, table["decimals"]) for table in assets}
    yield {"number": FEES, "name": "fees"}
    for number in setting.traders:
        group = number // GROUP_SIZE
        yield {
            "number": number,
            "name": f"trader {number}",
            "kind": setting.kind,
            "group": group,
        } | {"balances": owned}
    yield {"number": setting.traders.stop, "name": "barred"}


def _rules(setting: Setting, quotes: list[str]) -> Iterator[Table]:
    """Every rule at every scope that has it."""
    barred = setting.traders.stop
    for rule in RULES.values():
        if rule.number in STATES or rule.number in OF_ACCOUNTS:
            continue
        if rule.unit == "switch":
            more = {"symbol": "S0"} if rule.number == RuleNumber.RESTRICTED else {}
            yield {"scope": "account", "account": barred, "rule": rule.name, "value": True} | more
            continue
        for scope in rule.scopes:
            for place in _places(setting, scope, rule, quotes):
                name = scope.name.lower()
                yield {"scope": name, "rule": rule.name, "value": _value(rule, scope)} | place


def _places(setting: Setting, scope: Scope, rule: Rule, quotes: list[str]) -> Iterable[Table]:
    """The entities of a scope, for a money rule with each asset."""
    if scope == Scope.SYMBOL:
        return [{"symbol": f"S{number}"} for number in range(setting.symbols)]
    entities: list[Table] = [{}]
    if scope == Scope.GROUP:
        groups = sorted({number // GROUP_SIZE for number in setting.traders})
        entities = [{"group": group} for group in groups]
    elif scope == Scope.ACCOUNT:
        entities = [{"account": number} for number in setting.traders]
    if not rule.money:
        return entities
    return [entity | {"asset": quote} for entity in entities for quote in quotes]


def _value(rule: Rule, scope: Scope) -> Any:
    number = RuleNumber(rule.number)
    if number in VALUES:
        return VALUES[number]
    if rule.unit == "quote":
        return units(LIMIT_UNITS, DECIMALS)
    most = min(rule.most, COUNT_MAX)
    # Of one instrument lots are written as a quantity.
    return str(most) if rule.unit == "lots" and scope == Scope.SYMBOL else most


# --- orders ------------------------------------------------------------------------------------


INTENT: Final = numpy_dtype(Intent)


def draw_intents(setting: Setting, block: int, blocks: int) -> Any:
    """Random orders in blocks; in each block the second half is the other side of the first."""
    generator = np.random.default_rng(23)
    half = np.zeros((blocks, block // 2), INTENT)
    size = half.shape
    half["price_ticks"] = START_TICKS + generator.integers(-REACH_TICKS, REACH_TICKS + 1, size)
    half["qty_lots"] = generator.integers(1, LOTS_MAX + 1, size)
    half["account"] = generator.choice(setting.traders, size)
    half["instrument"] = generator.integers(0, setting.symbols, size)
    half["side"] = generator.integers(0, 2, size)
    return with_other_side(setting, half)


def all_positions(setting: Setting, block: int) -> Any:
    """The same with an order at least for each account and instrument: half of them buy."""
    traders = np.array(setting.traders[: (setting.accounts + 1) // 2])
    pairs = len(traders) * setting.symbols
    blocks = -(-pairs // (block // 2))
    half = np.zeros(blocks * (block // 2), INTENT)
    number = np.arange(len(half)) % pairs
    half["price_ticks"], half["qty_lots"] = START_TICKS, LOTS_MAX
    half["account"] = traders[number % len(traders)]
    half["instrument"] = number // len(traders)
    half["side"] = Side.BUY
    return with_other_side(setting, half.reshape(blocks, block // 2))


def with_other_side(setting: Setting, half: Any) -> Any:
    """Each row of a table of orders, and after it the orders that they may trade with."""
    other = half.copy()
    first, count = setting.traders.start, setting.accounts
    other["account"] = first + (half["account"] - first + (count + 1) // 2) % count
    other["side"] = 1 - half["side"]
    return np.concatenate([half, other], axis=1).reshape(-1)
