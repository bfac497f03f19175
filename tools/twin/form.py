"""The naive form checks: all that is wrong with a command, what counts first.

A list of rules for each kind of command, each one a plain condition. `terms` are the terms of the
command's instrument by name, as `twin.instrument.terms_of` makes them.
"""

from collections.abc import Iterator, Mapping

from engine.instruments import COLLAR_PRICE_TICKS_MAX
from engine.limits import (
    ACCOUNTS_MAX,
    BALANCE_MAX,
    ICEBERG_PEAKS_MAX,
    PRICE_TICKS_MAX,
    QTY_LOTS_MAX,
    TRAIL_BPS_MAX,
)
from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    Funds,
    Instruction,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Prevention,
    RejectReason,
    Side,
    TimeInForce,
    Trigger,
)
from engine.reference import TERM_BOUNDS
from tools.twin.messages import Command

Terms = Mapping[str, int]

LIMIT, MARKET, MARKET_TO_LIMIT = OrderType
GTC, IOC, FOK, GTD, DAY, AT_OPEN, AT_CLOSE, AUCTION = TimeInForce
STAYING = (GTC, GTD, DAY)
AUCTIONS = (AT_OPEN, AT_CLOSE, AUCTION)
TRAILING = (Trigger.TRAIL_TICKS, Trigger.TRAIL_BPS)
LIST_SIZES = {ListKind.NONE: 1, ListKind.OCO: 2, ListKind.OTO: 2, ListKind.BRACKET: 3}
MONEY = (
    "base_asset",
    "quote_asset",
    "base_units_per_lot",
    "notional_multiplier",
    "notional_divisor",
    "fee_asset",
)


def has_terms(command: Command) -> bool:
    """Whether the third line of the command counts."""
    return bool(command.flags & CommandFlag.TERMS)


def is_post_only(command: Command) -> bool:
    """Whether it must not take."""
    return bool(command.flags & CommandFlag.POST_ONLY)


def is_off_step(price_ticks: int, terms: Terms) -> bool:
    """Whether a price is none of the tick table's."""
    ranges = [
        (terms[f"step_from[{index}]"], terms[f"step_ticks[{index}]"])
        for index in range(terms["step_count"])
    ]
    if not ranges:
        return False
    below = [step for first, step in ranges if first <= price_ticks]
    step = below[-1] if below else ranges[0][1]
    return price_ticks % step != 0


def in_range(price_ticks: int, terms: Terms) -> bool:
    """Whether a price lies between lowest and highest."""
    return terms["price_min_ticks"] <= price_ticks <= terms["price_max_ticks"]


def _faults_of_quantity(command: Command, least: int) -> Iterator[RejectReason]:
    if not 1 <= command.qty_lots <= QTY_LOTS_MAX:
        yield RejectReason.BAD_QUANTITY
    if command.qty_lots < least:
        yield RejectReason.QUANTITY_BELOW_MIN


def _faults_of_price(price_ticks: int, terms: Terms) -> Iterator[RejectReason]:
    if not in_range(price_ticks, terms):
        yield RejectReason.BAD_PRICE
    if is_off_step(price_ticks, terms):
        yield RejectReason.OFF_STEP


# --- new orders --------------------------------------------------------------------------------


def faults_of_new(command: Command, terms: Terms, by_risk: bool) -> Iterator[RejectReason]:
    """NEW and CHECK; `by_risk`: of risk's own source."""
    yield from _faults_of_head(command, by_risk)
    rich = has_terms(command)
    plain = command.order_type in (LIMIT, MARKET) and command.time_in_force in (GTC, IOC, FOK)
    if not rich and not plain:
        yield RejectReason.BAD_TERMS
    if rich and any(_broken_rules(command, terms)):
        yield RejectReason.BAD_TERMS
    closes = command.flags & CommandFlag.LIQUIDATION
    yield from _faults_of_quantity(command, 1 if closes else terms["qty_min_lots"])
    if rich and any(_broken_rules_of_display(command)):
        yield RejectReason.BAD_DISPLAY
    if command.order_type == LIMIT:
        yield from _faults_of_price(command.price_ticks, terms)
    if rich and command.trigger in (Trigger.STOP, Trigger.TOUCH):
        yield from _faults_of_price(command.trigger_ticks, terms)


