"""What a replica consists of while it follows: states, private rings, and what has gone wrong."""

from typing import Final

from engine.durability.history.state import HistoryState
from engine.intake import IngestState
from engine.limits import SHARDS_MAX
from engine.matching import MatchingPorts, MatchingState
from engine.reference import ReferenceData
from engine.risk.stage import RiskPorts
from engine.risk.state import RiskState
from engine.stage import Outbox
from ipc.record import Array, Record, Ref, i64, length
from ipc.ring import Cursor, Ring, RingGroup

SKIPS_MAX: Final = 64
"""Decisions of one journal that matching may have to skip: each one has killed it twice."""

FINE: Final = 0
ANOTHER_DECISION: Final = 1
"""Risk has come to another decision."""
ANOTHER_ID: Final = 2
"""Ingest would have given another order id."""
ANOTHER_TIME: Final = 3
"""Ingest would have told another time or phase."""
UNHEARD_EVENTS: Final = 4
"""Risk had seen events that matching has not made."""


class Follower(Record):
    """A replica's states and its private rings; process-local."""

    reference: Ref[ReferenceData]
    ingest: Ref[IngestState]
    risk: Ref[RiskState]
    risk_ports: RiskPorts
    shard_count: i64
    matching: Array[Ref[MatchingState]] = length(SHARDS_MAX)
    matching_ports: Array[MatchingPorts] = length(SHARDS_MAX)
    audits: i64
    "1: ingest and risk do it again, too; 0: matching alone."
    journaled: Ref[Ring]
    audited: Ref[Cursor]
    "Records up to here have been made again by ingest and risk."
    taps: RingGroup
    "The event rings, as they are passed on to risk."
    history_count: i64
    "Shards of which a history is kept: all or none."
    histories: Array[Ref[HistoryState]] = length(SHARDS_MAX)
    recorders: RingGroup
    "The event rings, as the histories read them."
    relays: Array[Ref[Ring]] = length(SHARDS_MAX)
    commands: Ref[Ring]
    redone: Ref[Ring]
    keeper: Outbox
    "Where ingest writes the ticks and phases that it tells again."
    until: i64
    "Following stops behind this decision; 0: it does not."
    skip_count: i64
    skips: Array[i64] = length(SKIPS_MAX)
    "Decisions that matching refuses instead of executing them."
    fault: i64
    "FINE, or why following has ended for good."
    fault_dseq: i64
