"""The keys that say how an instrument and an account trade: what is made of them, what is wrong."""

import copy

import pytest

from engine.config import DEFAULT_PATH, Config, parse
from engine.instruments import Instrument
from engine.limits import ACCOUNTS_MAX, SCHEDULE_MAX
from engine.messages import AccountKind, Phase
from tests.config_tables import TABLES, changed, problems_of

ONE_STEP = {"from": "0", "step": "1"}
FEE = {"maker": "0.0002", "taker": "0.0005"}
EARLY = {"at": "08:00:00", "phase": "halt"}

WRONG: list[tuple[str, object, str]] = [
    ("venue.tick_ms", -1, "a whole number from 0 to 60000, found -1"),
    ("venue.shards", 5, "a whole number from 1 to 4, found 5"),
    ("instruments[0].qty_min", "0", "above 0"),
    ("instruments[0].qty_min", "0.03", "not a whole multiple of the lot 0.02"),
    ("instruments[0].qty_min", "10.02", "expected at most qty_max 10"),
    ("instruments[0].notional_min", "-1", "expected 0.00 to"),
    ("instruments[0].notional_min", "250000.01", "expected at most notional_max 250000.00"),
    ("instruments[0].multiplier", "0", "above 0"),
    ("instruments[0].tick", "0.75", "expected tick * lot to be"),
    ("instruments[0].price_steps", "0.01", "an array of at most 8 tables"),
    ("instruments[0].price_steps", [{}] * 9, "an array of at most 8 tables, found an array of 9"),
    ("instruments[0].price_steps", [{"from": "0"}], "step: expected a decimal number above 0"),
    ("instruments[0].price_steps", [{"from": 0, "step": "1"}], "expected a decimal number"),
    ("instruments[0].price_steps", [{"from_": "0", "step": "1"}], "unknown key"),
    ("instruments[0].price_steps", [{"from": "0", "step": "0.75"}], "not a whole multiple"),
    ("instruments[0].price_steps", [{"from": "1", "step": "1.5"}], "a multiple of its own step"),
    ("instruments[0].price_steps", [ONE_STEP, ONE_STEP], "more than 0.00"),
    (
        "instruments[0].price_steps",
        [ONE_STEP, {"from": "1.5", "step": "0.5"}],
        "price_steps[1].from: expected a multiple of its own step and of the step before",
    ),
    ("instruments[0].static_band_bps", 100_001, "a whole number from 0 to 100000"),
    ("instruments[0].dynamic_band_bps", "5", "a whole number from 0 to 100000"),
    ("instruments[0].volatility_halt_s", 86_401, "a whole number from 0 to 86400"),
    ("instruments[0].volatility_auction_s", 1.5, "a whole number from 0 to 86400"),
    ("instruments[0].phase", "open", '"pre_open" or'),
    ("instruments[0].schedule", [{"at": "24:00:00", "phase": "halt"}], "a time of day in UTC"),
    ("instruments[0].schedule", [{"at": "08:00", "phase": "halt"}], "a time of day in UTC"),
    ("instruments[0].schedule", [{"at": "08:00:00", "phase": "open"}], '"continuous" or'),
    ("instruments[0].schedule", [EARLY | {"days": []}], '"mon", "tue"'),
    ("instruments[0].schedule", [EARLY | {"days": ["monday"]}], '"mon", "tue"'),
    ("instruments[0].schedule", [EARLY | {"days": "mon"}], '"mon", "tue"'),
    (
        "instruments[0].schedule",
        [EARLY | {"days": ["tue", "mon"]}, EARLY | {"days": ["sun", "mon"]}],
        "schedule[1].at: instruments[0].schedule[0] is at 08:00:00 on mon, too",
    ),
    ("instruments[0].shard", 4, "a whole number from 0 to 3"),
    ("instruments[0].shard", 1, "a whole number below venue.shards 1, found 1"),
    ("instruments[0].fees", [FEE] * 9, "an array of at most 8 tables, found an array of 9"),
    ("instruments[0].fees", [{"maker": "0"}], "taker: expected a decimal number in quotes"),
    ("instruments[0].fees", [FEE | {"maker": 0.1}], "fees[0].maker: expected a decimal number"),
    ("instruments[0].fees", [FEE, FEE | {"taker": "0.0000001"}], "fees[1].taker: 0.0000001 is not"),
    ("instruments[0].fees", [FEE | {"taker": "0.032768"}], "-0.032767 to 0.032767"),
    ("instruments[0].fees", [FEE | {"maker": "-0.032768"}], "-0.032767 to 0.032767"),
    ("instruments[0].fees", [FEE], "expected none, as no risk.fee_account is set"),
    ("instruments[0].fee_asset", "base", '"quote" or "received"'),
    ("instruments[0].initial_margin", "1.0001", "expected 0.0000 to 1.0000"),
    ("instruments[0].initial_margin", "-0.1", "expected 0.0000 to 1.0000"),
    ("instruments[0].initial_margin", "0.00001", "not a whole multiple of the ten-thousandth"),
    ("instruments[0].initial_margin", 0.1, "found 0.1 (a float)"),
    ("instruments[0].maintenance_margin", "0.0001", "at most initial_margin 0.0000"),
    ("instruments[0].short_selling", "yes", "true or false"),
    ("instruments[0].mark", "best", '"last" or "mid" or "external"'),
    ("instruments[0].collar_reference", "external", '"last" or "best" or "mid"'),
    ("accounts[0].kind", "futures", '"cash" or "margin"'),
    ("accounts[0].tier", 8, "a whole number from 0 to 7"),
    ("accounts[0].group", ACCOUNTS_MAX, f"a whole number from 0 to {ACCOUNTS_MAX - 1}"),
    ("accounts[0].self_trade", "default", '"none" or "newest" or'),
]


