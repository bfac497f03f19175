"""The compiled part of a replica: makes everything again that the records of a journal say.

    payload --feed--> journaled --step_matching--> events.k --relay--> relays.k ---+
                          |                                                        v
                          +--learn, group--> commands ------------------------> step_risk --> redone
                                                                                      compare |

Matching is a pure function of the records. Risk decides each command again with exactly the events
that it had seen the first time (`ev_wm`, WATERMARK), and must come to the same decision, word by
word. What ingest remembers follows from what it let pass. These are the same steps that serve a
venue; nothing here knows a rule of the market.
"""

from typing import Final

from engine.durability.follower import ANOTHER_DECISION, ANOTHER_ID, ANOTHER_TIME, FINE, Follower
from engine.durability.format import record_bytes
from engine.durability.history.noting import note
from engine.durability.history.state import HistoryState
from engine.ingest import give_id
from engine.limits import BATCH_MAX, INTERNAL_SOURCE
from engine.messages import (
    MESSAGE_BYTES,
    PLAIN_BYTES,
    CommandFlag,
    CommandKind,
    Decision,
    Event,
    RejectReason,
    SequencedCommand,
)
from engine.process import call_matching, call_risk
from engine.reference import apply_instrument
from engine.stage import Word, copy_message, copy_words
from engine.timekeeping import keep_time
from ipc.distant import distant
from ipc.jit import inlined, kernel
from ipc.ring import Cursor, Inbox, Ring, claim, consume, publish, ready, slot

RELAYED_MAX: Final = 512
"""Events that risk gets at a time while it follows."""

STEPS_MAX: Final = 1 << 10
"""Steps in which ingest looks through its schedule for the next phase: after years of sleep."""

EVENTS_NOTED_MAX: Final = 1 << 20
"""All that an event ring holds."""

STAMP_WORD: Final = 2
"""The one word of a message that differs each time it is published."""


@inlined
def is_skipped(follower: Follower, dseq: int) -> bool:
    """Whether matching is to refuse this decision."""
    skipped = 0
    for index in range(follower.skip_count):
        skipped |= int(follower.skips[index] == dseq)
    return skipped != 0


@inlined
def is_watermark(decision: Decision) -> bool:
    """Whether a record is risk's own; one that a client sends is refused."""
    return decision.kind == CommandKind.WATERMARK and decision.reason == RejectReason.NONE


@kernel
def feed(follower: Follower, address: int, size: int) -> int:
    """Put records of a payload into the ring as far as there is room; returns how many bytes."""
    ring, taken, count = follower.journaled, 0, 0
    room = claim(ring, BATCH_MAX)
    first = ring.producer.position
    if follower.until != 0:
        room = min(room, follower.until - first)
    while taken < size and count < room:
        decision = Decision(slot(ring, first + count))
        copy_message(decision.address, address + taken)
        accepted = decision.reason == RejectReason.NONE
        if accepted and follower.skip_count != 0 and is_skipped(follower, first + count + 1):
            decision.reason = RejectReason.SKIPPED_BY_MATCHING
        taken += record_bytes(address + taken)
        count += 1
    publish(ring, count)
    return taken


@kernel
def bytes_until(address: int, size: int, dseq: int) -> int:
    """Bytes of the records of a payload that come up to a decision."""
    taken = 0
    while taken < size and Decision(address + taken).sequence <= dseq:
        taken += record_bytes(address + taken)
    return taken


# --- ingest ------------------------------------------------------------------------------------


@kernel
def tell_again(follower: Follower, decision: Decision) -> int:
    """A tick or a phase, which ingest tells by itself; returns FINE or ANOTHER_TIME."""
    ingest, out = follower.ingest, follower.keeper
    out.pending, out.claimed = 0, claim(out.ring, 1)
    assert out.claimed == 1, "tell_again: nobody reads this ring"
    ingest.time_ns = decision.time_ns
    ingest.sequence += 1
    if ingest.time_ns < ingest.timekeeper.next_tick_ns or ingest.timekeeper.tick_ns == 0:
        return ANOTHER_TIME
    for _ in range(STEPS_MAX):
        keep_time(ingest, follower.reference, out)
        if out.pending > 0:
            break
    made = SequencedCommand(slot(out.ring, out.ring.producer.position))
    same = made.kind == decision.kind and made.instrument == decision.instrument
    if not same or out.pending != 1:
        return ANOTHER_TIME
    if made.terms.phase != decision.terms.phase or made.terms.at_ns != decision.terms.at_ns:
        return ANOTHER_TIME
    return FINE


