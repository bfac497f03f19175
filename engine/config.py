"""The configuration: one TOML file, read once, checked completely, frozen.

`load` and `parse` read a file or its text, `Config.build` takes the same tables from a program
(replays, tests). All three make the same checks, and raise one ConfigError that lists every
problem with file, key, what was expected and what was found. Defaults stand in `engine.sections`
and in the classes of the tables, and nowhere else; `okimi.toml` beside this file documents every
key and is what `okimi` runs with unless it is given another file. The environment is never looked
at.
"""

import tomllib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.accounts import Account, AccountTable, check_supply, make_account
from engine.instrument_table import InstrumentTable, make_instrument
from engine.instruments import Asset, AssetTable, Instrument
from engine.limits import ACCOUNTS_MAX, ASSETS_MAX, INSTRUMENTS_MAX, RULES_MAX, SCHEDULE_MAX
from engine.messages import AccountKind
from engine.rules import RuleSetting, make_rules
from engine.schema import Problems, read
from engine.sections import SECTIONS, Durability, Gateway, Rings, Risk, Venue, Waiting

DEFAULT_PATH: Final = Path(__file__).with_name("okimi.toml")
"""The shipped configuration; `okimi.toml` at the root of the repository is a link to it."""

RENDERED_MAX: Final = 12
"""Instruments or accounts that `Config.render` prints before it only counts them."""

NO_FEE_ACCOUNT: Final = "expected none, as no risk.fee_account is set to receive them"
"""What is wrong with fees of a venue without an account for them."""