def _faults_of_head(command: Command, by_risk: bool) -> Iterator[RejectReason]:
    waits = has_terms(command) and command.trigger != Trigger.NONE
    if command.side not in (Side.BUY, Side.SELL):
        yield RejectReason.BAD_SIDE
    if command.order_type not in tuple(OrderType):
        yield RejectReason.BAD_ORDER_TYPE
    if command.time_in_force not in tuple(TimeInForce):
        yield RejectReason.BAD_TIME_IN_FORCE
    if command.order_type == MARKET and command.time_in_force in (GTD, DAY) and not waits:
        yield RejectReason.BAD_TIME_IN_FORCE
    if command.order_type == MARKET_TO_LIMIT and command.time_in_force not in STAYING:
        yield RejectReason.BAD_TIME_IN_FORCE
    if command.flags & ~CommandFlag.REDUCE_ONLY & ~CommandFlag.LIQUIDATION not in (0, 1, 16, 17):
        yield RejectReason.BAD_FLAGS
    if command.flags & CommandFlag.LIQUIDATION and not by_risk:
        yield RejectReason.BAD_FLAGS
    rests = command.order_type == LIMIT and command.time_in_force in STAYING
    if is_post_only(command) and not rests:
        yield RejectReason.BAD_FLAGS


def _may_stay(command: Command) -> bool:
    return command.order_type != MARKET and command.time_in_force not in (IOC, FOK)


def _broken_rules(command: Command, terms: Terms) -> Iterator[bool]:
    """Each term by itself, then what excludes what."""
    yield command.trigger not in tuple(Trigger)
    yield command.peg not in tuple(Peg)
    yield command.self_trade not in tuple(Prevention)
    yield command.instructions not in range(8)
    yield command.list_kind not in LIST_SIZES
    yield command.list_index >= LIST_SIZES.get(ListKind(min(command.list_kind, 3)), 0)
    yield command.trail_limit not in (0, 1)
    yield command.time_in_force == GTD and command.at_ns <= 0
    yield command.time_in_force != GTD and command.at_ns != 0
    yield not 0 <= command.minimum_lots <= max(command.qty_lots, 0)
    yield not -PRICE_TICKS_MAX <= command.offset_ticks <= PRICE_TICKS_MAX
    yield command.offset_ticks != 0 and not command.peg and not command.trail_limit
    yield command.trigger == Trigger.NONE and command.trigger_ticks != 0
    yield command.trigger in (Trigger.STOP, Trigger.TOUCH) and not in_range(
        command.trigger_ticks, terms
    )
    furthest = TRAIL_BPS_MAX if command.trigger == Trigger.TRAIL_BPS else PRICE_TICKS_MAX
    yield command.trigger in TRAILING and not 1 <= command.trigger_ticks <= furthest
    yield from _exclusions(command)


def _exclusions(command: Command) -> Iterator[bool]:
    hidden = bool(command.instructions & Instruction.HIDDEN)
    slides = bool(command.instructions & Instruction.SLIDE)
    whole = bool(command.instructions & Instruction.ALL_OR_NONE)
    pegged = command.peg != Peg.NONE
    waits = command.trigger != Trigger.NONE
    minimum = command.minimum_lots != 0
    converts = command.order_type == MARKET_TO_LIMIT
    auction = command.time_in_force in AUCTIONS
    yield slides and not is_post_only(command)
    yield hidden and not _may_stay(command)
    yield waits and (converts or auction)
    yield bool(command.trail_limit) and command.trigger not in TRAILING
    yield bool(command.trail_limit) and command.order_type != LIMIT
    yield pegged and command.order_type != LIMIT
    yield pegged and command.time_in_force not in STAYING
    yield pegged and (waits or is_post_only(command))
    yield whole and (command.order_type != LIMIT or auction)
    yield whole and (is_post_only(command) or hidden or pegged or command.display_lots != 0)
    yield minimum and (converts or auction or command.time_in_force == FOK)
    yield minimum and (is_post_only(command) or pegged or whole)


