"""The configuration: one TOML file, read once, checked completely, frozen.

`load` and `parse` read a file or its text, `Config.build` takes the same tables from a program
(replays, tests). All three make the same checks, and raise one ConfigError that lists every
problem with file, key, what was expected and what was found. Defaults stand in the classes here
and nowhere else; `okimi.toml` beside this file documents every key and is what `okimi` runs with
unless it is given another file. The environment is never looked at.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from engine.accounts import Account, AccountTable, check_supply, make_account
from engine.instruments import (
    Asset,
    AssetTable,
    Instrument,
    InstrumentTable,
    find_asset,
    make_instrument,
)
from engine.limits import (
    ACCOUNTS_MAX,
    ASSETS_MAX,
    BATCH_MAX,
    EVENT_RING_SLOTS,
    EVENTS_PER_SLICE_MAX,
    INSTRUMENTS_MAX,
    RING_SLOTS,
)
from engine.schema import (
    Problems,
    choice,
    flag,
    loopback_address,
    power_of_two,
    read,
    split_address,
    text,
    whole,
)

DEFAULT_PATH: Final = Path(__file__).with_name("okimi.toml")
"""The shipped configuration; `okimi.toml` at the root of the repository is a link to it."""

SLOTS_MAX: Final = 1 << 22
"""Slots of a ring: 512 MiB of messages. A longer queue is a fault that should be seen sooner."""

COMMAND_SLOTS_MIN: Final = BATCH_MAX * 4
"""A ring holds several batches, so that its writer and reader can work at the same time."""

EVENT_SLOTS_MIN: Final = EVENTS_PER_SLICE_MAX * 4
"""The event ring holds several slices of a sweep, for the same reason."""

BODY_BYTES_MAX: Final = 1 << 20
"""No request that the venue understands comes near this."""

RENDERED_MAX: Final = 12
"""Instruments or accounts that `Config.render` prints before it only counts them."""

assert COMMAND_SLOTS_MIN <= RING_SLOTS <= SLOTS_MAX
assert EVENT_SLOTS_MIN <= EVENT_RING_SLOTS <= SLOTS_MAX


class ConfigError(Exception):
    """A configuration that cannot be used; the message lists all that is wrong with it."""

    def __init__(self, origin: str, problems: Iterable[str]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{origin}: {problem}" for problem in self.problems))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, tuple[str, ...]]]:
        return ConfigError, (self.origin, self.problems)


@dataclass(frozen=True, slots=True)
class Venue:
    """[venue]: the instance and its memory."""

    name: Annotated[
        str, text("[a-z0-9][a-z0-9-]{0,31}", "1 to 32 lower-case letters, digits or hyphens")
    ] = "okimi"
    durability: Annotated[str, choice("memory", because="the journal is not built yet")] = "memory"
    layout: Annotated[str, choice("auto", "spread", "compact")] = "auto"
    prefault: Annotated[bool, flag()] = False
    huge_pages: Annotated[bool, flag()] = False
    mlock: Annotated[bool, flag()] = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """[gateway]: the process that serves clients."""

    http: Annotated[str, loopback_address()] = "127.0.0.1:8080"
    body_bytes_max: Annotated[int, whole(256, BODY_BYTES_MAX)] = 16_384
    ws_backlog_max: Annotated[int, whole(16, 1 << 20)] = 4_096
    request_timeout_ms: Annotated[int, whole(1, 60_000)] = 2_000

    @property
    def host(self) -> str:
        """Address to listen on."""
        return split_address(self.http)[0]

    @property
    def port(self) -> int:
        """Port to listen on; 0 for any free one."""
        return split_address(self.http)[1]


@dataclass(frozen=True, slots=True)
class Rings:
    """[rings]: slots of 128 bytes of each kind of ring."""

    order_slots: Annotated[int, power_of_two(COMMAND_SLOTS_MIN, SLOTS_MAX)] = RING_SLOTS
    sequenced_slots: Annotated[int, power_of_two(COMMAND_SLOTS_MIN, SLOTS_MAX)] = RING_SLOTS
    decision_slots: Annotated[int, power_of_two(COMMAND_SLOTS_MIN, SLOTS_MAX)] = RING_SLOTS
    event_slots: Annotated[int, power_of_two(EVENT_SLOTS_MIN, SLOTS_MAX)] = EVENT_RING_SLOTS


@dataclass(frozen=True, slots=True)
class Waiting:
    """[waiting]: what a process does while there is nothing to do."""

    strategy: Annotated[str, choice("auto", "spin", "yield", "park")] = "auto"


_SECTIONS: Final[Mapping[str, type]] = {
    "venue": Venue,
    "gateway": Gateway,
    "rings": Rings,
    "waiting": Waiting,
}
_ARRAYS: Final[Mapping[str, tuple[type, int]]] = {
    "assets": (AssetTable, ASSETS_MAX),
    "instruments": (InstrumentTable, INSTRUMENTS_MAX),
    "accounts": (AccountTable, ACCOUNTS_MAX),
}


@dataclass(frozen=True, slots=True)
class Config:
    """All of the configuration. Made by `load`, `parse` or `build`; a bare call checks nothing."""

    venue: Venue
    gateway: Gateway
    rings: Rings
    waiting: Waiting
    assets: tuple[Asset, ...]
    instruments: tuple[Instrument, ...]
    accounts: tuple[Account, ...]
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
        accounts=[...], rings={...}). ConfigError when anything is wrong.
        """
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
        for name in _SECTIONS:
            section = getattr(self, name)
            values = (f"{key.name}={_plain(getattr(section, key.name))}" for key in fields(section))
            lines.append(f"  {name:<12}{' '.join(values)}")
        assets = " ".join(f"{asset.name}({asset.decimals})" for asset in self.assets)
        lines.append(f"  {'assets':<12}{assets}")
        lines += _some(self.instruments, "instruments", self._render_instrument)
        lines += _some(self.accounts, "accounts", self._render_account)
        return "\n".join(lines)

    def _render_instrument(self, instrument: Instrument) -> str:
        quote = self.assets[instrument.quote_asset_index]
        reference = instrument.reference_ticks
        return (
            f"  {instrument.symbol:<12}tick={instrument.tick:f} lot={instrument.lot:f}"
            f" qty_max={instrument.lots_to_qty(instrument.qty_max_lots)}"
            f" notional_max={quote.to_text(instrument.notional_max_units)}"
            f" collar_bps={instrument.collar_bps}"
            f" reference={instrument.ticks_to_price(reference) if reference else 'none'}"
        )

    def _render_account(self, account: Account) -> str:
        owned = (
            f"{self.assets[index].name}={self.assets[index].to_text(units)}"
            for index, units in account.balances
        )
        return f"  account {account.number:<4}{account.name}: {' '.join(owned) or 'no balances'}"


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
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(origin, [f"is not TOML: {error}"]) from None
    for path, value in (overrides or {}).items():
        section, _, key = path.partition(".")
        table = tables.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = value
    return _assemble(tables, origin)


