"""What a gateway that starts late must know, kept from events within limits.

A `HistoryState` for each matching shard, which `note_event` brings up to date; `read_past` reads
it. All of it is derived from the events of its shard, and with them from the decisions.
"""

from engine.durability.history.noting import note_event, note_events
from engine.durability.history.reading import (
    Beat,
    Past,
    PastAccount,
    PastInstrument,
    PastOrder,
    Recall,
    Recalled,
    read_past,
    rest,
)
from engine.durability.history.state import (
    FILLS_KEPT_MAX,
    FILLS_PER_ORDER_MAX,
    FINISHED_ORDERS_MAX,
    ORDERS_KEPT_MAX,
    TRADES_KEPT_MAX,
    HistoryState,
    Listed,
    OrderPlace,
    OrderState,
    create_history,
)

__all__ = [
    "FILLS_KEPT_MAX",
    "FILLS_PER_ORDER_MAX",
    "FINISHED_ORDERS_MAX",
    "ORDERS_KEPT_MAX",
    "TRADES_KEPT_MAX",
    "Beat",
    "HistoryState",
    "Listed",
    "OrderPlace",
    "OrderState",
    "Past",
    "PastAccount",
    "PastInstrument",
    "PastOrder",
    "Recall",
    "Recalled",
    "create_history",
    "note_event",
    "note_events",
    "read_past",
    "rest",
]
