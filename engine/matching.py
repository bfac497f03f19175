"""The matching stage: decisions in, events out, by price and then time.

Matching owns the books. It is a pure function of the decisions: the same decisions give the
same events, whatever the batching, the layout or the clock. One step makes at most
EVENTS_CLAIMED_MAX events; a command that needs more goes on in the next step, before the next
command. The rules stand in docs/matching.md, with their naive twin in tools/twin.
"""

from typing import Final

from engine.amending import amend_plain, find_owned, remove_order
from engine.book import Books, create_books
from engine.events import begin, finish, refuse, refuse_change
from engine.limits import (
    CHECKPOINT_INTERVAL,
    CHUNKS_MAX,
    EVENTS_PER_SLICE_MAX,
    INSTRUMENTS_MAX,
    INTERNAL_SOURCE,
    ORDERS_MAX,
    PRICE_TICKS_MAX,
)
from engine.lookahead import DISTANCE, LIVE_ORDERS_MIN, look_ahead
from engine.market.commands import link_special, open_market, skip_foreign, work_on
from engine.messages import (
    CheckpointEvent,
    CommandFlag,
    CommandKind,
    Decision,
    EventKind,
    Phase,
    RejectReason,
)
from engine.orders import NO_ORDER, OrderFlag
from engine.reference import ReferenceData, copy_terms
from engine.stage import Outbox, Telemetry, count_batch, deliver_but, open_outbox
from engine.statehash import fold
from engine.trading import new_order, sweep
from ipc.counters import write_checkpoint
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, Record, i64
from ipc.ring import Inbox, consume, ready, slot

EVENTS_CLAIMED_MAX: Final = 4 * EVENTS_PER_SLICE_MAX
"""Event slots a step asks for; it stops taking commands when a slice might not fit."""


class MatchingState(Record, align=CACHE_LINE_BYTES):
    """Everything matching remembers."""

    decided: i64
    "dseq of the last decision taken."
    commands: i64
    "Decisions taken that were commands: where WATERMARKs stand between them depends on timing."
    shard: i64
    "Number of this shard."
    shards: i64
    "How many there are; 0 and 1 both mean that this one has all instruments."
    state_hash: i64
    "Hash of all events but CHECKPOINTs: those published, and those folded already."
    folded: i64
    "Events in the outbox that `state_hash` covers."
    checkpoint_due: i64
    "1: a CHECKPOINT follows when the command is finished."
    books: Books


class MatchingPorts(Record):
    """The rings of the matching stage; process-local."""

    decisions: Inbox
    events: Outbox
    telemetry: Telemetry


def create_matching(
    state: MatchingState,
    orders_limit: int = ORDERS_MAX - 1,
    chunks_limit: int = CHUNKS_MAX - 1,
    reference: ReferenceData | None = None,
) -> None:
    """Set up zeroed memory; the limits bound live orders and price chunks.

    Without reference data every number is an instrument of any price in continuous trading.
    """
    link_special()
    books = state.books
    create_books(books, orders_limit, chunks_limit)
    if reference is not None:
        copy_terms(books.terms, reference)
    for number in range(INSTRUMENTS_MAX):
        if reference is None:
            terms = books.terms[number]
            terms.price_min_ticks, terms.price_max_ticks = -PRICE_TICKS_MAX, PRICE_TICKS_MAX
            terms.phase, terms.listed = Phase.CONTINUOUS, 1
        open_market(books, number)


@inlined
def execute(state: MatchingState, decision: Decision, out: Outbox) -> None:
    """One decision: plain ones here, all others in engine.market."""
    books = state.books
    state.decided = decision.sequence
    if decision.kind == CommandKind.WATERMARK and decision.reason == RejectReason.NONE:
        return  # risk's; a client's has been refused and is answered
    if state.shards > 1 and skip_foreign(books, state.shard, decision, out):
        return
    if books.work.assemblies_open != 0:
        work_on(books, decision, out)
    elif decision.reason != RejectReason.NONE:
        refuse(out, decision, decision.reason)
        finish(out)
    elif (
        decision.kind <= CommandKind.AMEND
        and decision.flags & CommandFlag.TERMS == 0
        and books.markets[decision.instrument].watch == 0
    ):
        execute_plain(state, decision, out)
    else:
        work_on(books, decision, out)