def _broken_rules_of_display(command: Command) -> Iterator[bool]:
    smallest = -(-command.qty_lots // ICEBERG_PEAKS_MAX)
    if command.display_lots != 0:
        yield not smallest <= command.display_lots <= command.qty_lots
        yield bool(command.instructions & Instruction.HIDDEN)
        yield not _may_stay(command)


# --- everything else ---------------------------------------------------------------------------


def faults_of_amend(command: Command, terms: Terms) -> Iterator[RejectReason]:
    """AMEND."""
    if command.flags & ~(1 | 2 | 4 | 16):
        yield RejectReason.BAD_FLAGS
    least = 1 if command.flags & CommandFlag.LEAVES else terms["qty_min_lots"]
    yield from _faults_of_quantity(command, least)
    yield from _faults_of_price(command.price_ticks, terms)
    if has_terms(command):
        if command.trigger_ticks and not in_range(command.trigger_ticks, terms):
            yield RejectReason.BAD_TERMS
        if not 0 <= command.display_lots <= command.qty_lots:
            yield RejectReason.BAD_DISPLAY
        if command.trigger_ticks and is_off_step(command.trigger_ticks, terms):
            yield RejectReason.OFF_STEP


def faults_of_operation(command: Command) -> Iterator[RejectReason]:
    """CANCEL, MASS_CANCEL, PHASE, TICK, SNAPSHOT, RULE."""
    timed = command.kind in (CommandKind.PHASE, CommandKind.TICK)
    sides = (Side.BUY, Side.SELL, BOTH_SIDES)
    if command.kind == CommandKind.MASS_CANCEL and command.side not in sides:
        yield RejectReason.BAD_SIDE
    if command.flags & ~CommandFlag.TERMS or (command.flags and not timed):
        yield RejectReason.BAD_FLAGS
    if timed and not has_terms(command):
        yield RejectReason.BAD_TERMS
    if command.kind == CommandKind.PHASE and command.phase not in tuple(Phase):
        yield RejectReason.BAD_PHASE
    if command.kind == CommandKind.TICK and command.at_ns < 0:
        yield RejectReason.BAD_TERMS


def faults_of_funds(command: Command, assets: int) -> Iterator[RejectReason]:
    """FUNDS in a venue with so many assets."""
    if command.instrument not in range(assets):
        yield RejectReason.UNKNOWN_ASSET
    if not 1 <= command.qty_lots <= BALANCE_MAX:
        yield RejectReason.BAD_QUANTITY
    if command.side not in tuple(Funds):
        yield RejectReason.BAD_SIDE
    if command.flags:
        yield RejectReason.BAD_FLAGS
    if command.side != Funds.TRANSFER and command.price_ticks != 0:
        yield RejectReason.BAD_PRICE
    if command.side == Funds.TRANSFER:
        to_itself = command.price_ticks == command.account
        if command.price_ticks not in range(ACCOUNTS_MAX) or to_itself:
            yield RejectReason.BAD_PRICE


def faults_of_mark(command: Command, terms: Terms) -> Iterator[RejectReason]:
    """MARK."""
    if command.flags:
        yield RejectReason.BAD_FLAGS
    if not terms["price_min_ticks"] <= command.price_ticks <= terms["price_max_ticks"]:
        yield RejectReason.BAD_PRICE


def faults_of_listing(command: Command, terms: Terms) -> Iterator[RejectReason]:
    """INSTRUMENT with LIST."""
    if command.flags:
        yield RejectReason.BAD_FLAGS
    if terms["listed"] or not command.client_order_id:
        yield RejectReason.BAD_TERM
    if terms["base_asset"] == terms["quote_asset"]:
        yield RejectReason.BAD_TERM
    if 1 not in (terms["notional_multiplier"], terms["notional_divisor"]):
        yield RejectReason.BAD_TERM
    if command.qty_lots not in tuple(Phase):
        yield RejectReason.BAD_PHASE


def faults_of_term(name: str | None, value: int, terms: Terms, assets: int) -> Iterator[bool]:
    """INSTRUMENT that sets the term of this name (None: no such number) among `terms`."""
    if name is None:
        yield True
        return
    least, most = TERM_BOUNDS[name.partition("[")[0]]
    yield not least <= value <= most
    yield name in ("base_asset", "quote_asset") and value >= assets
    yield name in MONEY and bool(terms["was_listed"])
    new = {**terms, name: value}
    yield new["price_min_ticks"] > new["price_max_ticks"]
    yield new["qty_min_lots"] > new["qty_max_lots"]
    yield new["notional_min_units"] > new["notional_max_units"]
    banded = new["collar_bps"] or new["static_band_bps"] or new["dynamic_band_bps"]
    widest = max(abs(new["price_min_ticks"]), abs(new["price_max_ticks"]))
    yield bool(banded) and widest > COLLAR_PRICE_TICKS_MAX
    yield new["initial_bps"] > 0 and new["price_min_ticks"] <= 0
    yield new["maintenance_bps"] > new["initial_bps"]
    previous = None
    for index in range(new["step_count"]):
        first, step = new[f"step_from[{index}]"], new[f"step_ticks[{index}]"]
        yield step == 0
        yield first % step != 0
        if previous is not None:
            yield first <= previous[0]
            yield first % previous[1] != 0
        previous = first, step
