"""The venue once more, as naively as possible: the executable form of docs/matching.md and risk.md.

Nothing here shares code with the engine except its enums and limits: prices are Python ints in
dicts, queues are lists, totals are sums taken anew each time. Tests feed both the same commands
and compare the events field by field; the simulator runs it over the journal's decisions. `audit`
judges a stream of events by itself, without knowing which of the two made it.
"""

from tools.twin.audit import Audit, AuditError
from tools.twin.ingest import Ingest
from tools.twin.instrument import Instrument
from tools.twin.matching import Exchange
from tools.twin.messages import (
    ChangeEvent,
    CheckpointEvent,
    Command,
    Decision,
    Event,
    InstrumentEvent,
    OrderEvent,
    PhaseEvent,
    Sequenced,
    TermsEvent,
    TradeEvent,
    plain,
)
from tools.twin.risk import Balance, Risk
from tools.twin.venue import Venue

__all__ = [
    "Audit",
    "AuditError",
    "Balance",
    "ChangeEvent",
    "CheckpointEvent",
    "Command",
    "Decision",
    "Event",
    "Exchange",
    "Ingest",
    "Instrument",
    "InstrumentEvent",
    "OrderEvent",
    "PhaseEvent",
    "Risk",
    "Sequenced",
    "TermsEvent",
    "TradeEvent",
    "Venue",
    "plain",
]
