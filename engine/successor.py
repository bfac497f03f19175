"""How a stage process takes the place of one that died: rebuild, then go on with care.

The record that killed the predecessor, if it was a record, is still before the successor. So it
goes through what waits for it one record at a time, and notes each in its process entry before it
executes it: if it dies, too, the supervisor knows of what. A record that has killed twice is
refused instead of executed, by the stage that it kills.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.ingest import IngestPorts, present
from engine.intake import IngestState
from engine.matching import is_busy
from engine.messages import RejectReason, SequencedCommand
from engine.process import (
    ASKED_TO_STOP,
    FENCED,
    GO_ON,
    TURN_NS,
    Loop,
    call_ingest,
    call_matching,
    call_risk,
    wake_neighbours,
)
from engine.stage import copy_message, count_batch, deliver, next_slot, open_outbox
from ipc.counters import AT_INGEST, AT_REPLICA, AT_RISK, AT_SOURCE_SHIFT
from ipc.intrinsics import read_monotonic, yield_cpu
from ipc.jit import inlined, kernel
from ipc.record import Array, Record, i64, length
from ipc.ring import consume, next_source, ready, slot

REFUSED_MAX: Final = 16
"""Records that a process refuses because they killed: as many as a venue may skip in one run."""

CARE_TURNS: Final = 4
"""Turns for each record that waits: it passes three stages, and each may have to wait for room."""


class Care(Record):
    """What a careful process refuses, and how long it is careful; process-local."""

    left: i64
    "Turns with work that are still to come, at most."
    refused_count: i64
    refused_stages: Array[i64] = length(REFUSED_MAX)
    refused_numbers: Array[i64] = length(REFUSED_MAX)


@inlined
def is_refused(care: Care, stage: int, number: int) -> bool:
    """Whether this record has killed its stage twice."""
    for index in range(care.refused_count):
        if care.refused_stages[index] == stage and care.refused_numbers[index] == number:
            return True
    return False


@inlined
def note(loop: Loop, stage: int, number: int) -> None:
    """Tell what is executed next; 0: nothing."""
    loop.entry.at = 0
    loop.entry.at_stage = stage
    loop.entry.at = number


@kernel
def refuse_command(state: IngestState, ports: IngestPorts, source: int) -> int:
    """Sequence the next command of a source as refused, without another look at it."""
    if open_outbox(ports.commands, 1) == 0:
        ports.telemetry.statistics.blocked += 1
        return 0
    inbox = ports.sources.sources[source]
    command = SequencedCommand(slot(inbox.ring, inbox.cursor.position))
    made = SequencedCommand(next_slot(ports.commands))
    copy_message(made.address, command.address)
    made.source, made.source_sequence = source, command.sequence
    made.time_ns, made.order_id = present(state, ports), 0
    made.reason = RejectReason.SKIPPED_BY_INGEST
    state.sequence += 1
    state.taken[source] = command.sequence
    now = deliver(ports.commands, ports.telemetry)
    count_batch(inbox, 1, now, ports.telemetry)
    consume(inbox.cursor, 1)
    return 1


@inlined
def ingest_one(loop: Loop, care: Care) -> int:
    """One command into the sequence."""
    group = loop.ingest_ports.sources
    turn = group.turn
    source = next_source(group)
    group.turn = turn
    if source >= 0:
        cursor = group.sources[source].cursor
        number = source << AT_SOURCE_SHIFT | cursor.position + 1
        note(loop, AT_INGEST, number)
        if is_refused(care, AT_INGEST, number):
            return refuse_command(loop.ingest, loop.ingest_ports, source)
    return call_ingest(loop.ingest, loop.ingest_ports, 1)


@inlined
def decide_one(loop: Loop, care: Care) -> int:
    """One decision. Events that wait are applied before: they are not the command's doing."""
    done = call_risk(loop.risk, loop.risk_ports, 0)
    inbox = loop.risk_ports.commands
    if ready(inbox.ring, inbox.cursor, 1) == 0:
        return done
    number = inbox.cursor.position + 1
    note(loop, AT_RISK, number)
    if is_refused(care, AT_RISK, number):
        # Risk passes on what was refused before it; it is the only reader of this ring.
        command = SequencedCommand(slot(inbox.ring, inbox.cursor.position))
        command.reason = RejectReason.SKIPPED_BY_RISK
    return done + call_risk(loop.risk, loop.risk_ports, 1)


@inlined
def match_one(loop: Loop, index: int) -> int:
    """One decision executed, or the next part of one."""
    shard = loop.shards[index]
    inbox = shard.ports.decisions
    number = inbox.cursor.position + 1
    if is_busy(shard.state.books):
        number = shard.state.decided
    elif ready(inbox.ring, inbox.cursor, 1) == 0:
        number = 0
    note(loop, AT_REPLICA, number)
    return call_matching(shard.state, shard.ports, 1)


@kernel
def waiting_for(loop: Loop) -> int:
    """Messages in the rings that the stages of this process read."""
    found = 0
    if loop.hosts_ingest != 0:
        group = loop.ingest_ports.sources
        for index in range(group.count):
            inbox = group.sources[index]
            found += inbox.ring.producer.position - inbox.cursor.position
    if loop.hosts_risk != 0:
        inbox = loop.risk_ports.commands
        found += inbox.ring.producer.position - inbox.cursor.position
    for index in range(loop.shard_count):
        inbox = loop.shards[index].ports.decisions
        found += inbox.ring.producer.position - inbox.cursor.position
    return found


@kernel
def run_carefully(loop: Loop, care: Care, turn_ns: int) -> int:
    """One record a stage and turn, for about `turn_ns`; GO_ON, ASKED_TO_STOP or FENCED.

    It is over, with `care.left` 0, when all that waited has been done.
    """
    began = read_monotonic()
    while loop.stop.value == 0:
        if loop.entry.epoch != loop.epoch:
            return FENCED
        now = read_monotonic()
        loop.entry.heartbeat.word.value = now
        if waiting_for(loop) == 0:
            care.left = 0
        if care.left <= 0 or now - began > turn_ns:
            return GO_ON
        progress = 0
        if loop.hosts_ingest != 0:
            progress += ingest_one(loop, care)
        if loop.hosts_risk != 0:
            progress += decide_one(loop, care)
        for index in range(loop.shard_count):
            progress += match_one(loop, index)
        note(loop, 0, 0)
        if progress > 0:
            care.left -= 1
            wake_neighbours(loop)
        else:
            yield_cpu()
    return ASKED_TO_STOP


@dataclass(frozen=True, slots=True)
class Successor:
    """What a process is told that takes the place of another."""

    rebuild: Callable[[], None]
    "Makes the states of its stages anew."
    careful: bool
    "The one before it may have died of a record."
    refused: Sequence[tuple[int, int]] = ()
    "Records that it does not execute: AT_INGEST or AT_RISK, and the number."

    def catch_up(self, loop: Loop) -> int:
        """Go through what waits, with care where there is reason to; returns as `run_loop`."""
        if not self.careful and not self.refused:
            return GO_ON
        care: Care = Care.allocate()
        assert len(self.refused) <= REFUSED_MAX, "more refused records than a venue skips"
        care.refused_count = len(self.refused)
        for index, (stage, number) in enumerate(self.refused):
            care.refused_stages[index], care.refused_numbers[index] = stage, number
        care.left = waiting_for(loop) * CARE_TURNS
        found = GO_ON
        while found == GO_ON and care.left > 0:
            found = run_carefully(loop, care, TURN_NS)
        return found
