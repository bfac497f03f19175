"""The configuration: what is accepted, and what each problem is called."""

import contextlib
import copy
import dataclasses
import pickle
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import AccountTable
from engine.config import DEFAULT_PATH, Config, ConfigError, load, parse
from engine.instrument_table import InstrumentTable
from engine.limits import ACCOUNTS_MAX, ASSETS_MAX, BALANCE_MAX, INSTRUMENTS_MAX
from engine.rules import RULES, RuleTable
from engine.sections import SECTIONS, Venue
from tests.config_tables import JUNK, MISSING, TABLES, changed, problems_of

# --- the shipped file --------------------------------------------------------------------------


def test_the_shipped_file_is_valid_and_can_trade() -> None:
    config = load()
    assert config.instrument("BTC/USD").reference_ticks > 0
    assert len(config.instruments) >= 2
    for account in config.accounts:
        assert {balance.asset_index for balance in account.balances} >= {0, 1}


def test_the_root_shows_the_file_that_is_shipped() -> None:
    root = Path(__file__).resolve().parent.parent / "okimi.toml"
    assert root.resolve() == DEFAULT_PATH.resolve()


@pytest.mark.parametrize("section", SECTIONS.values(), ids=list(SECTIONS))
def test_the_shipped_file_shows_every_key_with_its_default(section: type[Any]) -> None:
    written = tomllib.loads(DEFAULT_PATH.read_text())[section.__name__.lower()]
    given = {
        key: value for key, value in dataclasses.asdict(section()).items() if value is not None
    }
    assert written == given


def test_the_shipped_file_explains_every_key() -> None:
    comments = [line for line in DEFAULT_PATH.read_text().splitlines() if line.startswith("#")]
    for table in (InstrumentTable, AccountTable, RuleTable):
        for key in dataclasses.fields(table):
            if key.default is not dataclasses.MISSING or table is RuleTable:
                explained = re.compile(rf"#   ([a-z]+, )*{key.name}\b")
                assert any(explained.match(line) for line in comments), key.name
    for rule in RULES.values():
        assert any(f'"{rule.name}"' in line for line in comments) or rule.number >= 40, rule.name
    lines = DEFAULT_PATH.read_text().splitlines()
    for section in SECTIONS.values():
        for key in dataclasses.fields(section):
            # What is nothing unless given stands there as a comment.
            shown = f"{'# ' * (key.default is None)}{key.name} ="
            place = next(n for n, line in enumerate(lines) if line.startswith(shown))
            assert lines[place - 1].startswith("#"), f"{key.name} has no comment above it"


# --- what is made of a right one ---------------------------------------------------------------


def test_amounts_become_integers() -> None:
    config = Config.build(**TABLES)
    instrument = config.instrument("BTC/USD")
    assert (instrument.index, instrument.base_asset_index, instrument.quote_asset_index) == (
        0,
        1,
        0,
    )
    assert (instrument.tick, instrument.lot) == (Decimal("0.5"), Decimal("0.02"))
    assert instrument.base_units_per_lot == 2_000_000
    assert (instrument.notional_multiplier, instrument.notional_divisor) == (1, 1)
    assert instrument.qty_max_lots == 500
    assert instrument.notional_max_units == 25_000_000
    assert (instrument.price_min_ticks, instrument.price_max_ticks) == (1, 1 << 40)
    assert (instrument.collar_bps, instrument.reference_ticks) == (0, 0)
    assert config.account(7).balances == ((0, 100_025),)
    assert config.asset_index("BTC") == 1


def test_optional_prices_are_in_ticks() -> None:
    tables = copy.deepcopy(TABLES)
    tables["instruments"][0] |= {
        "collar_bps": 500,
        "reference_price": "50000.5",
        "price_min": "-10",
        "price_max": Decimal("1E+5"),
    }
    made = Config.build(**tables).instruments[0]
    assert (made.price_min_ticks, made.price_max_ticks) == (-20, 200_000)
    assert (made.collar_bps, made.reference_ticks) == (500, 100_001)