@inlined
def execute_plain(state: MatchingState, decision: Decision, out: Outbox) -> None:
    """A command of the plain kind for an instrument that is in plain trading."""
    books = state.books
    if decision.kind == CommandKind.NEW:
        new_order(books, decision, out)
        complete(books, out)
        return
    index = find_owned(books, decision)
    if index == NO_ORDER:
        refuse_change(out, decision, RejectReason.UNKNOWN_ORDER.value)
    elif books.pool.orders[index].flags & OrderFlag.SPECIAL:
        work_on(books, decision, out)
        return
    elif decision.kind == CommandKind.CANCEL:
        remove_order(books, decision, index, RejectReason.CANCELED_BY_CLIENT.value, out)
    else:
        amend_plain(books, decision, index, out)
    complete(books, out)


@inlined
def complete(books: Books, out: Outbox) -> None:
    """End a plain command, unless its taker goes on in the next step or it has left more to do."""
    if books.taker.active == 0:
        if books.work.busy != 0:
            work_on(books, books.work.cause, out)
        else:
            finish(out)


@kernel
def resume(state: MatchingState, out: Outbox) -> None:
    """Go on with the command that the last step left unfinished."""
    books = state.books
    if books.work.busy == 0:
        sweep(books, out)
        complete(books, out)
    else:
        work_on(books, books.work.cause, out)


@inlined
def is_busy(books: Books) -> int:
    """1 while a command is unfinished."""
    return books.taker.active | books.work.busy


@kernel
def checkpoint(state: MatchingState, out: Outbox, telemetry: Telemetry) -> None:
    """CHECKPOINT: the hash of all events so far, for readers of events and for tools."""
    fold_pending(state, out, 0)
    state.checkpoint_due = 0
    write_checkpoint(telemetry.statistics, state.decided, state.state_hash)
    event = CheckpointEvent(begin(out, state.books.work.cause, EventKind.CHECKPOINT, 0))
    event.side = event.order_type = event.time_in_force = 0
    event.source = INTERNAL_SOURCE
    event.account = event.instrument = event.order_id = event.price_ticks = event.qty_lots = 0
    event.source_sequence = event.time_ns = 0
    event.dseq, event.state_hash = state.decided, state.state_hash
    state.folded = out.pending  # The rest of its slot is of an older event.


@inlined
def fold_pending(state: MatchingState, out: Outbox, held: int) -> None:
    """Bring the hash up to the events in the outbox, but for the last `held`."""
    first = out.ring.producer.position
    for index in range(state.folded, out.pending - held):
        state.state_hash = fold(state.state_hash, slot(out.ring, first + index))
    state.folded = out.pending - held


@inlined
def count_command(state: MatchingState, decision: Decision) -> None:
    """Count a decision that is a command; after every CHECKPOINT_INTERVAL there is a CHECKPOINT."""
    if decision.kind != CommandKind.WATERMARK:
        state.commands += 1
        if state.commands & (CHECKPOINT_INTERVAL - 1) == 0:
            state.checkpoint_due = 1


@kernel
def step_matching(state: MatchingState, ports: MatchingPorts, message_max: int) -> int:
    """Execute up to `message_max` decisions; returns how much was done (0: nothing to do)."""
    inbox, out, books = ports.decisions, ports.events, state.books
    waiting = ready(inbox.ring, inbox.cursor, message_max)
    unfinished = is_busy(books)
    if waiting == 0 and unfinished == 0:
        return 0
    room = open_outbox(out, EVENTS_CLAIMED_MAX)
    if room < EVENTS_PER_SLICE_MAX:
        ports.telemetry.statistics.blocked += 1
        return 0
    state.folded = 0
    if unfinished != 0:
        resume(state, out)
    taken = foreseen = 0
    if books.pool.live >= LIVE_ORDERS_MIN:
        foreseen = waiting - DISTANCE
    first = inbox.cursor.position
    while is_busy(books) == 0:
        if state.checkpoint_due != 0:
            checkpoint(state, out, ports.telemetry)
        if taken == waiting or out.claimed - out.pending < EVENTS_PER_SLICE_MAX:
            break
        if taken < foreseen:
            look_ahead(books, inbox.ring, first + taken)
        decision = Decision(slot(inbox.ring, first + taken))
        execute(state, decision, out)
        taken += 1
        count_command(state, decision)
    held = min(is_busy(books), out.pending)
    fold_pending(state, out, held)
    state.folded = 0  # so that the state depends on the decisions alone
    progress = taken + out.pending - held + unfinished
    now = deliver_but(out, ports.telemetry, held)
    count_batch(inbox, taken, now, ports.telemetry)
    consume(inbox.cursor, taken)
    return progress