@pytest.mark.parametrize(("path", "value", "says"), WRONG)
def test_each_problem_names_its_key_and_what_was_expected(
    path: str, value: object, says: str
) -> None:
    problems = problems_of(changed(path, value))
    about = [problem for problem in problems if says in problem]
    assert about, problems
    assert about[0].startswith(path), about[0]


def test_a_multiplier_makes_a_contract_worth_more() -> None:
    contract = Config.build(**changed("instruments[0].multiplier", "50")).instruments[0]
    assert (contract.notional_multiplier, contract.notional_divisor) == (50, 1)
    part = Config.build(**changed("instruments[0].multiplier", "0.1")).instruments[0]
    assert (part.notional_multiplier, part.notional_divisor) == (1, 10)
    problems = problems_of(changed("instruments[0].multiplier", "1.5"))
    assert "found 0.50 * 0.02 * 1.5 = 3/2 units" in problems[0]


def test_tables_of_an_instrument_become_numbers() -> None:
    tables = copy.deepcopy(TABLES)
    tables["venue"] = {"tick_ms": 100}
    tables["instruments"][0] |= {
        "price_steps": [{"from": "-1", "step": "0.5"}, {"from": "10", "step": "2.5"}],
        "schedule": [
            {"at": "17:00:01", "phase": "closed", "days": ["fri", "mon"]},
            {"at": "00:00:00", "phase": "pre_open"},
        ],
        "volatility_halt_s": 3,
        "volatility_auction_s": 86_400,
        "phase": "post_close",
    }
    made = Config.build(**tables).instruments[0]
    assert made.price_steps == ((-2, 1), (20, 5))
    assert made.schedule == (
        (0, Phase.PRE_OPEN, 0b1111111),
        (61_201, Phase.CLOSED, 0b0010001),
    )
    assert (made.volatility_halt_ns, made.volatility_auction_ns) == (3 * 10**9, 86_400 * 10**9)
    assert made.phase == Phase.POST_CLOSE


def test_two_times_of_one_day_and_one_time_of_two_days_are_no_conflict() -> None:
    schedule = [
        EARLY | {"days": ["mon"]},
        EARLY | {"days": ["tue"]},
        EARLY | {"days": ["mon"], "at": "09:00:00"},
    ]
    tables = changed("instruments[0].schedule", schedule)
    tables["venue"] = {"tick_ms": 1}
    assert len(Config.build(**tables).instruments[0].schedule) == 3


def test_only_files_make_time_pass_by_themselves() -> None:
    assert Config.build(**TABLES).venue.tick_ms == 0
    assert Config.build(**TABLES, venue={"tick_ms": 20}).venue.tick_ms == 20
    shipped = DEFAULT_PATH.read_text()
    assert parse(shipped, "test").venue.tick_ms == 1000
    assert parse(shipped.replace("tick_ms = 1000\n", ""), "test").venue.tick_ms == 1000


def test_a_schedule_needs_a_clock() -> None:
    tables = changed("instruments[0].schedule", [EARLY])
    assert problems_of(tables) == (
        "venue.tick_ms: expected more than 0, as instruments have a schedule, found 0",
    )