def test_an_overflowing_largest_notional_is_left_to_risk() -> None:
    tables = changed("instruments[0].price_max", str(1 << 58))
    tables["instruments"][0]["tick"] = "1"
    made = Config.build(**tables).instruments[0]
    assert made.price_max_ticks * made.qty_max_lots * made.notional_multiplier > 1 << 63


def test_names_that_are_not_there_are_key_errors() -> None:
    config = Config.build(**TABLES)
    for ask in (
        lambda: config.instrument("ETH/USD"),
        lambda: config.asset_index("ETH"),
        lambda: config.account(8),
    ):
        with pytest.raises(KeyError):
            ask()


def test_a_config_is_frozen_and_travels_between_processes() -> None:
    config = Config.build(**TABLES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.venue = Venue()  # type: ignore[misc]
    twin = pickle.loads(pickle.dumps(config))
    assert twin == config
    assert twin.instrument("BTC/USD").price_to_ticks("0.50") == 1


def test_it_is_printed_with_what_counts_and_not_at_any_length() -> None:
    text = Config.build(**TABLES).render()
    for part in (
        "day_start=00:00 fee_account=none",
        "durability=memory",
        "http=127.0.0.1:8080",
        "BTC/USD",
        "tick=0.50",
        "USD=1000.25",
    ):
        assert part in text
    rich: dict[str, Any] = copy.deepcopy(TABLES)
    rich["instruments"][0] |= {
        "price_steps": [{"from": "0", "step": "1"}],
        "qty_min": "0.04",
        "phase": "halt",
    }
    rich["instruments"][0] |= {
        "fees": [{"maker": "-0.0001", "taker": "0.0005"}, {"maker": "0", "taker": "0.0005"}],
        "fee_asset": "received",
        "initial_margin": "0.1",
        "maintenance_margin": "0.05",
        "mark": "mid",
        "collar_reference": "best",
    }
    rich["accounts"][0] |= {"group": 9, "self_trade": "both", "kind": "margin", "tier": 3}
    rich["risk"] = {"fee_account": 7}
    rich["rules"] = [{"scope": "venue", "rule": "killed", "value": True}]
    rendered = Config.build(**rich).render()
    for part in (
        "price_steps=0.00:1.00",
        "qty_min=0.04",
        "phase=halt",
        "fees=-0.000100/0.000500,0.000000/0.000500 fee_asset=received",
        "initial_margin=0.1000 maintenance_margin=0.0500 short_selling=true mark=mid",
        "collar_reference=best",
        "group=9 self_trade=both kind=margin tier=3",
        "fee_account=7",
        "rules       1",
    ):
        assert part in rendered
        assert part not in text
    accounts = [{"number": number, "name": f"a{number}"} for number in range(100)]
    assert "... and 88 more accounts" in Config.build(**{**TABLES, "accounts": accounts}).render()


def test_overrides_are_checked_like_the_file() -> None:
    source = DEFAULT_PATH.read_text()
    config = parse(source, "test", {"venue.name": "second", "gateway.http": "127.0.0.1:0"})
    assert (config.venue.name, config.gateway.host, config.gateway.port) == (
        "second",
        "127.0.0.1",
        0,
    )
    with pytest.raises(ConfigError, match=r'test: venue\.layout: expected "auto" or'):
        parse(source, "test", {"venue.layout": "wide"})


# --- what is wrong, and how it is called -------------------------------------------------------

WRONG: list[tuple[str, object, str]] = [
    ("venue.name", "Okimi", "lower-case"),
    ("venue.name", "a\n", "lower-case"),
    ("venue.name", "a" * 33, "lower-case"),
    ("venue.durability", "perhaps", "durable"),
    ("venue.layout", "wide", '"auto" or "spread" or "compact"'),
    ("venue.prefault", 1, "true or false, found 1"),
    ("venue.mlock", "yes", 'true or false, found "yes"'),
    ("venue.huge_page", True, "unknown key"),
    ("gateway.http", "0.0.0.0:8080", "there is no authentication yet"),
    ("gateway.http", "192.168.1.1:8080", "loopback"),
    ("gateway.http", "[::]:8080", "loopback"),
    ("gateway.http", "example.com:80", "loopback"),
    ("gateway.http", "127.0.0.1", "HOST:PORT"),
    ("gateway.http", "127.0.0.1:65536", "HOST:PORT"),
    ("gateway.body_bytes_max", 0, "a whole number from 256 to 1048576, found 0"),
    ("gateway.request_timeout_ms", 2000.0, "found 2000.0 (a float)"),
    ("gateway.ws_backlog_max", True, "a whole number from 16 to 1048576, found true"),
    ("rings.order_slots", 5000, "a power of two from 1024"),
    ("rings.decision_slots", 512, "a power of two from 1024"),
    ("rings.event_slots", 1024, "a power of two from 1088"),
    ("rings.sequenced_slots", 1 << 23, "to 4194304"),
    ("waiting.strategy", "sleep", '"park"'),
    ("waiting", 3, "expected a table, found 3"),
    ("assets[1].name", "USD", "(assets[0] has this one)"),
    ("assets[0].decimals", 19, "a whole number from 0 to 18, found 19"),
    ("assets[0].decimals", MISSING, "found nothing"),
    ("assets", [], "1 to 64 [[assets]] tables, found an array of 0"),
    ("assets", MISSING, "1 to 64 [[assets]] tables, found nothing"),
    ("instruments[0].symbol", "BTC USD", "letters, digits"),
    ("instruments[0].base", "XBT", 'the name of one of the [[assets]], found "XBT"'),
    ("instruments[0].quote", "BTC", "another asset than base"),
    ("instruments[0].tick", 0.5, "found 0.5 (a float)"),
    ("instruments[0].tick", "0", "above 0"),
    ("instruments[0].tick", "-1", "above 0"),
    ("instruments[0].tick", "1e-2", "such as"),
    ("instruments[0].tick", "0.0000000000000000001", "at most 18 decimals"),
    ("instruments[0].tick", "0.75", "or one part of a unit, found 0.75 * 0.02 = 3/2 units"),
    ("instruments[0].lot", "0.000000005", "whole number of units of BTC"),
    ("instruments[0].lot", MISSING, "found nothing"),
    ("instruments[0].qty_max", "0.03", "not a whole multiple of the lot 0.02"),
    ("instruments[0].qty_max", "99999999999", "expected 0.02 to"),
    ("instruments[0].notional_max", "0.001", "unit of USD 0.01"),
    ("instruments[0].collar_bps", -1, "a whole number from 0 to 100000"),
    ("instruments[0].reference_price", "0.25", "not a whole multiple of the tick 0.50"),
    ("instruments[0].reference_price", "-1", "expected 0.50 to"),
    ("instruments[0].price_min", "99999999999999", "price_max"),
    ("instruments[0].price_max", str(1 << 61), "expected -"),
    ("instruments[0].price_max", str(1 << 80), "too large"),
    ("instruments[0].Tick", "1", "unknown key"),
    ("instruments[0]", "BTC/USD", 'expected a table, found "BTC/USD"'),
    ("accounts[0].number", ACCOUNTS_MAX, f"a whole number from 0 to {ACCOUNTS_MAX - 1}"),
    ("accounts[0].name", "", "1 to 64"),
    ("accounts[0].balances.EUR", "1", 'the name of one of the [[assets]], found "EUR"'),
    ("accounts[0].balances.USD", 1.5, "as text, found 1.5 (a float)"),
    ("accounts[0].balances", "1000", 'expected a table, found "1000"'),
    ("accounts[0].balances.USD", "-1", "expected 0 to"),
    ("accounts[0].balances.USD", "0.001", "unit of USD"),
    ("risk.day_start", "24:00", 'a time of day in UTC such as "08:00"'),
    ("risk.day_start", "08:00:00", 'a time of day in UTC such as "08:00"'),
    ("risk.fee_account", 8, "the number of one of the [[accounts]], found 8"),
    ("risk.fee_account", ACCOUNTS_MAX, f"a whole number from 0 to {ACCOUNTS_MAX - 1}"),
    ("risk.insurance_account", 8, "the number of one of the [[accounts]], found 8"),
    ("risk.fees", 7, "unknown key"),
    ("rules", {}, "at most 65536 [[rules]] tables, found a table"),
    ("market", {}, "unknown table"),
]


@pytest.mark.parametrize(("path", "value", "says"), WRONG)
def test_each_problem_names_its_key_and_what_was_expected(
    path: str, value: object, says: str
) -> None:
    problems = problems_of(changed(path, value))
    about = [problem for problem in problems if says in problem]
    assert about, problems
    assert about[0].startswith(path.replace("price_min", "price_max")), about[0]


def test_the_right_tables_are_the_ones_that_were_changed() -> None:
    """Without this the test above could pass for a reason in TABLES itself."""
    Config.build(**TABLES)


def test_collared_prices_leave_room_for_the_check() -> None:
    tables = changed("instruments[0].price_max", str(1 << 50))
    Config.build(**tables)
    tables["instruments"][0]["collar_bps"] = 1
    assert problems_of(tables)[0].startswith("instruments[0].price_max: expected -")


def test_zero_is_no_reference_price() -> None:
    tables = changed("instruments[0].reference_price", "0")
    tables["instruments"][0]["price_min"] = "-1"
    assert problems_of(tables) == (
        "instruments[0].reference_price: 0 stands for none: leave the key out",
    )


@pytest.mark.parametrize("key", ["number", "name"])
def test_accounts_are_unique(key: str) -> None:
    tables = copy.deepcopy(TABLES)
    tables["accounts"].append({"number": 8, "name": "bob", key: TABLES["accounts"][0][key]})
    assert problems_of(tables)[0].startswith(f"accounts[1].{key}: expected a {key} of its own")


def test_all_balances_together_fit_into_one() -> None:
    tables = copy.deepcopy(TABLES)
    tables["accounts"] = [
        {"number": number, "name": f"a{number}", "balances": {"BTC": amount}}
        for number, amount in enumerate((Decimal(BALANCE_MAX).scaleb(-8), Decimal("0.00000001")))
    ]
    assert problems_of(tables)[0].startswith("accounts: expected at most 46116860184.27387904 BTC")
    del tables["accounts"][1]
    assert Config.build(**tables).accounts[0].balances[0].units == BALANCE_MAX


@pytest.mark.parametrize(
    ("name", "most"),
    [("assets", ASSETS_MAX), ("instruments", INSTRUMENTS_MAX), ("accounts", ACCOUNTS_MAX)],
)
def test_there_are_only_so_many(name: str, most: int) -> None:
    tables = {**TABLES, name: [{}] * (most + 1)}
    assert f"{name}: expected 1 to {most} [[{name}]] tables, found an array of {most + 1}" in (
        problems_of(tables)
    )


def test_all_problems_come_at_once_with_the_file() -> None:
    source = DEFAULT_PATH.read_text()
    for right, wrong in (
        ('layout = "auto"', 'layout = "wide"'),
        ("order_slots = 16384", "order_slots = 16385"),
        ('base = "BTC"\nquote = "USD"\ntick = "0.01"', 'base = "BTX"\nquote = "USD"\ntick = 0.01'),
        ("balances = { USD =", "balances = { USX ="),
    ):
        assert right in source
        source = source.replace(right, wrong, 1)
    with pytest.raises(ConfigError) as caught:
        parse(source, "my.toml")
    lines = str(caught.value).splitlines()
    starts = ("venue.layout", "rings.order_slots", "instruments[0].tick", "instruments[0].base")
    for start in (*starts, "accounts[0].balances.USX"):
        assert sum(line.startswith(f"my.toml: {start}: expected ") for line in lines) == 1, lines
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[venue]\nname = \n", "is not TOML"),
        (b"[venue]\nname = 'a'\nname = 'b'\n", "is not TOML"),
        (b"[gateway]\nbody_bytes_max = " + b"9" * 5000, "is not TOML"),
        (b"a = " + b"[" * 5000, "is not TOML"),
        (b"[venue]\nname = '\xff'\n", "is not UTF-8"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "some.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {says}")):
        load(path)


PATHS = sorted({path for path, _, _ in WRONG})


@given(path=st.sampled_from(PATHS), value=JUNK | st.just(1 << 20_000))
def test_whatever_a_key_holds_is_accepted_or_a_config_error(path: str, value: object) -> None:
    with contextlib.suppress(ConfigError):
        Config.build(**changed(path, value))
