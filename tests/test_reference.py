"""Reference data: the configuration's numbers, term by term, and how a term is named and set."""

from typing import Any

import pytest

from engine.config import Config
from engine.instruments import Instrument
from engine.limits import ACCOUNTS_MAX, INSTRUMENTS_MAX, PRICE_STEPS_MAX, RULES_MAX, TIERS_MAX
from engine.messages import AccountKind, Listing, Phase, Prevention
from engine.reference import (
    MONEY_TERM_COUNT,
    TERM_BOUNDS,
    TERM_COUNT,
    TERM_NUMBERS,
    InstrumentTerms,
    ReferenceData,
    apply_instrument,
    copy_terms,
    set_term,
    step_at,
    step_down,
    step_up,
    term,
)
from engine.reference_writer import write_reference
from ipc.record import Array, Record, length

STEPS = [
    {"from": "-1", "step": "0.5"},
    {"from": "10", "step": "1"},
    {"from": "30", "step": "5"},
]


class Terms(Record):
    """What a stage keeps."""

    terms: Array[InstrumentTerms] = length(INSTRUMENTS_MAX)


def built(instrument: dict[str, Any] | None = None, **tables: Any) -> Config:
    written: dict[str, Any] = {
        "symbol": "B/Q",
        "base": "B",
        "quote": "Q",
        "tick": "0.5",
        "lot": "0.1",
        "qty_max": "100",
        "notional_max": "5000",
    }
    defaults: dict[str, Any] = {
        "assets": [{"name": "Q", "decimals": 2}, {"name": "B", "decimals": 1}],
        "instruments": [written | (instrument or {})],
        "accounts": [{"number": 3, "name": "c"}],
    }
    return Config.build(**(defaults | tables))


def reference_of(config: Config) -> ReferenceData:
    reference: ReferenceData = ReferenceData.allocate()
    write_reference(reference, config)
    return reference


def test_every_term_has_a_number_and_these_are_the_words_of_the_record() -> None:
    assert sorted(TERM_NUMBERS.values()) == list(range(TERM_COUNT))
    terms = InstrumentTerms.allocate()
    for name, number in TERM_NUMBERS.items():
        set_term(terms, number, -1 - number)
        field, _, index = name.rstrip("]").partition("[")
        value = getattr(terms, field)
        assert (value[int(index)] if index else value) == term(terms, number) == -1 - number
    for number in (-1, TERM_COUNT):
        with pytest.raises(AssertionError):
            set_term(terms, number, 0)


def test_the_terms_of_money_come_first() -> None:
    money = [name for name, number in TERM_NUMBERS.items() if number < MONEY_TERM_COUNT]
    assert money == [
        "base_asset",
        "quote_asset",
        "base_units_per_lot",
        "notional_multiplier",
        "notional_divisor",
        "fee_asset",
    ]


def test_all_numbers_of_an_instrument_arrive() -> None:
    config = built(
        {
            "qty_min": "0.2",
            "notional_min": "1.5",
            "price_steps": STEPS,
            "static_band_bps": 700,
            "dynamic_band_bps": 30,
            "volatility_halt_s": 2,
            "volatility_auction_s": 3,
            "phase": "pre_open",
            "collar_bps": 9,
            "reference_price": "20",
            "price_min": "1",
            "price_max": "1000",
            "fees": [{"maker": "-0.0001", "taker": "0.0005"}, {"maker": "0", "taker": "0.0004"}],
            "fee_asset": "received",
            "initial_margin": "0.2",
            "maintenance_margin": "0.1",
            "mark": "external",
            "collar_reference": "mid",
        },
        risk={"fee_account": 3},
    )
    terms = reference_of(config).instruments[0]
    expected = {
        "base_asset": 1,
        "quote_asset": 0,
        "base_units_per_lot": 1,
        "notional_multiplier": 5,
        "notional_divisor": 1,
        "price_min_ticks": 2,
        "price_max_ticks": 2000,
        "qty_min_lots": 2,
        "qty_max_lots": 1000,
        "notional_min_units": 150,
        "notional_max_units": 500_000,
        "collar_bps": 9,
        "static_band_bps": 700,
        "dynamic_band_bps": 30,
        "reference_ticks": 40,
        "volatility_halt_ns": 2_000_000_000,
        "volatility_auction_ns": 3_000_000_000,
        "step_count": 3,
        "step_from[0]": -2,
        "step_from[1]": 20,
        "step_from[2]": 60,
        "step_ticks[0]": 1,
        "step_ticks[1]": 2,
        "step_ticks[2]": 10,
        "fee_asset": 1,
        "initial_bps": 2000,
        "maintenance_bps": 1000,
        "short_selling": 1,
        "mark_source": 2,
        "collar_reference": 2,
        "tell_top": 1,
        "maker_rates[0]": -100,
        "taker_rates[0]": 500,
        **{f"taker_rates[{tier}]": 400 for tier in range(1, TIERS_MAX)},
        "phase": Phase.PRE_OPEN,
        "listed": 1,
        "was_listed": 1,
    }
    found = {name: term(terms, number) for name, number in TERM_NUMBERS.items()}
    assert found == dict.fromkeys(TERM_NUMBERS, 0) | expected