def _assemble(tables: Mapping[str, Any], origin: str) -> Config:
    """Check all tables and put them together; ConfigError when anything is wrong."""
    problems = Problems()
    known = [*_SECTIONS, *_ARRAYS]
    for name in tables:
        if name not in known:
            problems.say(name, f"unknown table; there are {', '.join(known)}")
    sections = {
        name: read(kind, tables.get(name, {}), name, problems) for name, kind in _SECTIONS.items()
    }
    arrays = {name: _read_array(tables, name, problems) for name in _ARRAYS}
    for name, key in (
        ("assets", "name"),
        ("instruments", "symbol"),
        ("accounts", "number"),
        ("accounts", "name"),
    ):
        _refuse_duplicates(arrays[name], name, key, problems)
    assets = {
        table.name: Asset(index, table.name, table.decimals)
        for index, table in enumerate(arrays["assets"])
        if table is not None
    }
    # With a broken asset table nobody can tell which references are wrong: report it alone.
    known_assets = assets if None not in arrays["assets"] else None
    instruments = _make_instruments(arrays["instruments"], known_assets, problems)
    accounts = _make_accounts(arrays["accounts"], known_assets, problems)
    if problems.found:
        raise ConfigError(origin, problems.found)
    return Config(
        **sections,  # type: ignore[arg-type]
        assets=tuple(assets.values()),
        instruments=tuple(instruments),
        accounts=tuple(accounts),
        origin=origin,
    )


def _read_array(tables: Mapping[str, Any], name: str, problems: Problems) -> list[Any]:
    """Each table of an array, checked by itself; None in the place of a wrong one."""
    kind, most = _ARRAYS[name]
    array = tables.get(name)
    if not isinstance(array, list | tuple) or not 1 <= len(array) <= most:
        problems.say(name, f"expected 1 to {most} [[{name}]] tables, found {_extent(array)}")
        return [None]
    return [read(kind, table, f"{name}[{index}]", problems) for index, table in enumerate(array)]


def _refuse_duplicates(array: list[Any], name: str, key: str, problems: Problems) -> None:
    first: dict[Any, int] = {}
    for index, table in enumerate(array):
        if table is None:
            continue
        value = getattr(table, key)
        if first.setdefault(value, index) != index:
            unused = f"a {key} of its own ({name}[{first[value]}] has this one)"
            problems.note(f"{name}[{index}].{key}", unused, value)


def _make_instruments(
    tables: list[Any], assets: Mapping[str, Asset], problems: Problems
) -> list[Instrument | None]:
    made = []
    for index, table in enumerate(tables):
        base = find_asset(table.base, f"instruments[{index}].base", assets, problems)
        quote = find_asset(table.quote, f"instruments[{index}].quote", assets, problems)
        if base is not None and quote is not None:
            made.append(make_instrument(table, index, base, quote, problems))
    return made


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _some(items: tuple[Any, ...], noun: str, render: Any) -> list[str]:
    """One line for each of the first RENDERED_MAX, and one for the rest."""
    lines = [render(item) for item in items[:RENDERED_MAX]]
    rest = len(items) - RENDERED_MAX
    return [*lines, f"  ... and {rest} more {noun}"] if rest > 0 else lines
