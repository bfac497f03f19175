"""Market data: what everybody may know of each instrument, kept from events alone.

Whoever follows the event ring (gateways, replay checks) feeds a `Follower` every event in order;
matching knows nothing of it. Nothing in here knows an account or a hidden quantity.
"""

from engine.marketdata.follower import Follower
from engine.marketdata.l2 import (
    LEVEL_FLAGS,
    L2Book,
    Level,
    LevelChanges,
    level_changes,
    level_of,
)
from engine.marketdata.l3 import L3Book, OrderAction, OrderChange, ShownOrder
from engine.marketdata.market import Indicative, Market, MarketChange, Trade
from engine.marketdata.statistics import DayStatistics

__all__ = [
    "LEVEL_FLAGS",
    "DayStatistics",
    "Follower",
    "Indicative",
    "L2Book",
    "L3Book",
    "Level",
    "LevelChanges",
    "Market",
    "MarketChange",
    "OrderAction",
    "OrderChange",
    "ShownOrder",
    "Trade",
    "level_changes",
    "level_of",
]