def test_a_term_that_a_command_may_set_has_bounds_that_the_configuration_keeps() -> None:
    margin = {"initial_margin": "1", "maintenance_margin": "1"}
    reference = reference_of(built({"price_steps": STEPS, **margin}))
    for name, number in TERM_NUMBERS.items():
        least, most = TERM_BOUNDS[name.partition("[")[0]]
        if name in ("base_asset", "quote_asset"):
            most = 1  # the last one there is
        assert (term(reference.least, number), term(reference.most, number)) == (least, most)
        if least <= most:
            for terms in (reference.instruments[0], reference.instruments[7]):
                assert least <= term(terms, number) <= most, name


def test_commands_set_terms_list_and_delist() -> None:
    terms = reference_of(built()).instruments[1]
    apply_instrument(terms, TERM_NUMBERS["qty_max_lots"], 77)
    assert (terms.qty_max_lots, terms.listed, terms.was_listed) == (77, 0, 0)
    apply_instrument(terms, Listing.LIST, Phase.HALT)
    assert (terms.phase, terms.listed, terms.was_listed) == (Phase.HALT, 1, 1)
    apply_instrument(terms, Listing.DELIST, 0)
    assert (terms.phase, terms.listed, terms.was_listed) == (Phase.HALT, 0, 1)


def test_instruments_that_are_not_configured_are_not_listed() -> None:
    reference = reference_of(built())
    assert [reference.instruments[index].listed for index in (0, 1, INSTRUMENTS_MAX - 1)] == [
        1,
        0,
        0,
    ]


def test_a_stage_copies_all_terms() -> None:
    reference = reference_of(built())
    mine = Terms.allocate()
    copy_terms(mine.terms, reference)
    for index in (0, 1, INSTRUMENTS_MAX - 1):
        for number in range(TERM_COUNT):
            assert term(mine.terms[index], number) == term(reference.instruments[index], number)
    set_term(mine.terms[0], TERM_NUMBERS["qty_max_lots"], 1)
    assert reference.instruments[0].qty_max_lots == 1000, "a copy, not the original"


def test_valid_prices_are_multiples_of_the_step_of_their_range() -> None:
    terms = reference_of(built({"price_steps": STEPS})).instruments[0]
    assert [step_at(terms, ticks) for ticks in (-9, -2, 19, 20, 59, 60, 999)] == [
        1,
        1,
        1,
        2,
        2,
        10,
        10,
    ]
    assert [step_down(terms, ticks) for ticks in (-3, 20, 21, 59, 60, 69)] == [
        -3,
        20,
        20,
        58,
        60,
        60,
    ]
    assert [step_up(terms, ticks) for ticks in (-3, 20, 21, 59, 60, 61)] == [-3, 20, 22, 60, 60, 70]
    for ticks in range(-10, 100):
        for rounded in (step_down(terms, ticks), step_up(terms, ticks)):
            assert rounded % step_at(terms, rounded) == 0


def test_negative_prices_are_rounded_down_and_up_too() -> None:
    terms = reference_of(built({"price_steps": [{"from": "0", "step": "2"}]})).instruments[0]
    assert (step_down(terms, -5), step_up(terms, -5)) == (-8, -4)


def test_without_a_tick_table_every_price_is_valid() -> None:
    terms = reference_of(built()).instruments[0]
    assert (step_at(terms, 7), step_down(terms, 7), step_up(terms, 7)) == (1, 7, 7)


def test_the_multiplier_is_part_of_the_notional() -> None:
    assert built({"multiplier": "20"}).instruments[0].notional_multiplier == 100
    smaller = built({"multiplier": "0.01"}).instruments[0]
    assert (smaller.notional_multiplier, smaller.notional_divisor) == (1, 20)


def test_accounts_have_groups_and_a_way_to_prevent_trades_with_themselves() -> None:
    accounts = [
        {"number": 0, "name": "a"},
        {"number": 5, "name": "b", "self_trade": "decrement"},
        {"number": ACCOUNTS_MAX - 1, "name": "c", "group": 5, "self_trade": "oldest"},
    ]
    reference = reference_of(built(accounts=accounts))
    later = reference.accounts[4]
    assert (later.known, later.prevention, later.group) == (0, Prevention.NONE, 4)
    found = {
        number: (terms.prevention, terms.group)
        for number in range(ACCOUNTS_MAX)
        if (terms := reference.accounts[number]).known
    }
    assert found == {
        0: (Prevention.NONE, 0),
        5: (Prevention.DECREMENT, 5),
        ACCOUNTS_MAX - 1: (Prevention.OLDEST, 5),
    }


