"""TOP: the best prices that are shown, said at the end of a command by instruments that tell them.

What is told is the state between two commands: while one is executed the book may be crossed, or
empty where it will not be. A TICK may have touched any instrument, every other command only its
own. The CLOCK of a TICK comes after its TOPs: it is the same in all shards.
"""

from engine.book import Books, key_of, side_of
from engine.events import change_event
from engine.limits import INSTRUMENTS_MAX, LOOK_MAX
from engine.market.resting import shown_total
from engine.market.scanning import first_level, next_level
from engine.market.state import NO_TICKS, Market, Watch
from engine.messages import CommandKind, EventKind, Phase, Side
from engine.stage import Outbox
from ipc.jit import inlined, kernel


@inlined
def forget_top(market: Market) -> None:
    """As if nothing had been told."""
    market.told_bid_ticks = market.told_ask_ticks = NO_TICKS


@inlined
def begin_tops(books: Books) -> None:
    """The instruments to look at when the command under way is done."""
    work = books.work
    work.top_next, work.top_end = work.instrument, work.instrument + 1
    if work.cause.kind == CommandKind.TICK:
        work.top_next, work.top_end = 0, INSTRUMENTS_MAX


@kernel
def tell_next_top(books: Books, out: Outbox) -> bool:
    """Tell of the next instrument what is new; false when none is left to look at."""
    work = books.work
    while work.top_next < work.top_end:
        instrument = work.top_next
        work.top_next += 1
        if books.markets[instrument].watch & Watch.TOP:
            tell_top(books, instrument, out)
            return True
    return False


@kernel
def tell_top(books: Books, instrument: int, out: Outbox) -> None:
    """TOP, unless the best prices are those that were told last."""
    market = books.markets[instrument]
    bid = ask = NO_TICKS
    if market.phase == Phase.CONTINUOUS:
        bid = shown_ticks(books, instrument, Side.BUY.value)
        ask = shown_ticks(books, instrument, Side.SELL.value)
    if bid == market.told_bid_ticks and ask == market.told_ask_ticks:
        return
    market.told_bid_ticks, market.told_ask_ticks = bid, ask
    event = change_event(out, books.work.cause, EventKind.TOP, 0)
    event.account = event.order_id = event.side = 0
    event.instrument = instrument
    event.price_ticks = event.qty_lots = 0
    if bid != NO_TICKS:
        event.price_ticks, event.qty_lots = bid, 1
    if ask != NO_TICKS:
        event.previous_price_ticks, event.leaves_lots = ask, 1


@kernel
def shown_ticks(books: Books, instrument: int, side: int) -> int:
    """The best price at which anything is shown, among LOOK_MAX levels; NO_TICKS for none."""
    own = side_of(books, instrument, side)
    scan = books.work.uncross.scans[side]
    first_level(books, own, scan)
    for _ in range(LOOK_MAX):
        if scan.key == NO_TICKS:
            return NO_TICKS
        if shown_total(books, scan.chunk, scan.number, 1) != 0:
            return key_of(scan.key, side)
        next_level(books, own, scan)
    return NO_TICKS