def test_all_schedules_together_have_a_limit() -> None:
    day = [
        {"at": f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}", "phase": "halt"}
        for second in range(SCHEDULE_MAX // 2 + 1)
    ]
    tables = copy.deepcopy(TABLES)
    tables["venue"] = {"tick_ms": 1}
    tables["instruments"].append(tables["instruments"][0] | {"symbol": "OTHER", "schedule": day})
    tables["instruments"][0]["schedule"] = day[:-2]
    Config.build(**tables)
    tables["instruments"][0]["schedule"] = day
    assert problems_of(tables) == (
        f"instruments: expected at most {SCHEDULE_MAX} entries in all schedules together, "
        f"found {SCHEDULE_MAX + 2}",
    )


def test_bands_leave_room_for_their_checks_as_a_collar_does() -> None:
    for key in ("static_band_bps", "dynamic_band_bps"):
        tables = changed("instruments[0].price_max", str(1 << 50))
        Config.build(**tables)
        tables["instruments"][0][key] = 1
        assert problems_of(tables)[0].startswith("instruments[0].price_max: expected -"), key


def built(**keys: object) -> Instrument:
    """The instrument with some more keys, in a venue that can have fees."""
    tables = copy.deepcopy(TABLES)
    tables["instruments"][0] |= keys
    return Config.build(**tables, risk={"fee_account": 7}).instruments[0]


def test_tiers_that_are_not_written_pay_as_the_last() -> None:
    plain = built()
    assert (plain.maker_rates, plain.taker_rates, plain.has_fees) == ((0,) * 8, (0,) * 8, False)
    made = built(fees=[FEE, {"maker": "-0.032767", "taker": "0.032767"}, FEE | {"maker": "0"}])
    assert made.maker_rates == (200, -32_767, 0, 0, 0, 0, 0, 0)
    assert made.taker_rates == (500, 32_767, 500, 500, 500, 500, 500, 500)
    assert made.has_fees
    assert built(fees=[FEE] * 8).taker_rates == (500,) * 8


def test_a_schedule_of_nothing_needs_no_account_that_gets_it() -> None:
    nothing = [{"maker": "0", "taker": "0.000000"}]
    assert not Config.build(**changed("instruments[0].fees", nothing)).instruments[0].has_fees


def test_margins_are_in_ten_thousandths() -> None:
    made = built(initial_margin="0.1", maintenance_margin="0.0333")
    assert (made.initial_bps, made.maintenance_bps, made.short_selling) == (1000, 333, 1)
    made = built(initial_margin="1", maintenance_margin="1", short_selling=False)
    assert (made.initial_bps, made.maintenance_bps, made.short_selling) == (10_000, 10_000, 0)
    assert built(initial_margin="0").short_selling == 0
    assert built(short_selling=True).short_selling == 1


def test_margin_needs_prices_from_a_tick_on() -> None:
    tables = changed("instruments[0].price_min", "0.5")
    tables["instruments"][0]["initial_margin"] = "0.1"
    Config.build(**tables)
    tables["instruments"][0]["price_min"] = "0"
    assert problems_of(tables) == (
        "instruments[0].initial_margin: expected none, as there are prices below one tick, "
        'found "0.1"',
    )


def test_matching_tells_the_best_prices_where_risk_compares_with_them() -> None:
    for keys, told in (
        ({}, (0, 0, 0)),
        ({"mark": "mid"}, (1, 0, 1)),
        ({"mark": "external"}, (2, 0, 0)),
        ({"collar_reference": "best"}, (0, 1, 1)),
        ({"collar_reference": "mid", "mark": "external"}, (2, 2, 1)),
    ):
        made = built(**keys)
        assert (made.mark_source, made.collar_reference, made.tell_top) == told, keys


def test_the_account_that_pays_debts_has_cash() -> None:
    tables = copy.deepcopy(TABLES)
    tables["accounts"].append({"number": 8, "name": "future", "kind": "margin"})
    tables["risk"] = {"fee_account": 8, "insurance_account": 7, "day_start": "17:30"}
    config = Config.build(**tables)
    assert config.risk.day_start_ns == (17 * 60 + 30) * 60 * 10**9
    assert [account.kind for account in config.accounts] == [AccountKind.CASH, AccountKind.MARGIN]
    tables["risk"]["insurance_account"] = 8
    assert problems_of(tables) == ("risk.insurance_account: expected a cash account, found 8",)