@inlined
def learn(follower: Follower, decision: Decision) -> int:
    """What ingest remembers of a command; returns FINE or what is wrong.

    Commands that ingest refused have left no trace in it but their number and time.
    """
    if decision.source == INTERNAL_SOURCE:
        return tell_again(follower, decision)
    ingest, kind, reason = follower.ingest, decision.kind, decision.reason
    ingest.sequence += 1
    ingest.time_ns = decision.time_ns
    ingest.taken[decision.source] = decision.source_sequence
    if RejectReason.UNKNOWN_COMMAND <= reason < RejectReason.UNKNOWN_ACCOUNT:
        return FINE
    if kind == CommandKind.NEW or kind == CommandKind.FUNDS:
        if decision.order_id != ingest.order_id + 1:
            return ANOTHER_ID
        return FINE if give_id(ingest, decision) == RejectReason.NONE else ANOTHER_ID
    if kind == CommandKind.INSTRUMENT:
        apply_instrument(ingest.terms[decision.instrument], decision.order_id, decision.qty_lots)
    return FINE


# --- risk --------------------------------------------------------------------------------------


@kernel
def relay(follower: Follower, shard: int, mark: int) -> bool:
    """Let risk apply a shard's events up to `mark`; false when matching has not made them yet."""
    tap, ring = follower.taps.sources[shard], follower.relays[shard]
    if tap.ring.producer.position < mark:
        return False
    while tap.cursor.position < mark:
        first = tap.cursor.position
        count = min(mark - first, RELAYED_MAX)
        granted = claim(ring, count)
        assert granted == count, "relay: risk has applied all that it was given"
        for index in range(count):
            copy_message(slot(ring, first + index), slot(tap.ring, first + index))
        publish(ring, count)
        call_risk(follower.risk, follower.risk_ports, 0)
        consume(tap.cursor, count)
    return True


@inlined
def same_record(found: int, wanted: int) -> bool:
    """Whether two records say the same, word by word, but for when they were published."""
    difference = 0
    for word in range(1, PLAIN_BYTES >> 3):
        if word != STAMP_WORD:
            difference |= Word(found + word * 8).value ^ Word(wanted + word * 8).value
    if Decision(wanted).flags & CommandFlag.TERMS:
        for word in range(PLAIN_BYTES >> 3, MESSAGE_BYTES >> 3):
            difference |= Word(found + word * 8).value ^ Word(wanted + word * 8).value
    return difference == 0


@inlined
def compare(follower: Follower, position: int) -> bool:
    """Whether risk has made the record at a position of the stream as it was made before."""
    wanted, found = slot(follower.journaled, position), Decision(slot(follower.redone, position))
    if Decision(wanted).reason == RejectReason.SKIPPED_BY_MATCHING:  # risk had accepted it
        if found.reason != RejectReason.NONE:
            return False
        found.reason = RejectReason.SKIPPED_BY_MATCHING
    return same_record(found.address, wanted)


@kernel
def fail(follower: Follower, fault: int, position: int) -> int:
    """Note what is wrong with the record at a position; returns 0."""
    if follower.fault == FINE:
        follower.fault, follower.fault_dseq = fault, position + 1
    return 0


@kernel
def follow_watermark(follower: Follower, decision: Decision, position: int) -> int:
    """A record of risk's own; returns 1, or 0 when matching is behind or something is wrong."""
    for shard in range(follower.shard_count):
        if not relay(follower, shard, decision.client_order_id[shard]):
            return 0
    follower.risk_ports.cue = 1
    call_risk(follower.risk, follower.risk_ports, 0)
    follower.risk_ports.cue = 0
    if follower.redone.producer.position != position + 1 or not compare(follower, position):
        return fail(follower, ANOTHER_DECISION, position)
    return 1


@kernel
def follow_commands(follower: Follower, position: int, waiting: int) -> int:
    """Commands that were decided in one view of the events; returns how many, 0 as above."""
    ring, commands = follower.journaled, follower.commands
    ev_wm = Decision(slot(ring, position)).ev_wm
    if not relay(follower, 0, ev_wm):
        return 0
    wanted = claim(commands, min(waiting, BATCH_MAX))
    first, count = commands.producer.position, 0
    while count < wanted:
        decision = Decision(slot(ring, position + count))
        if is_watermark(decision) or decision.ev_wm != ev_wm:
            break
        fault = learn(follower, decision)
        if fault != FINE:
            return fail(follower, fault, position + count)
        command = SequencedCommand(slot(commands, first + count))
        copy_message(command.address, decision.address)
        decided_by_ingest = (
            RejectReason.UNKNOWN_COMMAND <= decision.reason < RejectReason.UNKNOWN_ACCOUNT
        )
        if not decided_by_ingest and decision.reason != RejectReason.SKIPPED_BY_RISK:
            command.reason = RejectReason.NONE
        count += 1
    publish(commands, count)
    call_risk(follower.risk, follower.risk_ports, BATCH_MAX)
    if follower.redone.producer.position != position + count:
        return fail(follower, ANOTHER_DECISION, position)
    for index in range(count):
        if not compare(follower, position + index):
            return fail(follower, ANOTHER_DECISION, position + index)
    return count


