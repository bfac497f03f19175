"""The risk stage between hand-made commands and events: what each kind of them does to money.

Every step compares the engine's stage with the naive one, and all balances with their sums (see
`tests.risk_floor`); `test_risk_money` does the same at random.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.limits import BALANCE_MAX, PRICE_TICKS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Listing,
    OrderType,
    Phase,
    Prevention,
    RejectReason,
    Side,
    TimeInForce,
    Trigger,
)
from engine.reference import TERM_NUMBERS
from tests.risk_floor import ALICE, BOB, CAROL, FUNDS, INSTRUMENT, Floor, reason_of
from tools.twin import Balance, Instrument
from tools.twin.market import Market

pytestmark = pytest.mark.interpreted

BUY, SELL = Side.BUY, Side.SELL
STRANGER = 9
QUOTE, BASE = 0, 1
TERMS = CommandFlag.TERMS
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT


@pytest.fixture
def floors() -> Iterator[Any]:
    """Makes floors, and gives their memory back."""
    made: list[Floor] = []

    def make(instrument: Instrument = INSTRUMENT, **fields: Any) -> Floor:
        made.append(Floor(Market((instrument,), ((100,),), FUNDS, **fields)))
        return made[-1]

    yield make
    for floor in made:
        floor.release()


@pytest.fixture
def floor(floors: Any) -> Floor:
    """A market without anything particular."""
    made: Floor = floors()
    return made


# --- who may ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [CommandKind.PHASE, CommandKind.TICK, CommandKind.SNAPSHOT])
def test_commands_of_the_venue_need_no_account(floor: Floor, kind: CommandKind) -> None:
    decision = floor.decide(kind, account=STRANGER, flags=TERMS, phase=Phase.HALT, at_ns=5)
    assert reason_of(decision) == "NONE"


def test_a_mass_cancel_needs_a_known_account(floor: Floor) -> None:
    assert reason_of(floor.decide(CommandKind.MASS_CANCEL, account=ALICE)) == "NONE"
    refused = floor.decide(CommandKind.MASS_CANCEL, account=STRANGER)
    assert reason_of(refused) == "UNKNOWN_ACCOUNT"


def test_a_decision_names_group_and_prevention(floors: Any) -> None:
    floor = floors(groups={ALICE: 77, BOB: 77}, preventions={BOB: Prevention.OLDEST})

    def found(account: int, **fields: Any) -> tuple[int, int]:
        decision = floor.new(account, BUY, 10, 1, **fields)
        return decision.group, decision.prevention

    assert found(ALICE) == (77, Prevention.NONE)
    assert found(BOB) == (77, Prevention.OLDEST)
    assert found(CAROL) == (CAROL, Prevention.NONE), "a group of its own"
    assert found(BOB, flags=TERMS) == (77, Prevention.OLDEST), "DEFAULT"
    assert found(BOB, flags=TERMS, self_trade=Prevention.NONE) == (77, Prevention.NONE)
    assert found(ALICE, flags=TERMS, self_trade=Prevention.BOTH) == (77, Prevention.BOTH)
    assert found(ALICE, self_trade=Prevention.BOTH) == (77, Prevention.NONE), "without TERMS"
    assert found(STRANGER, group=5, prevention=5) == (0, 0), "what a client wrote there is gone"
    assert found(ALICE, reason=RejectReason.BAD_PRICE, group=5, prevention=5) == (0, 0)


# --- prices ----------------------------------------------------------------------------------

STEPS = ((0, 5), (100, 10))


@pytest.mark.parametrize(
    ("side", "order_type", "fields", "price"),
    [
        (BUY, MARKET, {}, 110),
        (SELL, MARKET, {}, 95),
        (BUY, OrderType.MARKET_TO_LIMIT, {}, 110),
        (BUY, MARKET, {"trigger": Trigger.STOP, "trigger_ticks": 200}, 220),
        (SELL, MARKET, {"trigger": Trigger.STOP, "trigger_ticks": 50}, 45),
        (SELL, MARKET, {"trigger": Trigger.TOUCH, "trigger_ticks": 200}, 180),
        (BUY, MARKET, {"trigger": Trigger.TRAIL_TICKS, "trigger_ticks": 200}, 110),
        (SELL, MARKET, {"trigger": Trigger.TRAIL_BPS, "trigger_ticks": 50}, 95),
        (BUY, MARKET, {"trigger": Trigger.STOP, "trigger_ticks": 0}, 2_000),
    ],
)
def test_the_collar_of_a_market_order_lies_around_its_trigger(
    floors: Any, side: int, order_type: int, fields: dict[str, int], price: int
) -> None:
    """Reference 105, ten percent: 94.5 to 115.5, rounded inwards to the steps 5 and 10."""
    terms = INSTRUMENT._replace(collar_bps=1_000, reference_ticks=105, price_steps=STEPS)
    floor = floors(terms)
    flags = TERMS if fields else 0
    order = {"order_type": order_type, "time_in_force": TimeInForce.IOC, "flags": flags}
    decision = floor.new(ALICE, side, 77, 1, **(order | fields))
    assert (reason_of(decision), decision.price_ticks) == ("NONE", price)


def test_what_a_purchase_can_pay_is_rounded_down_to_a_valid_price(floors: Any) -> None:
    floor = floors(INSTRUMENT._replace(price_steps=((-100, 20),)))
    decision = floor.new(CAROL, BUY, 0, 30, order_type=MARKET)
    assert decision.price_ticks == 160, "500 units pay 30 lots at 166"
    decision = floor.new(CAROL, BUY, 0, 30, order_type=MARKET)
    assert decision.price_ticks == 0, "20 units are left"


def test_the_collar_of_a_limit_lies_around_the_trigger(floors: Any) -> None:
    floor = floors(INSTRUMENT._replace(collar_bps=1_000, reference_ticks=100))
    far = {"flags": TERMS, "trigger": Trigger.STOP, "trigger_ticks": 200}
    assert reason_of(floor.new(ALICE, BUY, 221, 1, **far)) == "PRICE_COLLAR"
    assert reason_of(floor.new(ALICE, BUY, 220, 1, **far)) == "NONE"
    assert reason_of(floor.new(ALICE, BUY, 180, 1, **(far | {"flags": 0}))) == "PRICE_COLLAR"
    amendment = {"account": ALICE, "order_id": 2, "qty_lots": 1, "price_ticks": 330}
    assert reason_of(floor.decide(CommandKind.AMEND, **amendment)) == "PRICE_COLLAR"
    further = {"flags": TERMS, "trigger_ticks": 300}
    assert reason_of(floor.decide(CommandKind.AMEND, **(amendment | further))) == "PRICE_COLLAR"
    further["trigger"] = Trigger.TOUCH
    assert reason_of(floor.decide(CommandKind.AMEND, **(amendment | further))) == "NONE"


def test_the_widest_collar_around_the_highest_price_fits(floors: Any) -> None:
    """Only commands can bring an instrument there; the configuration refuses it."""
    floor = floors()
    for name, value in (
        ("price_max_ticks", PRICE_TICKS_MAX),
        ("price_min_ticks", -PRICE_TICKS_MAX),
        ("reference_ticks", PRICE_TICKS_MAX),
        ("collar_bps", 100_000),
        ("notional_max_units", BALANCE_MAX),
    ):
        floor.set_term(name, value)
    price = floor.new(ALICE, SELL, 0, 1, order_type=MARKET).price_ticks
    assert price == -FUNDS[ALICE][QUOTE] * 10, "what can be paid, not the collar's end"
    floor.set_term("collar_bps", 1)
    price = floor.new(ALICE, SELL, 0, 1, order_type=MARKET).price_ticks
    assert price == PRICE_TICKS_MAX - PRICE_TICKS_MAX // 10_000


# --- limits ----------------------------------------------------------------------------------


def test_a_value_below_the_least_is_refused(floors: Any) -> None:
    floor = floors(INSTRUMENT._replace(notional_min_units=100, price_min_ticks=-1_000))
    assert reason_of(floor.new(ALICE, BUY, 99, 10)) == "NOTIONAL_BELOW_MIN"
    assert reason_of(floor.new(ALICE, BUY, 999, 1)) == "NOTIONAL_BELOW_MIN", "99.9"
    assert reason_of(floor.new(ALICE, BUY, 100, 10)) == "NONE"
    assert reason_of(floor.new(ALICE, BUY, -100, 10)) == "NONE"
    amendment = {"account": ALICE, "order_id": 3, "qty_lots": 9, "price_ticks": 100}
    assert reason_of(floor.decide(CommandKind.AMEND, **amendment)) == "NOTIONAL_BELOW_MIN"
    assert reason_of(floor.new(ALICE, BUY, 0, 1, order_type=MARKET)) == "NONE", "no reference"


def test_a_market_order_is_worth_what_the_reference_says(floors: Any) -> None:
    floor = floors(INSTRUMENT._replace(notional_min_units=100, reference_ticks=100))
    assert reason_of(floor.new(ALICE, BUY, 0, 9, order_type=MARKET)) == "NOTIONAL_BELOW_MIN"
    assert reason_of(floor.new(ALICE, SELL, 0, 10, order_type=MARKET)) == "NONE"
    waits = {"order_type": MARKET, "flags": TERMS, "trigger": Trigger.STOP, "trigger_ticks": 200}
    assert reason_of(floor.new(ALICE, SELL, 0, 5, **waits)) == "NONE"
    assert reason_of(floor.new(ALICE, SELL, 0, 4, **waits)) == "NOTIONAL_BELOW_MIN"


def test_terms_change_in_sequence(floor: Floor) -> None:
    assert reason_of(floor.new(ALICE, BUY, 10, 20)) == "NONE"
    floor.set_term("qty_max_lots", 10)
    assert reason_of(floor.new(ALICE, BUY, 10, 20)) == "QUANTITY_ABOVE_MAX"
    floor.set_term("notional_min_units", 1_000)
    assert reason_of(floor.new(ALICE, BUY, 10, 10)) == "NOTIONAL_BELOW_MIN"
    refused = {"order_id": TERM_NUMBERS["qty_max_lots"], "qty_lots": 99}
    floor.decide(CommandKind.INSTRUMENT, **refused, reason=RejectReason.BAD_TERM)
    assert reason_of(floor.new(ALICE, BUY, 10, 20)) == "QUANTITY_ABOVE_MAX", "ingest refused it"


def test_a_listing_forgets_the_last_price(floors: Any) -> None:
    floor = floors(INSTRUMENT._replace(collar_bps=1_000, reference_ticks=100))
    floor.new(ALICE, SELL, 110, 1)
    floor.new(BOB, BUY, 110, 1)
    floor.trade((2, BOB, 0), (1, ALICE, 0), price_ticks=110, qty_lots=1, side=BUY)
    assert reason_of(floor.new(ALICE, SELL, 121, 1)) == "NONE"
    for listing in (Listing.DELIST, Listing.LIST):
        floor.decide(CommandKind.INSTRUMENT, order_id=int(listing))
    assert reason_of(floor.new(ALICE, SELL, 121, 1)) == "PRICE_COLLAR"


# --- events ----------------------------------------------------------------------------------


def test_a_prevented_trade_takes_quantity_and_moves_no_money(floor: Floor) -> None:
    floor.new(ALICE, SELL, 100, 10)
    floor.new(ALICE, BUY, 100, 4)
    floor.trade((2, ALICE, 0), (1, ALICE, 6), kind=EventKind.PREVENTED, price_ticks=100, qty_lots=4)
    assert floor.balance(ALICE, QUOTE) == Balance(10_000, 0), "leaves 0 cost nothing"
    assert floor.balance(ALICE, BASE) == Balance(20_000 - 60, 60)
    gone = {"reason": RejectReason.SELF_TRADE, "account": ALICE}
    floor.apply(EventKind.CANCELED, order_id=2, leaves_lots=0, **gone)
    floor.apply(EventKind.CANCELED, order_id=1, leaves_lots=6, **gone)
    assert floor.balance(ALICE, BASE) == Balance(20_000, 0)


def test_a_prevented_trade_without_lots_changes_nothing(floor: Floor) -> None:
    floor.new(ALICE, SELL, 100, 10)
    floor.new(ALICE, BUY, 100, 4)
    before = floor.balance(ALICE, QUOTE)
    floor.trade((2, ALICE, 4), (1, ALICE, 10), kind=EventKind.PREVENTED, price_ticks=100)
    assert floor.balance(ALICE, QUOTE) == before == Balance(9_960, 40)


def test_a_decrement_does_not_make_an_amendment_under_way_cheaper(floor: Floor) -> None:
    floor.new(ALICE, SELL, 100, 10)
    floor.new(BOB, BUY, 100, 10)
    amendment = {"account": BOB, "order_id": 2, "qty_lots": 10, "price_ticks": 100}
    floor.decide(CommandKind.AMEND, **amendment)
    floor.trade((2, BOB, 6), (1, ALICE, 6), kind=EventKind.PREVENTED, qty_lots=4)
    assert floor.balance(BOB, QUOTE).reserved == 100, "it asks for ten lots all the same"
    replaced = {"order_id": 2, "account": BOB, "price_ticks": 100}
    floor.apply(EventKind.REPLACED, qty_lots=10, leaves_lots=10, **replaced)
    assert floor.balance(BOB, QUOTE).reserved == 100
    floor.apply(EventKind.CANCELED, reason=RejectReason.EXPIRED, order_id=2)
    assert floor.balance(BOB, QUOTE) == Balance(10_000, 0)


def test_lots_that_a_decrement_took_do_not_count_as_filled(floor: Floor) -> None:
    floor.new(ALICE, SELL, 100, 10)
    floor.new(BOB, BUY, 100, 10)
    floor.trade((2, BOB, 6), (1, ALICE, 6), kind=EventKind.PREVENTED, qty_lots=4)
    amendment = {"account": BOB, "order_id": 2, "qty_lots": 8, "price_ticks": 100}
    floor.decide(CommandKind.AMEND, **amendment)
    assert floor.balance(BOB, QUOTE).reserved == 80


def test_an_uncross_trades_at_a_better_price_than_reserved(floor: Floor) -> None:
    floor.new(ALICE, BUY, 120, 10)
    floor.new(BOB, SELL, 90, 10)
    uncross = {"flags": EventFlag.AUCTION, "side": BUY, "price_ticks": 100, "qty_lots": 7}
    floor.trade((1, ALICE, 3), (2, BOB, 3), **uncross)
    assert floor.balance(ALICE, QUOTE) == Balance(10_000 - 70 - 36, 36)
    assert floor.balance(BOB, QUOTE) == Balance(10_070, 0)
    assert floor.balance(ALICE, BASE) == Balance(20_070, 0)


@pytest.mark.parametrize(
    "kind",
    [
        EventKind.ACCEPTED,
        EventKind.RESTED,
        EventKind.TRIGGERED,
        EventKind.LEVEL,
        EventKind.PHASED,
        EventKind.INDICATIVE,
        EventKind.CLOCK,
        EventKind.INSTRUMENT,
        EventKind.BOOKED,
        EventKind.DONE,
        EventKind.CHECKPOINT,
        EventKind.ADMIN_REJECTED,
        EventKind.CANCEL_REJECTED,
    ],
)
def test_events_that_cost_nothing(floor: Floor, kind: EventKind) -> None:
    """Also those that name a live order, at a better price."""
    floor.new(ALICE, BUY, 100, 10)
    reason = 0
    if kind in (EventKind.ADMIN_REJECTED, EventKind.CANCEL_REJECTED):
        reason = RejectReason.UNKNOWN_ORDER
    codec_fields = {"order_id": 1, "account": ALICE, "reason": reason}
    floor.apply(kind, **codec_fields)
    assert floor.balance(ALICE, QUOTE) == Balance(9_900, 100)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (EventKind.REJECTED, RejectReason.PHASE_FORBIDS),
        (EventKind.REJECTED, RejectReason.NO_OPPOSITE),
        (EventKind.CANCELED, RejectReason.LIST_DONE),
        (EventKind.CANCELED, RejectReason.MASS_CANCELED),
        (EventKind.CANCELED, RejectReason.AUCTION_OVER),
        (EventKind.CANCELED, RejectReason.DELISTED),
    ],
)
def test_every_end_releases(floor: Floor, kind: EventKind, reason: RejectReason) -> None:
    """Whoever's command it was: the event names the order."""
    floor.new(ALICE, BUY, 100, 10)
    floor.apply(kind, order_id=1, account=ALICE, reason=reason)
    assert floor.balance(ALICE, QUOTE) == Balance(10_000, 0)


def test_a_refused_amendment_that_would_have_ended_the_order_is_answered(floor: Floor) -> None:
    floor.new(ALICE, BUY, 100, 10)
    floor.new(BOB, SELL, 100, 6)
    floor.trade((2, BOB, 0), (1, ALICE, 4), side=SELL, price_ticks=100, qty_lots=6)
    amendment = {"account": ALICE, "order_id": 1, "qty_lots": 5, "price_ticks": 100}
    floor.decide(CommandKind.AMEND, **amendment)
    refused = {"reason": RejectReason.PHASE_FORBIDS, "order_id": 1, "account": ALICE}
    floor.apply(EventKind.REPLACE_REJECTED, **refused)
    assert floor.balance(ALICE, QUOTE) == Balance(10_000 - 60 - 40, 40)