class ConfigError(Exception):
    """A configuration that cannot be used; the message lists all that is wrong with it."""

    def __init__(self, origin: str, problems: Iterable[str]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{origin}: {problem}" for problem in self.problems))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, tuple[str, ...]]]:
        return ConfigError, (self.origin, self.problems)


class _Array(NamedTuple):
    """One array of tables: what each table holds, how many there may be, which keys are unique."""

    kind: type[Any]
    most: int
    unique: tuple[str, ...]


_ARRAYS: Final = {
    "assets": _Array(AssetTable, ASSETS_MAX, ("name",)),
    "instruments": _Array(InstrumentTable, INSTRUMENTS_MAX, ("symbol",)),
    "accounts": _Array(AccountTable, ACCOUNTS_MAX, ("number", "name")),
}


@dataclass(frozen=True, slots=True)
class Config:
    """All of the configuration. Made by `load`, `parse` or `build`; a bare call checks nothing."""

    venue: Venue
    durability: Durability
    gateway: Gateway
    rings: Rings
    waiting: Waiting
    risk: Risk
    assets: tuple[Asset, ...]
    instruments: tuple[Instrument, ...]
    accounts: tuple[Account, ...]
    rules: tuple[RuleSetting, ...]
    "In the order in which risk applies them."
    origin: str = field(default="program", compare=False)
    "Where it came from, for messages."
    _instruments: dict[str, Instrument] = field(init=False, repr=False, compare=False)
    _assets: dict[str, int] = field(init=False, repr=False, compare=False)
    _accounts: dict[int, Account] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_symbol = {instrument.symbol: instrument for instrument in self.instruments}
        object.__setattr__(self, "_instruments", by_symbol)
        object.__setattr__(self, "_assets", {asset.name: asset.index for asset in self.assets})
        object.__setattr__(
            self, "_accounts", {account.number: account for account in self.accounts}
        )

    @classmethod
    def build(cls, **tables: Any) -> "Config":
        """A configuration from tables shaped as in the file; decimals may be Decimals.

        Config.build(assets=[{"name": "USD", "decimals": 2}, ...], instruments=[...],
        accounts=[...], rings={...}). ConfigError when anything is wrong. Here `tick_ms` is 0
        unless given: what a program sends is all that happens, every time; and `durability` is
        "memory" unless given: nothing is left behind.
        """
        venue = tables.get("venue", {})
        if isinstance(venue, Mapping):  # anything else is reported by the checks
            tables["venue"] = {"tick_ms": 0, "durability": "memory", **venue}
        return _assemble(tables, "program")

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a symbol; KeyError when there is none."""
        return self._instruments[symbol]

    def asset_index(self, name: str) -> int:
        """The index of an asset; KeyError when there is none."""
        return self._assets[name]

    def account(self, number: int) -> Account:
        """The account of a number; KeyError when there is none."""
        return self._accounts[number]

    def render(self) -> str:
        """Everything that counts, as it is printed at the start of the venue."""
        lines = [f"configuration {self.origin}"]
        for name in SECTIONS:
            section = getattr(self, name)
            values = (f"{key.name}={_plain(getattr(section, key.name))}" for key in fields(section))
            lines.append(f"  {name:<12}{' '.join(values)}")
        assets = " ".join(f"{asset.name}({asset.decimals})" for asset in self.assets)
        lines.append(f"  {'assets':<12}{assets}")
        quotes = [self.assets[each.quote_asset_index] for each in self.instruments]
        traded = tuple(zip(self.instruments, quotes, strict=True))
        lines += _some(traded, "instruments", lambda pair: pair[0].render(pair[1]))
        lines += _some(self.accounts, "accounts", lambda account: account.render(self.assets))
        if self.rules:
            lines.append(f"  {'rules':<12}{len(self.rules)}")
        return "\n".join(lines)


def load(path: Path = DEFAULT_PATH, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a file; see `parse`. ConfigError, too, when it cannot be read."""
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not UTF-8 text: {error}"]) from None
    return parse(source, str(path), overrides)


def parse(source: str, origin: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Check the text of a configuration; `origin` names it in messages.

    `overrides` replaces single keys of sections, as the command line does, before the checks:
    {"venue.name": "second", "gateway.http": "127.0.0.1:8081"}. ConfigError lists all problems.
    """
    try:
        tables = tomllib.loads(source)
    except (ValueError, RecursionError) as error:  # too long a number, too deep an array
        raise ConfigError(origin, [f"is not TOML: {error}"]) from None
    for path, value in (overrides or {}).items():
        section, _, key = path.partition(".")
        assert section in SECTIONS, f"override {path!r} names no section"
        assert key, f"override {path!r} names no key"
        table = tables.setdefault(section, {})
        if isinstance(table, dict):  # anything else is reported by the checks
            table[key] = value
    return _assemble(tables, origin)


def _assemble(tables: Mapping[str, Any], origin: str) -> Config:
    """Check all tables and put them together; ConfigError when anything is wrong."""
    problems = Problems()
    known = [*SECTIONS, *_ARRAYS, "rules"]
    for name in tables:
        if name not in known:
            problems.say(name, f"unknown table; there are {', '.join(known)}")
    sections: dict[str, Any] = {
        name: read(kind, tables.get(name, {}), name, problems) for name, kind in SECTIONS.items()
    }
    written = {name: _tables(tables.get(name), name, problems) for name in _ARRAYS}
    checked = {
        name: [
            read(_ARRAYS[name].kind, table, f"{name}[{index}]", problems)
            for index, table in enumerate(written[name])
        ]
        for name in _ARRAYS
    }
    for name, array in _ARRAYS.items():
        for key in array.unique:
            _refuse_duplicates(written[name], name, key, problems)
    assets: dict[str, Asset | None] = {}
    for index, (table, asset) in enumerate(zip(written["assets"], checked["assets"], strict=True)):
        made = None if asset is None else Asset(index, asset.name, asset.decimals)
        assets.setdefault(_value(table, "name"), made)
    _refuse_unknown_assets(written, assets, problems)
    instruments: dict[str, Instrument | None] = {
        _value(table, "symbol"): None for table in written["instruments"]
    }
    instruments |= {
        table.symbol: make_instrument(table, index, base, quote, problems)
        for index, table in enumerate(checked["instruments"])
        if table is not None
        and (base := assets.get(table.base)) is not None
        and (quote := assets.get(table.quote)) is not None
    }
    accounts = [
        make_account(table, f"accounts[{index}]", assets, problems)
        for index, table in enumerate(checked["accounts"])
        if table is not None
    ]
    check_supply(accounts, assets.values(), problems)
    made_instruments = [made for made in instruments.values() if made is not None]
    _check_schedules(made_instruments, sections["venue"], problems)
    _check_shards(made_instruments, sections["venue"], problems)
    if sections["risk"] is not None:
        _check_venue_accounts(sections["risk"], accounts, problems)
        _check_fees(made_instruments, sections["risk"], problems)
    numbers = {account.number for account in accounts}
    rules = make_rules(_rule_tables(tables, problems), instruments, assets, numbers, problems)
    if problems.found:
        raise ConfigError(origin, problems.found)
    return Config(
        **sections,
        assets=tuple(asset for asset in assets.values() if asset is not None),
        instruments=tuple(made_instruments),
        accounts=tuple(accounts),
        rules=rules,
        origin=origin,
    )


def _tables(array: object, name: str, problems: Problems) -> Sequence[object]:
    """The tables of an array, unchecked; none of them when there are too few or too many."""
    most = _ARRAYS[name].most
    if isinstance(array, list | tuple) and 1 <= len(array) <= most:
        return array
    problems.note(name, f"1 to {most} [[{name}]] tables", array)
    return ()


def _rule_tables(tables: Mapping[str, Any], problems: Problems) -> Sequence[object]:
    """The tables of [[rules]], unchecked; none of them when there are too many."""
    array = tables.get("rules", ())
    if isinstance(array, list | tuple) and len(array) <= RULES_MAX:
        return array
    problems.note("rules", f"at most {RULES_MAX} [[rules]] tables", array)
    return ()


def _value(table: object, key: str) -> Any:
    """What an unchecked table holds under `key`; None for what cannot name anything."""
    value = table.get(key) if isinstance(table, Mapping) else None
    return value if isinstance(value, str | int) else None


def _refuse_duplicates(tables: Sequence[object], name: str, key: str, problems: Problems) -> None:
    first: dict[Any, int] = {}
    for index, table in enumerate(tables):
        value = _value(table, key)
        if value is not None and first.setdefault(value, index) != index:
            unused = f"a {key} of its own ({name}[{first[value]}] has this one)"
            problems.note(f"{name}[{index}].{key}", unused, value)


def _refuse_unknown_assets(
    written: Mapping[str, Sequence[object]], assets: Container[str], problems: Problems
) -> None:
    """Check every reference to an asset, also in tables that have other problems."""
    expected = "the name of one of the [[assets]]"
    for index, table in enumerate(written["instruments"]):
        for key in ("base", "quote"):
            name = _value(table, key)
            if isinstance(name, str) and name not in assets:
                problems.note(f"instruments[{index}].{key}", expected, name)
    for index, table in enumerate(written["accounts"]):
        balances = table.get("balances") if isinstance(table, Mapping) else None
        for name in balances if isinstance(balances, Mapping) else ():
            if name not in assets:
                problems.note(f"accounts[{index}].balances.{name}", expected, name)


def _check_schedules(
    instruments: Sequence[Instrument], venue: Venue | None, problems: Problems
) -> None:
    """All schedules together have a limit, and nothing executes one without a clock."""
    entries = sum(len(instrument.schedule) for instrument in instruments)
    if entries > SCHEDULE_MAX:
        expected = f"at most {SCHEDULE_MAX} entries in all schedules together"
        problems.note("instruments", expected, entries)
    if entries and venue is not None and venue.tick_ms == 0:
        problems.note("venue.tick_ms", "more than 0, as instruments have a schedule", 0)


def _check_shards(
    instruments: Sequence[Instrument], venue: Venue | None, problems: Problems
) -> None:
    """Each instrument lies in a shard that there is."""
    for instrument in instruments:
        shard = instrument.shard
        if venue is not None and shard is not None and shard >= venue.shards:
            expected = f"a whole number below venue.shards {venue.shards}"
            problems.note(f"instruments[{instrument.index}].shard", expected, shard)


def _check_venue_accounts(risk: Risk, accounts: Sequence[Account], problems: Problems) -> None:
    """The accounts of the venue are there, and the one that pays debts has cash to pay with."""
    kinds = {account.number: account.kind for account in accounts}
    for key in ("fee_account", "insurance_account"):
        number = getattr(risk, key)
        if number is not None and number not in kinds:
            problems.note(f"risk.{key}", "the number of one of the [[accounts]]", number)
    payer = risk.insurance_account
    if payer is not None and kinds.get(payer) == AccountKind.MARGIN:
        problems.note("risk.insurance_account", "a cash account", payer)


def _check_fees(instruments: Sequence[Instrument], risk: Risk, problems: Problems) -> None:
    """Fees need somebody who gets them."""
    for instrument in instruments:
        if instrument.has_fees and risk.fee_account is None:
            problems.say(f"instruments[{instrument.index}].fees", NO_FEE_ACCOUNT)


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _some(items: tuple[Any, ...], noun: str, render: Any) -> list[str]:
    """One line for each of the first RENDERED_MAX, and one for the rest."""
    lines = [render(item) for item in items[:RENDERED_MAX]]
    rest = len(items) - RENDERED_MAX
    return [*lines, f"  ... and {rest} more {noun}"] if rest > 0 else lines