def test_accounts_have_a_kind_and_a_tier() -> None:
    accounts = [
        {"number": 0, "name": "a", "tier": TIERS_MAX - 1},
        {"number": 1, "name": "b", "kind": "margin"},
    ]
    reference = reference_of(built(accounts=accounts))
    found = [
        (reference.accounts[number].kind, reference.accounts[number].tier) for number in (0, 1)
    ]
    assert found == [(AccountKind.CASH, TIERS_MAX - 1), (AccountKind.MARGIN, 0)]


def test_the_accounts_of_the_venue_and_its_day() -> None:
    reference = reference_of(built())
    assert (reference.fee_account, reference.insurance_account) == (-1, -1)
    assert (reference.day_start_ns, reference.rule_count) == (0, 0)
    risk = {"fee_account": 0, "insurance_account": 3, "day_start": "23:59"}
    accounts = [{"number": 0, "name": "venue"}, {"number": 3, "name": "insurance"}]
    reference = reference_of(built(risk=risk, accounts=accounts))
    assert (reference.fee_account, reference.insurance_account) == (0, 3)
    assert reference.day_start_ns == 86_340 * 10**9


def test_rules_arrive_in_their_order() -> None:
    rules: list[dict[str, Any]] = [
        {"scope": "group", "group": 9, "rule": "gross_max_units", "asset": "B", "value": "1.5"},
        {"scope": "venue", "rule": "killed", "value": 2},
        {"scope": "symbol", "symbol": "B/Q", "rule": "long_max_lots", "value": "0.3"},
    ]
    config = built(rules=rules)
    reference = reference_of(config)
    entries = [reference.rules[index] for index in range(reference.rule_count)]
    found = [
        (each.scope, each.entity, each.instrument, each.number, each.value) for each in entries
    ]
    assert found == list(config.rules) == [(3, 9, 1, 34, 15), (1, 0, 0, 11, 2), (2, 0, 0, 2, 3)]


def test_there_is_room_for_all_rules_that_may_be_configured() -> None:
    rules = [
        {"scope": "group", "group": number // 16, "rule": "open_orders_max", "value": number}
        for number in range(0, RULES_MAX, 16)
    ]
    reference = reference_of(built(rules=rules))
    assert reference.rules[reference.rule_count - 1].value == RULES_MAX - 16
    assert len(reference.rules) == RULES_MAX


def test_books_are_divided_among_the_shards() -> None:
    written = {"base": "B", "quote": "Q", "tick": "1", "lot": "1"} | {
        "qty_max": "1",
        "notional_max": "1",
    }
    instruments = [written | {"symbol": name} for name in "STUV"]
    instruments[1]["shard"] = 0
    reference = reference_of(built(instruments=instruments, venue={"shards": 3}))
    assert [reference.instruments[index].shard for index in range(7)] == [0, 0, 2, 0, 1, 2, 0]
    assert reference.shard_count == 3


def test_schedules_of_all_instruments_are_sorted_by_time() -> None:
    written = {"base": "B", "quote": "Q", "tick": "1", "lot": "1"} | {
        "qty_max": "1",
        "notional_max": "1",
    }
    open_late = {"at": "09:00:01", "phase": "continuous", "days": ["sun", "mon"]}
    close = {"at": "23:59:59", "phase": "closed"}
    open_early = {"at": "08:00:00", "phase": "pre_open"}
    instruments = [
        written | {"symbol": "S", "schedule": [open_late, close]},
        written | {"symbol": "T", "schedule": [close, open_early]},
    ]
    reference = reference_of(built(instruments=instruments, venue={"tick_ms": 20}))
    entries = [reference.schedule[index] for index in range(reference.schedule_count)]
    assert [(each.second, each.instrument, each.phase, each.weekdays) for each in entries] == [
        (28_800, 1, Phase.PRE_OPEN, 0b1111111),
        (32_401, 0, Phase.CONTINUOUS, 0b1000001),
        (86_399, 0, Phase.CLOSED, 0b1111111),
        (86_399, 1, Phase.CLOSED, 0b1111111),
    ]
    assert reference.tick_ns == 20_000_000


def test_instruments_have_no_more_ranges_than_terms_hold() -> None:
    steps = [{"from": str(price), "step": "1"} for price in range(PRICE_STEPS_MAX)]
    made: Instrument = built({"price_steps": steps}).instruments[0]
    assert len(made.price_steps) == PRICE_STEPS_MAX
