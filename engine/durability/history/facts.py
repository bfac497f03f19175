"""What events say of instruments, accounts and the clock, compiled.

The figures of a day are those of `engine.marketdata.statistics`.
"""

from engine.durability.history.orders import LOW_MASK, high_of, low_of
from engine.durability.history.state import (
    LOW_BITS,
    TRADES_KEPT_MAX,
    DayFigures,
    HistoryState,
    Listed,
)
from engine.limits import ASSETS_MAX
from engine.messages import (
    ChangeEvent,
    EventFlag,
    InstrumentEvent,
    Listing,
    Phase,
    PhaseEvent,
    Scope,
    TradeEvent,
)
from engine.rules import RuleNumber
from ipc.jit import inlined, kernel

# --- figures of a day --------------------------------------------------------------------------


@kernel
def clear_day(day: DayFigures) -> None:
    """Before the first trade."""
    day.open_ticks = day.high_ticks = day.low_ticks = day.last_ticks = 0
    day.lots = day.turnover_low = day.turnover_high = day.trades = 0
    day.auction_price_ticks = day.auction_lots = day.auction_dseq = 0


@kernel
def copy_day(target: DayFigures, source: DayFigures) -> None:
    """The same figures."""
    target.open_ticks, target.high_ticks = source.open_ticks, source.high_ticks
    target.low_ticks, target.last_ticks = source.low_ticks, source.last_ticks
    target.lots, target.trades = source.lots, source.trades
    target.turnover_low, target.turnover_high = source.turnover_low, source.turnover_high
    target.auction_price_ticks = source.auction_price_ticks
    target.auction_lots, target.auction_dseq = source.auction_lots, source.auction_dseq


@inlined
def count_trade(day: DayFigures, event: TradeEvent) -> None:
    """One more trade of the day."""
    price, lots = event.price_ticks, event.qty_lots
    if day.trades == 0:
        day.open_ticks = day.high_ticks = day.low_ticks = price
    else:
        day.high_ticks, day.low_ticks = max(day.high_ticks, price), min(day.low_ticks, price)
    day.last_ticks = price
    day.lots += lots
    low = day.turnover_low + low_of(price, lots)
    day.turnover_low = low & LOW_MASK
    day.turnover_high += high_of(price, lots) + (low >> LOW_BITS)
    day.trades += 1
    if event.flags & EventFlag.AUCTION:
        if event.dseq != day.auction_dseq:  # an uncross is the work of one command
            day.auction_dseq, day.auction_lots = event.dseq, 0
        day.auction_price_ticks = price
        day.auction_lots += lots


# --- instruments -------------------------------------------------------------------------------


@inlined
def traded_publicly(history: HistoryState, event: TradeEvent) -> None:
    """TRADE, as everybody sees it."""
    instrument = history.instruments[event.instrument]
    facts = instrument.facts
    if facts.command_dseq != event.dseq:
        facts.command_dseq = event.dseq
        clear_day(instrument.command_day)
    count_trade(instrument.day, event)
    count_trade(instrument.command_day, event)
    trade = instrument.trades[facts.trade_count % TRADES_KEPT_MAX]
    facts.trade_count += 1
    trade.match_id, trade.price_ticks, trade.lots = (
        event.match_id,
        event.price_ticks,
        event.qty_lots,
    )
    trade.side = -1 if event.flags & EventFlag.AUCTION else event.side
    trade.sequence, trade.time_ns = event.sequence, event.time_ns


@kernel
def phased(history: HistoryState, event: PhaseEvent) -> None:
    """PHASED."""
    instrument = history.instruments[event.instrument]
    facts = instrument.facts
    facts.phase_known, facts.phase, facts.phase_ends_ns = 1, event.phase, event.at_ns
    if event.phase == event.previous_phase:
        return
    forget_indicative(history, event.instrument)
    opens = event.phase == Phase.CONTINUOUS and event.previous_phase == Phase.CLOSED
    if event.phase != Phase.PRE_OPEN and not opens:
        return
    clear_day(instrument.day)  # a day begins, with what its uncross has traded
    if facts.command_dseq == event.dseq:
        copy_day(instrument.day, instrument.command_day)


@kernel
def forget_indicative(history: HistoryState, number: int) -> None:
    """No auction says what it would do."""
    facts = history.instruments[number].facts
    facts.indicated_ticks = facts.indicated_lots = facts.surplus_lots = facts.surplus_side = 0


@kernel
def indicated(history: HistoryState, event: ChangeEvent) -> None:
    """INDICATIVE."""
    facts = history.instruments[event.instrument].facts
    facts.indicated_ticks, facts.indicated_lots = event.price_ticks, event.qty_lots
    facts.surplus_lots, facts.surplus_side = event.leaves_lots, event.side


@kernel
def changed(history: HistoryState, event: InstrumentEvent) -> None:
    """INSTRUMENT: a term was set, or the instrument was listed or delisted."""
    instrument = history.instruments[event.instrument]
    number = event.order_id
    if number == Listing.LIST:
        listed(history, event)
    elif number == Listing.DELIST:
        instrument.facts.listed = Listed.DELISTED
    else:
        instrument.terms[number] = event.qty_lots
        instrument.terms_set[number] = 1


@kernel
def listed(history: HistoryState, event: InstrumentEvent) -> None:
    """LIST: a market begins anew, also if the number was used before."""
    instrument = history.instruments[event.instrument]
    facts = instrument.facts
    facts.listed, facts.relisted = Listed.LISTED, 1
    for word in range(len(event.symbol)):
        facts.symbol[word] = event.symbol[word]
    facts.list_phase = facts.phase = event.qty_lots
    facts.phase_known, facts.phase_ends_ns = 1, 0
    forget_indicative(history, event.instrument)
    facts.command_dseq = facts.trade_count = 0
    clear_day(instrument.day)
    clear_day(instrument.command_day)


# --- accounts and clock ------------------------------------------------------------------------


@kernel
def ruled(history: HistoryState, event: ChangeEvent) -> None:
    """RULED: what is told of accounts, by `engine.messages.RuleCommand`."""
    if event.order_type != Scope.ACCOUNT:
        return
    number, value = event.order_id, event.qty_lots
    account = history.accounts[event.account]
    asset = event.account * ASSETS_MAX + event.instrument
    if number == RuleNumber.KIND:
        account.kind, account.kind_dseq = 1 + value, event.dseq
    elif number == RuleNumber.OPEN:
        account.opened |= value
    elif number == RuleNumber.MARGIN_STATE:
        history.margin_states[asset] = 1 + value
    elif number == RuleNumber.LOSS_STATE:
        history.loss_states[asset] = 1 + value


@inlined
def clocked(history: HistoryState, event: PhaseEvent) -> None:
    """CLOCK."""
    history.clock_ns = max(history.clock_ns, event.at_ns)
