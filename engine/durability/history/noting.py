"""The one entry: an event, and what becomes of it."""

from engine.durability.history.facts import (
    changed,
    clocked,
    indicated,
    phased,
    ruled,
    traded_publicly,
)
from engine.durability.history.orders import (
    accepted,
    canceled,
    left_level,
    prevented,
    rejected,
    replaced,
    rested,
    traded,
    triggered,
)
from engine.durability.history.state import HistoryState
from engine.messages import (
    MESSAGE_BYTES,
    ChangeEvent,
    Event,
    EventKind,
    InstrumentEvent,
    OrderEvent,
    PhaseEvent,
    TermsEvent,
    TradeEvent,
)
from ipc.jit import inlined, kernel


@inlined
def note(history: HistoryState, event: Event) -> None:
    """Count one event in; the most frequent kinds come first."""
    assert event.sequence == history.sequence + 1, "history: an event is missing"
    history.sequence = event.sequence
    kind, address = event.kind, event.address
    if kind == EventKind.ACCEPTED:
        accepted(history, TermsEvent(address))
    elif kind == EventKind.TRADE:
        traded(history, TradeEvent(address))
        traded_publicly(history, TradeEvent(address))
    elif kind == EventKind.CANCELED:
        canceled(history, ChangeEvent(address))
    elif kind == EventKind.RESTED:
        rested(history, ChangeEvent(address))
    elif kind == EventKind.REPLACED:
        replaced(history, ChangeEvent(address))
    elif kind == EventKind.REJECTED:
        rejected(history, OrderEvent(address))
    else:
        note_other(history, event)


@kernel
def note_other(history: HistoryState, event: Event) -> None:
    """The same for kinds that are rare."""
    kind, address = event.kind, event.address
    if kind == EventKind.TRIGGERED:
        triggered(history, ChangeEvent(address))
    elif kind == EventKind.LEVEL:
        left_level(history, ChangeEvent(address))
    elif kind == EventKind.PREVENTED:
        prevented(history, TradeEvent(address))
    elif kind == EventKind.PHASED:
        phased(history, PhaseEvent(address))
    elif kind == EventKind.INDICATIVE:
        indicated(history, ChangeEvent(address))
    elif kind == EventKind.CLOCK:
        clocked(history, PhaseEvent(address))
    elif kind == EventKind.INSTRUMENT:
        changed(history, InstrumentEvent(address))
    elif kind == EventKind.RULED:
        ruled(history, ChangeEvent(address))


@kernel
def note_event(history: HistoryState, event: Event) -> None:
    """Count in the next event of the shard that the history is of."""
    note(history, event)


@kernel
def note_events(history: HistoryState, first: int, count: int) -> None:
    """The same for `count` events in slots one after the other, the first at an address."""
    for index in range(count):
        note(history, Event(first + index * MESSAGE_BYTES))
