"""The channels of the WebSocket: their names, and what each is subscribed by."""

from typing import Final, Literal

Channel = Literal["orders", "trades", "book", "book_orders", "ticker", "statistics", "auction"]

ORDERS: Final = "orders"
"""Each event of one account's orders. All others are of one instrument and for everybody."""
TRADES: Final = "trades"
BOOK: Final = "book"
"""The book by price (L2)."""
BOOK_ORDERS: Final = "book_orders"
"""The book by order (L3)."""
TICKER: Final = "ticker"
"""Best prices and last trade (L1)."""
STATISTICS: Final = "statistics"
AUCTION: Final = "auction"
"""Phase and indicative price."""

CHANNELS: Final = (ORDERS, TRADES, BOOK, BOOK_ORDERS, TICKER, STATISTICS, AUCTION)

Topic = tuple[str, int]
"""A channel and its account or instrument number."""
