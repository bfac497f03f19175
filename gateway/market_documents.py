"""The JSON forms of market data: trades, books, tickers, statistics, auctions.

As in `gateway.documents` prices and quantities are decimal text. Nothing here shows an account,
or more of an order than it shows itself.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from engine.config import Config
from engine.instruments import Instrument
from engine.marketdata import (
    L2Book,
    L3Book,
    Market,
    OrderAction,
    OrderChange,
    ShownOrder,
    Trade,
)
from engine.messages import Side
from gateway.documents import NS_PER_US, PHASES, SIDES, Document

ACTIONS: Final = {action: action.name.lower() for action in OrderAction}


def trade_document(trade: Trade, instrument: Instrument) -> Document:
    """One trade; `side` is the aggressor's, null in an uncross."""
    return {
        "match_id": trade.match_id,
        "price": instrument.ticks_to_price(trade.price_ticks),
        "quantity": instrument.lots_to_qty(trade.lots),
        "side": None if trade.side is None else SIDES[trade.side],
        "sequence": trade.sequence,
        "time_us": trade.time_ns // NS_PER_US,
    }


def levels_document(levels: Iterable[tuple[int, int]], instrument: Instrument) -> list[Any]:
    """Levels as [price, quantity] pairs."""
    price, quantity = instrument.ticks_to_price, instrument.lots_to_qty
    return [(price(ticks), quantity(lots)) for ticks, lots in levels]


def book_document(book: L2Book, instrument: Instrument, depth: int) -> Document:
    """Up to `depth` levels of each side, best first, as of `sequence`."""
    return {
        "symbol": instrument.symbol,
        "sequence": book.sequence,
        "bids": levels_document(book.best(Side.BUY, depth), instrument),
        "asks": levels_document(book.best(Side.SELL, depth), instrument),
    }


def book_orders_document(book: L3Book, instrument: Instrument, depth: int) -> Document:
    """Up to `depth` orders of each side in price-time order, as of `sequence`."""
    return {
        "symbol": instrument.symbol,
        "sequence": book.sequence,
        "bids": _orders_document(islice(book.orders(Side.BUY), depth), instrument),
        "asks": _orders_document(islice(book.orders(Side.SELL), depth), instrument),
    }


def _orders_document(orders: Iterable[ShownOrder], instrument: Instrument) -> list[Any]:
    price, quantity = instrument.ticks_to_price, instrument.lots_to_qty
    return [(order.order_id, price(order.price_ticks), quantity(order.lots)) for order in orders]


def order_change_document(change: OrderChange, instrument: Instrument) -> Document:
    """What happened to one order of the book."""
    return {
        "action": ACTIONS[change.action],
        "order_id": change.order_id,
        "side": SIDES[change.side],
        "price": instrument.ticks_to_price(change.price_ticks),
        "quantity": instrument.lots_to_qty(change.lots),
    }


def ticker_document(market: Market, instrument: Instrument) -> Document:
    """Best prices with what they show, and the last trade."""
    bids = levels_document(market.l2.best(Side.BUY, 1), instrument)
    asks = levels_document(market.l2.best(Side.SELL, 1), instrument)
    return {
        "symbol": instrument.symbol,
        "sequence": market.sequence,
        "phase": PHASES.get(market.phase),
        "bid": bids[0] if bids else None,
        "ask": asks[0] if asks else None,
        "last": None if market.last is None else trade_document(market.last, instrument),
    }


def statistics_document(market: Market, instrument: Instrument, config: Config) -> Document:
    """The figures of the day; prices are null until the first trade."""
    day = market.statistics
    quote = config.assets[instrument.quote_asset_index]
    notional = day.turnover * instrument.notional_multiplier // instrument.notional_divisor

    def price(ticks: int, is_there: int) -> str | None:
        return instrument.ticks_to_price(ticks) if is_there else None

    return {
        "symbol": instrument.symbol,
        "sequence": market.sequence,
        "complete": day.complete,
        "open": price(day.open_ticks, day.trades),
        "high": price(day.high_ticks, day.trades),
        "low": price(day.low_ticks, day.trades),
        "last": price(day.last_ticks, day.trades),
        "volume": instrument.lots_to_qty(day.lots),
        "turnover": quote.to_text(notional),
        "trades": day.trades,
        "auction_price": price(day.auction_price_ticks, day.auction_lots),
        "auction_volume": instrument.lots_to_qty(day.auction_lots),
    }


def auction_document(market: Market, instrument: Instrument) -> Document:
    """The phase, and what an auction would do now: null where nothing would trade."""
    shown = market.indicative if market.indicative.lots else None
    return {
        "symbol": instrument.symbol,
        "sequence": market.sequence,
        "phase": PHASES.get(market.phase),
        "phase_ends_us": market.phase_ends_ns // NS_PER_US if market.phase_ends_ns else None,
        "price": None if shown is None else instrument.ticks_to_price(shown.price_ticks),
        "volume": None if shown is None else instrument.lots_to_qty(shown.lots),
        "surplus": None if shown is None else instrument.lots_to_qty(shown.surplus_lots),
        "surplus_side": None if shown is None else SIDES[shown.surplus_side],
    }