@kernel
def audit(follower: Follower) -> int:
    """Ingest and risk again, as far as matching's events are there; returns how many records."""
    ring, cursor = follower.journaled, follower.audited
    done = 0
    while follower.fault == FINE:
        waiting = ready(ring, cursor, BATCH_MAX)
        if waiting == 0:
            break
        position = cursor.position
        decision = Decision(slot(ring, position))
        if is_watermark(decision):
            count = follow_watermark(follower, decision, position)
        else:
            count = follow_commands(follower, position, waiting)
        if count == 0:
            break
        consume(cursor, count)
        done += count
    return done


@kernel
def note_events(history: HistoryState, inbox: Inbox) -> int:
    """Count in what a shard has published; returns how many events."""
    count = ready(inbox.ring, inbox.cursor, EVENTS_NOTED_MAX)
    first = inbox.cursor.position
    for index in range(count):
        note(history, Event(slot(inbox.ring, first + index)))
    consume(inbox.cursor, count)
    return count


call_note = distant(note_events)


@inlined
def match(follower: Follower) -> int:
    """Matching of all shards, and what follows its events closely; returns how much was done."""
    progress = 0
    for shard in range(follower.shard_count):
        state, ports = follower.matching[shard], follower.matching_ports[shard]
        progress += call_matching(state, ports, BATCH_MAX)
    for shard in range(follower.history_count):
        progress += call_note(follower.histories[shard], follower.recorders.sources[shard])
    return progress


@kernel
def follow(follower: Follower, address: int, size: int) -> int:
    """Feed a payload and work until nothing moves; returns how many bytes were taken.

    Less than `size`: something is wrong (`fault`), or somebody has to read the event rings.
    """
    taken = 0
    progress = 1
    while progress > 0 and follower.fault == FINE:
        fed = 0
        if taken < size:
            fed = feed(follower, address + taken, size - taken)
        taken += fed
        progress = fed + match(follower)
        if follower.audits != 0:
            progress += audit(follower)
    return taken


@kernel
def answer(follower: Follower, address: int, size: int) -> int:
    """Let matching alone execute records; returns how many of their bytes were taken.

    Call it again, with what is left and then with nothing, until nobody has events to read.
    """
    taken = feed(follower, address, size)
    progress = 1
    while progress > 0:
        progress = 0
        for shard in range(follower.shard_count):
            state, ports = follower.matching[shard], follower.matching_ports[shard]
            progress += call_matching(state, ports, BATCH_MAX)
    consume(follower.audited, ready(follower.journaled, follower.audited, BATCH_MAX))
    return taken


@kernel
def finish_up(follower: Follower) -> int:
    """Let matching finish what it has begun, for which risk has to hear of its events."""
    progress = 1
    while progress > 0:
        progress = match(follower)
        relay_rest(follower)
    return 0


@kernel
def relay_to(follower: Follower, shard: int, mark: int) -> int:
    """Let risk apply a shard's events up to `mark`; returns 1, or 0 when there are not so many."""
    return 1 if relay(follower, shard, mark) else 0


@kernel
def learn_commands(follower: Follower, ring: Ring, first: int, end: int) -> int:
    """What ingest remembers of sequenced commands that risk has not decided; returns FINE or not.

    They lie in a live ring; learning changes nothing in it, as each gets the id that it has.
    """
    for position in range(first, end):
        fault = learn(follower, Decision(slot(ring, position)))
        if fault != FINE:
            return fault
    return FINE


@kernel
def relay_rest(follower: Follower) -> int:
    """Let risk apply all events that there are, also those that no record has told of."""
    for shard in range(follower.shard_count):
        relay(follower, shard, follower.taps.sources[shard].ring.producer.position)
    return 0


@kernel
def copy_out(ring: Ring, cursor: Cursor, target: int, most: int) -> int:
    """Move up to `most` messages of a ring to a target, 192 bytes each; returns how many."""
    count = ready(ring, cursor, most)
    for index in range(count):
        source = slot(ring, cursor.position + index)
        copy_words(target + index * MESSAGE_BYTES, source, MESSAGE_BYTES >> 3)
    consume(cursor, count)
    return count
