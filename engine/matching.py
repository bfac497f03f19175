"""The matching stage: decisions in, events out, by price and then time.

Matching owns the books. It is a pure function of the decisions: the same decisions give the
same events, whatever the batching, the layout or the clock. One command makes at most
EVENTS_PER_SLICE_MAX events in one step; a longer sweep goes on in the next step, before the
next command. The rules stand in docs/matching.md, with their naive twin in tests/twin.
"""

from typing import Final

from engine.amending import amend_order, cancel_order
from engine.book import Books, create_books
from engine.events import refuse
from engine.limits import CHUNKS_MAX, EVENTS_PER_SLICE_MAX, ORDERS_MAX
from engine.lookahead import DISTANCE, LIVE_ORDERS_MIN, look_ahead
from engine.messages import CommandKind, Decision, RejectReason
from engine.stage import Outbox, Telemetry, count_batch, deliver, open_outbox
from engine.trading import Taker, new_order, sweep
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, Record, i64
from ipc.ring import Inbox, consume, ready, slot

EVENTS_CLAIMED_MAX: Final = 4 * EVENTS_PER_SLICE_MAX
"""Event slots a step asks for; it stops taking commands when a slice might not fit."""


class MatchingState(Record, align=CACHE_LINE_BYTES):
    """Everything matching remembers."""

    decided: i64
    "dseq of the last decision taken."
    taker: Taker
    books: Books


class MatchingPorts(Record):
    """The rings of the matching stage; process-local."""

    decisions: Inbox
    events: Outbox
    telemetry: Telemetry


def create_matching(
    state: MatchingState, orders_limit: int = ORDERS_MAX - 1, chunks_limit: int = CHUNKS_MAX - 1
) -> None:
    """Set up zeroed memory; the limits bound live orders and price chunks."""
    create_books(state.books, orders_limit, chunks_limit)


@inlined
def execute(state: MatchingState, decision: Decision, out: Outbox) -> None:
    """One decision."""
    kind = decision.kind
    state.decided = decision.sequence
    if decision.reason != RejectReason.NONE:
        refuse(out, decision, decision.reason)
    elif kind == CommandKind.NEW:
        new_order(state.books, state.taker, decision, out)
    elif kind == CommandKind.CANCEL:
        cancel_order(state.books, decision, out)
    else:
        assert kind == CommandKind.AMEND, "execute: an accepted decision of unknown kind"
        amend_order(state.books, state.taker, decision, out)


@kernel
def step_matching(state: MatchingState, ports: MatchingPorts, message_max: int) -> int:
    """Execute up to `message_max` decisions; returns how much was done (0: nothing to do)."""
    inbox, out = ports.decisions, ports.events
    waiting = ready(inbox.ring, inbox.cursor, message_max)
    if waiting == 0 and state.taker.active == 0:
        return 0
    room = open_outbox(out, EVENTS_CLAIMED_MAX)
    if room < EVENTS_PER_SLICE_MAX:
        ports.telemetry.statistics.blocked += 1
        return 0
    if state.taker.active != 0:
        sweep(state.books, state.taker, out)
    taken = foreseen = 0
    if state.books.pool.live >= LIVE_ORDERS_MIN:
        foreseen = waiting - DISTANCE
    first = inbox.cursor.position
    while taken < waiting and state.taker.active == 0:
        if out.claimed - out.pending < EVENTS_PER_SLICE_MAX:
            break
        if taken < foreseen:
            look_ahead(state.books, inbox.ring, first + taken)
        execute(state, Decision(slot(inbox.ring, first + taken)), out)
        taken += 1
    progress = taken + out.pending
    now = deliver(out, ports.telemetry)
    count_batch(inbox, taken, now, ports.telemetry)
    consume(inbox.cursor, taken)
    return progress
