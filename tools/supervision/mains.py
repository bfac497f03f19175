"""What the processes of a durable venue do: their mains, and how an error of theirs is told."""

import mmap
import socket
import sys
from pathlib import Path

from engine.durability.committing import data_dir_of, serve_journal
from engine.durability.datadir import IDENTITY, Identity, attach, begin, check_identity, settle
from engine.durability.errors import DurabilityError
from engine.durability.genesis import check_unchanged
from engine.durability.history import Recall
from engine.durability.noting import Notes
from engine.durability.recalling import recall_from
from engine.durability.recovery import blocks_of, recover_machine, write_genesis
from engine.durability.shadow import serve_shadow
from engine.durability.snapshot import Progress
from engine.membership import EXIT_HOPELESS
from engine.process import serve_stages
from engine.successor import Successor
from engine.topology import GATEWAY, JOURNAL, RISK, SHADOW, ProcessPlan
from engine.venue import REFERENCE, VenueMemory
from gateway.process import serve_gateway
from ipc.counters import DEAD, ProcessEntry, note_death, words_of
from tools.supervision.children import Main


def main_of(
    venue: VenueMemory,
    plan: ProcessPlan,
    bound: socket.socket | None,
    successor: Successor | None,
    recall: Recall | None = None,
) -> Main:
    """The main of a process of the topology: a gateway listens at `bound`, a stage may succeed.

    `recall`: tells the gateway what has passed; from the folder unless given.
    """

    def work() -> int:
        if JOURNAL in plan.stages:
            return serve_journal(venue, plan)
        if SHADOW in plan.stages:
            return serve_shadow(venue, plan)
        if GATEWAY in plan.stages:
            known = recall or recall_from(venue, plan.name, data_dir_of(venue.config))
            return serve_gateway(venue, plan, bound, known)
        return serve_stages(venue, plan, successor)

    return _telling(venue.entry(plan.name), work)


def recovery_main(
    venue: VenueMemory, data_dir: Path, skips: frozenset[int], careful: bool, board: mmap.mmap
) -> Main:
    """Rebuilds everything from the folder before any process begins.

    What is wrong with the folder is written on the board, memory that the supervisor shares. The
    entry of the journal, which comes after it, is used for notes.
    """
    journal = venue.entry(venue.topology.host_of(JOURNAL))

    def work() -> int:
        try:
            prepare_folder(venue, data_dir, Notes(journal).beat)
            recover_machine(venue, data_dir, skips, careful)
        except DurabilityError as error:
            text = str(error).encode()[: len(board)]
            board[: len(text)] = text
            return EXIT_HOPELESS
        return 0

    return work


def prepare_folder(venue: VenueMemory, data_dir: Path, beat: Progress) -> None:
    """Begin the folder of a new venue, or see that it is the one of this venue and configuration.

    Raises DataDirForeign, DataDirChanged.
    """
    config = venue.config
    identity = Identity(config.venue.name, config.venue.shards, config.rings.event_slots)
    if (data_dir / IDENTITY).exists():
        folder = attach(data_dir)
        check_identity(folder, identity)
        blocks = {name: blocks_of(venue)[name] for name in (REFERENCE, RISK)}
        check_unchanged(folder.snapshots, blocks)
    else:
        folder = begin(data_dir, identity)
        write_genesis(venue, folder, beat)
        settle(folder)


def _telling(entry: ProcessEntry, work: Main) -> Main:
    """`work`, which leaves what it raises in the entry and an exit code that says what it means."""

    def guarded() -> int:
        try:
            return work()
        except Exception as error:
            text = words_of(error)
            print(f"okimi: {entry.name.get()}: {text}", file=sys.stderr, flush=True)
            if entry.state != DEAD:
                note_death(entry, text)
            hopeless = isinstance(error, DurabilityError)
            return EXIT_HOPELESS if hopeless else 1

    return guarded
