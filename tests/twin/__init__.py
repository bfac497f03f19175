"""The venue once more, as naively as possible: what the compiled engine must agree with.

Nothing here shares code with the engine except its enums and limits: prices are Python ints in
dicts, queues are lists, totals are sums taken anew each time. Tests feed both the same commands
and compare the events field by field. `audit` judges a stream of events by itself, without
knowing which of the two made it.
"""

from tests.twin.audit import Audit, AuditError
from tests.twin.ingest import Ingest
from tests.twin.instrument import Instrument
from tests.twin.matching import Exchange
from tests.twin.messages import (
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
from tests.twin.risk import Balance, Risk
from tests.twin.venue import Venue

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
